"""Memory of the loss with a large vocabulary: it is to grow with scored positions, not with all."""

from __future__ import annotations

import copy
import random
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from benchmarks.speed.context import Context
from benchmarks.speed.reference_like import question_loss
from benchmarks.speed.result import Metric, Outcome, Target
from benchmarks.speed.setting import random_model
from benchmarks.speed.sizes import ModelSize, Sizes
from dafnet_plugin.editing.modules import find_edit_modules
from dafnet_plugin.editing.objective import Question, losses_and_gradients
from dafnet_plugin.tokens import Encoded, collate

TEXTS = 4
OURS, PLAIN = "ours", "reference-like"
AT_MOST = 0.05
"""Of one row of logits, for a position that is not scored."""


def vocabulary(context: Context) -> Outcome:
    """Bytes that a position costs which is not scored, as a share of one row of logits."""
    sizes = context.sizes
    short, long = sizes.lengths
    positions, row = TEXTS * (long - short), 4 * sizes.words
    share = {}
    for who in (OURS, PLAIN):
        few, many = (context.peak(prepare, who, length).extra for length in (short, long))
        share[who] = max(0.0, (many - few) / positions / row)
    metric = Metric(
        "loss_memory",
        f"Locality loss, {sizes.words:,} words: memory of a position that is not scored",
        "rows of logits",
        share[OURS],
        share[PLAIN],
        share[PLAIN] / share[OURS] if share[OURS] else None,
        Target("ours", AT_MOST),
        note=f"{TEXTS} texts of {short} and of {long} tokens, one scored position each",
    )
    return Outcome((metric,))


def prepare(
    sizes: Sizes, seed: int, who: str, length: int, size: ModelSize | None = None
) -> Callable[[], Any]:
    """The locality loss and its gradient in one weight, for texts of so many tokens."""
    model = random_model(size or ModelSize(1, 64, 2, sizes.words), seed)
    rng = random.Random(seed)
    texts = [
        Encoded(tuple(rng.randrange(1, sizes.words) for _ in range(length)), length - 1)
        for _ in range(TEXTS)
    ]
    question = Question("locality", collate(texts, 0), 1.0, True)
    weight = find_edit_modules(model, ["transformer.h.0.mlp.c_proj"])[0].weight
    if who == OURS:
        change = torch.full_like(weight, 1e-3)
        return lambda: losses_and_gradients(model, [weight], [change], [question])
    original = copy.deepcopy(model)
    for parameter in model.parameters():
        parameter.requires_grad_(parameter is weight)
    with torch.no_grad():
        weight.add_(1e-3)

    def plainly() -> Tensor:
        loss = question_loss(model, original, question)
        loss.backward()
        return loss.detach()

    return plainly
