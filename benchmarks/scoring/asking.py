"""How a model is asked for its predictions."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Protocol

from torch import Tensor

from dafnet_plugin.editing.scoring import scored_logits
from dafnet_plugin.tokens import Encoded, collate

Ask = Callable[[Any, Sequence[Encoded], int], Tensor]
"""``ask(model, texts, pad_id)``: logits [scored positions of all texts, vocabulary], in order."""


class Speaker(Protocol):
    """Asks models, edited or not; the adapters of :mod:`benchmarks.methods` are such."""

    def scored_logits(self, model: Any, texts: Sequence[Encoded], pad_id: int) -> Tensor:
        """Logits [scored positions of all texts, vocabulary] in float32, in order."""

    def greedy(
        self, model: Any, prompts: Sequence[Sequence[int]], new_tokens: int, pad_id: int
    ) -> list[list[int]]:
        """Greedy continuations of prompts, in tokens, without the prompts."""


def plain_logits(model: Any, texts: Sequence[Encoded], pad_id: int) -> Tensor:
    """Ask a model whose forward pass treats every text of a batch by itself."""
    return scored_logits(model, collate(texts, pad_id).to(next(model.parameters()).device))
