"""The scope of an edit: how other words for the same fact move the keys of its prompt.

An edit shall hold for a fact in whatever words it is asked for, but its request has one wording.
How paraphrases move the keys that the edited modules read is learned from the cases of
meta-training, as a sample of such moves; an edit that is gone over again with its keys moved like
that comes to rely on what is left of a key whatever the words, which is what the fact is about.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import NamedTuple

import torch
from torch import Tensor, nn

from dafnet_plugin.editing.modules import EditModule, by_position, evaluation_mode, reading
from dafnet_plugin.editing.scoring import scored_logits
from dafnet_plugin.tokens import Encoded, TokenBatch, collate


class Paraphrase(NamedTuple):
    """A fact in two wordings, with the same target."""

    prompt: Encoded
    other: Encoded


@torch.no_grad()
def key_shifts(
    model: nn.Module,
    modules: Sequence[EditModule],
    pairs: Sequence[Paraphrase],
    *,
    pad_id: int,
    batch_size: int = 64,
) -> list[Tensor]:
    """How far the second wording of each pair is from the first, in each module's input.

    Read where the first token of the target is predicted.

    Returns:
        one [pairs, d_in] tensor a module, in the model's dtype; row n of all belongs to pair n.
        Nothing without pairs.
    """
    if not pairs:
        return []
    one, other = (
        _keys(model, modules, texts, pad_id, batch_size)
        for texts in ([pair.prompt for pair in pairs], [pair.other for pair in pairs])
    )
    return [there - here for here, there in zip(one, other, strict=True)]


def _keys(
    model: nn.Module,
    modules: Sequence[EditModule],
    texts: Sequence[Encoded],
    pad_id: int,
    batch_size: int,
) -> list[Tensor]:
    found: list[list[Tensor]] = [[] for _ in modules]
    device = modules[0].weight.device
    for start in range(0, len(texts), batch_size):
        batch = collate(texts[start : start + batch_size], pad_id).to(device)
        first = first_scored(batch)

        def read(number: int, x: Tensor, first: Tensor = first) -> None:
            rows = by_position(modules[number].name, x, first)
            found[number].append(rows[first.to(rows.device)])

        with evaluation_mode(model), reading(modules, read):
            scored_logits(model, batch)
    return [torch.cat(parts) for parts in found]


@contextmanager
def moved_keys(
    modules: Sequence[EditModule], batch: TokenBatch, shifts: Sequence[Tensor]
) -> Iterator[None]:
    """Let modules read, where the first token of a target is predicted, what was moved.

    Args:
        batch: the texts that the model will be run on.
        shifts: [texts, d_in], one a module; added to what it reads.
    """
    first = first_scored(batch)

    def move(number: int, x: Tensor) -> Tensor:
        added = torch.zeros_like(x)
        rows = by_position(modules[number].name, added, first)
        rows[first.to(x.device)] = shifts[number].to(x)
        return x + added

    with reading(modules, move):
        yield


def first_scored(batch: TokenBatch) -> Tensor:
    """[texts, length] booleans: where the first token of each text's target is predicted."""
    return batch.scored & (batch.scored.cumsum(1) == 1)
