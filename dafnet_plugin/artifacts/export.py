"""A folder with edits as an adapter, its model card, and how far it is from the edits."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import Any

from torch import nn

from dafnet_plugin.artifacts.card import write_card
from dafnet_plugin.artifacts.peft_export import (
    ModuleAdapter,
    adapters_of,
    largest_logit_error,
    write_adapter,
)
from dafnet_plugin.artifacts.saved_edits import SavedEdits


@dataclass(frozen=True)
class Exported:
    """An adapter that was written, and how far it is from the edits.

    Attributes:
        adapters: one for each module that the edits changed.
        logit_error: largest absolute difference of a logit from the edited model's, after the
            edits' prompts; None where there was no model to ask.
    """

    adapters: tuple[ModuleAdapter, ...]
    logit_error: float | None

    @property
    def exact(self) -> bool:
        """Whether the adapter is the update, up to rounding."""
        return all(adapter.exact for adapter in self.adapters)


def export_peft(
    saved: SavedEdits,
    folder: str | os.PathLike[str],
    rank: int | None = None,
    model: nn.Module | None = None,
    tokenizer: Any = None,
) -> Exported:
    """Write saved edits as a LoRA adapter that PEFT loads and merges.

    Args:
        rank: highest rank of a module's adapter; None for whatever is exact.
        model, tokenizer: the base model, to measure what the adapter does to its logits.

    Raises:
        DataError: the edits change nothing.
        ConfigError: a rank below 1, or PEFT is too old for edited biases.
    """
    adapters = adapters_of(saved, rank)
    error = largest_logit_error(model, tokenizer, saved, adapters) if model is not None else None
    write_adapter(adapters, folder, saved.about["base"]["name"] or None)
    write_card(saved, folder, adapters, error)
    return Exported(tuple(adapters), error)
