"""EasyEdit's scores, in batches.

A probe is asked as EasyEdit asks it: ``prompt + ' ' + target`` is tokenised, and at every
position that predicts a target token the arg-max is taken. Reliability and generality are the
share of those that are the target's tokens (``rewrite_acc``, ``rephrase_acc``), locality the share
that are what the unedited model said. Several probes of a case are averaged.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import torch

from dafnet_plugin.cases import EditCase
from dafnet_plugin.editing.scoring import scored_logits
from dafnet_plugin.errors import DataError
from dafnet_plugin.tokens import Encoded, collate, context_length, encode, pad_id_of

KINDS = ("reliability", "generality", "locality")


@dataclass(frozen=True)
class Scores:
    """Shares, 0 to 1; None where there is no such probe."""

    reliability: float | None
    generality: float | None
    locality: float | None

    @property
    def average(self) -> float | None:
        """The mean of those there are."""
        return _mean([getattr(self, kind) for kind in KINDS])


def mean_scores(scores: Sequence[Scores]) -> Scores:
    """The mean over cases, for each score over the cases that have it."""
    return Scores(*(_mean([getattr(score, kind) for score in scores]) for kind in KINDS))


class Scorer:
    """Scores cases by their index.

    Args:
        model: the unedited model: its predictions for the locality probes are what locality
            compares with.
        tokenizer: of the model; its padding side plays no role.
        cases: what may be scored later.
        max_length: cut texts to so many tokens, as EasyEdit's wheel does with
            ``hparams.max_length``; None cuts nothing, as its main branch.
        batch_size: texts of a forward pass.

    Raises:
        DataError: a text has no target token (within ``max_length``), or is longer than the
            model's context.
    """

    def __init__(
        self,
        model: Any,
        tokenizer: Any,
        cases: Sequence[EditCase],
        *,
        max_length: int | None = None,
        batch_size: int = 64,
    ) -> None:
        self._pad_id, self._batch_size = pad_id_of(tokenizer), batch_size
        context = None if max_length else context_length(model)

        def encoded(texts: Sequence[tuple[str, str]]) -> list[Encoded]:
            whole = encode(tokenizer, texts, context)
            cut = [Encoded(text.ids[:max_length], text.target_start) for text in whole]
            for text, (prompt, _) in zip(cut, texts, strict=True):
                if text.target_start >= len(text.ids):
                    raise DataError(
                        f"prompt {prompt!r}: {text.target_start} tokens leave nothing of its "
                        f"target within max_length: {max_length}"
                    )
            return cut

        self._targets: list[list[Encoded]] = []  # of a case: its request, then its paraphrases
        self._locality: list[list[Encoded]] = []
        for case in cases:
            request = (case.request.prompt, case.request.target_new)
            paraphrases = [(probe.prompt, probe.answer) for probe in case.generality]
            self._targets.append(encoded([request, *paraphrases]))
            self._locality.append(encoded([(p.prompt, p.answer) for p in case.locality]))
        answers = iter(self._predict(model, [text for texts in self._locality for text in texts]))
        self._before = [[next(answers) for _ in texts] for texts in self._locality]

    def score(self, model: Any, indices: Sequence[int]) -> list[Scores]:
        """Score cases with a model as it is now."""
        texts = [t for index in indices for t in (*self._targets[index], *self._locality[index])]
        answers = iter(self._predict(model, texts))
        scores = []
        for index in indices:
            right = [
                _agreement(next(answers), text.ids[text.target_start :])
                for text in self._targets[index]
            ]
            kept = [_agreement(next(answers), before) for before in self._before[index]]
            scores.append(Scores(right[0], _mean(right[1:]), _mean(kept)))
        return scores

    @torch.no_grad()
    def _predict(self, model: Any, texts: Sequence[Encoded]) -> list[tuple[int, ...]]:
        """The arg-max at the positions that predict the target tokens of each text."""
        device = next(model.parameters()).device
        answers: list[tuple[int, ...]] = []
        for start in range(0, len(texts), self._batch_size):
            part = texts[start : start + self._batch_size]
            batch = collate(part, self._pad_id).to(device)
            found = scored_logits(model, batch).argmax(-1).tolist()  # [scored positions]
            for text in part:
                size = len(text.ids) - text.target_start
                answers.append(tuple(found[:size]))
                found = found[size:]
        return answers


def _agreement(found: Sequence[int], wanted: Sequence[int]) -> float:
    """Share of equal tokens."""
    return sum(a == b for a, b in zip(found, wanted, strict=True)) / len(wanted)


def _mean(values: Iterable[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return sum(known) / len(known) if known else None
