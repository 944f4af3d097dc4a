"""Consolidation: going over a growing sequence of edits again, now and then.

Least squares realises the change that the network proposes for each edit at that edit's own keys.
Once there are more keys than a key has dimensions, not all proposals can be had at once, and the
proposals, made on the unedited model, do not know which of them matter. So when a sequence has
grown by a tenth, say, the edits made so far and some of the text to be preserved are gone over
again: a few steps on the loss of meta-training (edits shall hold, in other words too, and the
rest stay), taken in the weight change itself. Each step is preconditioned with the second moment
of all those keys, as least squares is, which takes a few steps where plain gradients need
hundreds. What was gone over then counts less in least squares, so that the next edits hold at
once.

Each edit is gone over a bounded number of times on average, whatever the length of the sequence.
"""

from __future__ import annotations

import math
import random
from collections.abc import Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from functools import partial

import torch
from torch import Tensor, nn

from dafnet_plugin.editing.modules import EditModule, model_device
from dafnet_plugin.editing.objective import Question, Within, losses_and_gradients
from dafnet_plugin.editing.scope import Paraphrase, key_shifts, moved_keys
from dafnet_plugin.editing.statistics import key_moments
from dafnet_plugin.errors import NumericalError
from dafnet_plugin.tokens import Encoded, TokenBatch, collate

REPLAYED = 256
"""Texts to be preserved that a step looks at, at least, however few edits there are."""
PARAPHRASES = 256
"""Pairs of wordings whose moves one consolidation draws from, at most."""
BATCH_TOKENS = 4096
"""Tokens of a forward pass, at most (or one text): each may cost logits of a whole vocabulary."""


@dataclass(frozen=True)
class ConsolidationConfig:
    """When a sequence is gone over again, and how.

    Attributes:
        start: edits after which it is done for the first time; 0 for never.
        growth: it is done again whenever the sequence is so many times as long.
        steps: of each time.
        texts: edits, and texts to be preserved, that one step looks at, at most; of the latter
            there are as many as of the former, but at least ``REPLAYED``.
        rate: largest size of a step.
        momentum: share of a step that the next one repeats.
        made_up: share of those texts in whose prompts tokens are exchanged, so that they ask about
            subjects that nobody has heard of; what the unedited model says there is to stay, too.
        exchanged: share of the prompt's tokens that is exchanged then.
        scope: share of the edits whose keys are moved as other words would move them
            (:mod:`dafnet_plugin.editing.scope`).
        locality: weight of the preserved text (KL, nats) beside the edits (NLL, nats).
        damping: share of its mean diagonal that is added to the second moment of the keys.
        room: how many times as much the next edits count in least squares as those gone over,
            see :func:`dafnet_plugin.editing.fusion.loosen`.
        autocast: run a model whose weights are float32 in bfloat16 meanwhile.
    """

    start: int = 64
    growth: float = 1.1
    steps: int = 10
    texts: int = 2048
    rate: float = 0.7
    momentum: float = 0.5
    made_up: float = 0.7
    exchanged: float = 0.3
    scope: float = 1.0
    locality: float = 1.0
    damping: float = 0.01
    room: float = 4.0
    autocast: bool = True


@dataclass(frozen=True)
class Consolidation:
    """How to consolidate, and with what.

    Attributes:
        replay: text whose predictions shall stay, of the kind that the key moments were taken of.
        paraphrases: facts of meta-training in two wordings; without any, nothing is known of the
            scope of an edit, and each is gone over in its own words.
    """

    config: ConsolidationConfig
    replay: tuple[Encoded, ...]
    paraphrases: tuple[Paraphrase, ...] = ()

    def until(self, edits: int) -> int | None:
        """Edits still to be made until the sequence is due; None if it never is.

        Depends on the number of edits only, not on the calls in which they came.
        """
        if not self.config.start:
            return None
        due = self.config.start
        while due <= edits:
            due = max(due + 1, math.ceil(due * self.config.growth))
        return due - edits


def consolidate(
    model: nn.Module,
    modules: Sequence[EditModule],
    changes: Sequence[Tensor],
    edits: Sequence[Encoded],
    preserved_moments: Sequence[Tensor],
    consolidation: Consolidation,
    *,
    pad_id: int,
    batch_size: int = 128,
) -> list[Tensor]:
    """Improve weight changes on the edits they are for; the same inputs give the same changes.

    Args:
        model: its edited modules hold their *unedited* weights.
        changes: [d_in, d_out], one a module.
        edits: all edits of the sequence.
        preserved_moments: [d_in, d_in], one a module: mean of ``x x^T`` over preserved text.
        batch_size: texts of a forward pass, at most.

    Returns:
        the changes after all steps, or the given ones if these have a lower loss.

    Raises:
        NumericalError: a loss or a gradient is not finite from the start, or there are too few
            keys for so little damping.
    """
    config, device = consolidation.config, model_device(model)
    autocast = config.autocast and modules[0].weight.dtype == torch.float32
    rng = random.Random(len(edits))
    known = consolidation.paraphrases if config.scope else ()
    pairs = rng.sample(known, min(PARAPHRASES, len(known)))
    shifts = key_shifts(model, modules, pairs, pad_id=pad_id, batch_size=batch_size)

    def batches(texts: Sequence[Encoded]) -> list[TokenBatch]:
        return [collate(part, pad_id).to(device) for part in _parts(texts, batch_size)]

    def reworded(batch: TokenBatch) -> Within:
        if not shifts:
            return nullcontext
        return partial(moved_keys, modules, batch, _drawn(shifts, batch, config.scope, rng))

    def questions() -> list[Question]:
        asked = rng.sample(edits, min(config.texts, len(edits)))
        kept = _replayed(consolidation, edits, rng)
        return [
            *(Question("reliability", b, 1.0, False, reworded(b)) for b in batches(asked)),
            *(Question("locality", b, config.locality, True) for b in batches(kept)),
        ]

    def ask(now: Sequence[Tensor], asked: Sequence[Question]) -> tuple[float, list[Tensor]]:
        stored = [m.stored(change) for m, change in zip(modules, now, strict=True)]
        losses, gradients = losses_and_gradients(
            model,
            [m.weight for m in modules],
            stored,
            asked,
            lambda: torch.autocast(device.type, torch.bfloat16, enabled=autocast),
        )
        return losses["total"], [m.stored(g) for m, g in zip(modules, gradients, strict=True)]

    factors = [
        _damped_factor(edited + preserved.to(edited), config.damping)
        for edited, preserved in zip(
            key_moments(model, modules, batches(edits)), preserved_moments, strict=True
        )
    ]
    first, now = questions(), list(changes)
    try:
        before, gradients = ask(now, first)
    except NumericalError as error:
        raise NumericalError(f"consolidation of {len(edits)} edits: {error}") from error
    loss, momentum = before, [torch.zeros_like(change) for change in changes]
    try:
        for step in range(config.steps):
            if step:  # other texts each time: a few hundred are soon known by heart
                loss, gradients = ask(now, questions())
            directions = [
                torch.cholesky_solve(gradient.to(factor), factor)
                for gradient, factor in zip(gradients, factors, strict=True)
            ]
            # No step can lower the loss by more than all of it. Half of that bound (Polyak's step
            # size): without it a rate would be right for one model and far too high for another.
            slope = sum(float((g * d).sum()) for g, d in zip(gradients, directions, strict=True))
            size = min(config.rate, loss / max(2 * slope, 1e-30))
            momentum = [
                config.momentum * m - size * d for m, d in zip(momentum, directions, strict=True)
            ]
            now = [change + m for change, m in zip(now, momentum, strict=True)]
        after, _ = ask(now, first)
    except NumericalError:  # far too large a step
        return list(changes)
    return now if after < before else list(changes)


def _parts(texts: Sequence[Encoded], most: int) -> list[list[Encoded]]:
    """Texts, the longest together to spare padding, in batches that fit into memory."""
    parts: list[list[Encoded]] = []
    for text in sorted(texts, key=lambda text: len(text.ids)):
        room = min(most, BATCH_TOKENS // len(text.ids))
        if not parts or len(parts[-1]) >= room:
            parts.append([])
        parts[-1].append(text)
    return parts


def _drawn(
    shifts: Sequence[Tensor], batch: TokenBatch, share: float, rng: random.Random
) -> list[Tensor]:
    """Moves [texts, d_in], one a module, for a share of the texts of a batch; none for the rest.

    Each is that of a pair, or the same backwards: either wording of a fact may be the edited one.
    """
    pairs, texts = len(shifts[0]), len(batch.labels)
    rows = torch.tensor([rng.randrange(pairs) for _ in range(texts)])
    signs = [rng.choice((-1.0, 1.0)) if rng.random() < share else 0.0 for _ in range(texts)]
    factors = torch.tensor(signs)[:, None]
    return [shift[rows.to(shift.device)] * factors.to(shift) for shift in shifts]


def _replayed(
    consolidation: Consolidation, edits: Sequence[Encoded], rng: random.Random
) -> list[Encoded]:
    """Texts to be preserved that one step looks at; none of what was edited on purpose."""
    config, replay = consolidation.config, consolidation.replay
    count = min(config.texts, max(len(edits), REPLAYED), len(replay))
    drawn = [
        make_up(text, replay, config.exchanged, rng) if rng.random() < config.made_up else text
        for text in rng.sample(replay, count)
    ]
    edited = {text.ids[: text.target_start] for text in edits}
    return [text for text in drawn if text.ids[: text.target_start] not in edited]


def make_up(text: Encoded, others: Sequence[Encoded], share: float, rng: random.Random) -> Encoded:
    """A text with a share of its prompt's tokens exchanged for those at their places in others.

    The few subjects of the text to be preserved stand for all that a model knows of; protecting
    just these leaves room for damage between them. Made-up ones are everywhere.
    """
    ids = list(text.ids)
    for place in range(_prompt_length(text)):
        if rng.random() < share:
            other = others[rng.randrange(len(others))]
            ids[place] = other.ids[min(place, _prompt_length(other) - 1)]
    return Encoded(tuple(ids), text.target_start)


def _prompt_length(text: Encoded) -> int:
    """Tokens of a text's prompt; of plain text, where all but the first are targets, nearly all."""
    return text.target_start if text.target_start > 1 else max(len(text.ids) - 1, 1)


def _damped_factor(moment: Tensor, damping: float) -> Tensor:
    """Cholesky factor of a second moment with a share of its mean diagonal added."""
    eye = torch.eye(len(moment), dtype=moment.dtype, device=moment.device)
    try:
        return torch.linalg.cholesky(moment + damping * moment.diagonal().mean() * eye)
    except torch.linalg.LinAlgError as error:
        raise NumericalError(
            f"the moment of the keys has no inverse (consolidation.damping: {damping}): {error}"
        ) from error
