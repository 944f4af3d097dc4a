"""Softmax and sums over the tokens of each edit, without padding edits to equal length."""

from __future__ import annotations

import torch
from torch import Tensor


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
