"""Softmax and sums over the tokens of each edit, without padding edits to equal length."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True)
class Layout:
    """Which module and which edit each row is of, where rows of modules stand one after another.

    Attributes:
        modules: [modules], what the modules are called in a network's embeddings.
        edits: new edits of each module.
        module: [tokens], which of the modules a row is of.
        segment: [tokens], which of the edits of all modules: ``module * edits + edit``.
    """

    modules: Tensor
    edits: int
    module: Tensor
    segment: Tensor

    @classmethod
    def of(cls, segments: Sequence[Tensor], modules: Sequence[int], edits: int) -> Layout:
        """Put modules one after another.

        Args:
            segments: one [tokens] a module, the edit of each of its rows.
        """
        there = segments[0].device
        return cls(
            torch.tensor(modules, device=there),
            edits,
            torch.cat([torch.full_like(one, number) for number, one in enumerate(segments)]),
            torch.cat([one + number * edits for number, one in enumerate(segments)]),
        )

    @property
    def segments(self) -> int:
        """How many edits all modules have."""
        return len(self.modules) * self.edits

    def by_module(self, rows: Tensor) -> Tensor:
        """[segments, d] -> [modules, edits, d]."""
        return rows.unflatten(0, (len(self.modules), self.edits))


def edit_of_token(tokens_per_edit: Tensor, tokens: int) -> Tensor:
    """Return the edit each row belongs to.

    Args:
        tokens_per_edit: [edits], how many consecutive rows belong to each edit.
        tokens: their sum, passed so that no device has to be read back.

    Returns:
        [tokens] edit indices, ascending.
    """
    edits = torch.arange(tokens_per_edit.shape[0], device=tokens_per_edit.device)
    return torch.repeat_interleave(edits, tokens_per_edit, output_size=tokens)


def segment_softmax(scores: Tensor, segment: Tensor, segments: int) -> Tensor:
    """Softmax of scores [tokens, 1] over the rows of each segment; segment is [tokens]."""
    index = segment[:, None]
    top = scores.new_full((segments, 1), -torch.inf).scatter_reduce(
        0, index, scores.detach(), "amax", include_self=True
    )
    weights = (scores - top.index_select(0, segment)).exp()
    total = segment_sum(weights, segment, segments)
    return weights / total.index_select(0, segment)


def segment_sum(rows: Tensor, segment: Tensor, segments: int) -> Tensor:
    """Sum rows [tokens, d] over each segment: [segments, d]; empty segments are zero."""
    return rows.new_zeros(segments, rows.shape[1]).index_add(0, segment, rows)
