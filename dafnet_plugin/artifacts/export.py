"""A folder with edits as an adapter, its model card, and how far it is from the edits."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import Any

from torch import nn

from dafnet_plugin.artifacts.card import hub_name, write_card
from dafnet_plugin.artifacts.logit_errors import LogitErrors, logit_errors
from dafnet_plugin.artifacts.peft_export import (
    ModuleAdapter,
    adapters_of,
    write_adapter,
)
from dafnet_plugin.artifacts.saved_edits import SavedEdits


@dataclass(frozen=True)
class Exported:
    """An adapter that was written, and how far it is from the edits.

    Attributes:
        adapters: one for each module that the edits changed.
        logit_errors: how far logits are from the edited model's, after the edits' prompts, with
            the adapter merged and not; None where there was no model to ask.
    """

    adapters: tuple[ModuleAdapter, ...]
    logit_errors: LogitErrors | None

    @property
    def logit_error(self) -> float | None:
        """The larger of both."""
        return self.logit_errors.largest if self.logit_errors else None

    @property
    def exact(self) -> bool:
        """Whether the adapter is the update, up to rounding (of float32: not of logits)."""
        return all(adapter.exact for adapter in self.adapters)


def export_peft(
    saved: SavedEdits,
    folder: str | os.PathLike[str],
    rank: int | None = None,
    model: nn.Module | None = None,
    tokenizer: Any = None,
    *,
    base_model: str | None = None,
    license: str | None = None,
) -> Exported:
    """Write saved edits as a LoRA adapter that PEFT loads and merges.

    Args:
        rank: highest rank of a module's adapter; None for whatever is exact.
        model, tokenizer: the base model, to measure what the adapter does to its logits.
        base_model: what the adapter's config names as its base: a hub name, or a directory. None
            for the hub name that the edits know, if it has an owner; a directory's last part alone
            would be taken for a name.
        license: of the adapter, for its model card; None for nothing said.

    Raises:
        DataError: the edits change nothing.
        ConfigError: a rank below 1, or PEFT is too old for edited biases.
    """
    adapters = adapters_of(saved, rank)
    errors = logit_errors(model, tokenizer, saved, adapters) if model is not None else None
    write_adapter(adapters, folder, base_model or hub_name(saved))
    write_card(saved, folder, adapters, errors, license)
    return Exported(tuple(adapters), errors)
