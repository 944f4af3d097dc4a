"""A sequence of edits as it goes: what they score right away, later and at the end."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from benchmarks.results import CaseDetail
from benchmarks.scoring.forgetting import ForgettingCurve, checkpoints
from benchmarks.scoring.scorer import Scorer
from benchmarks.scoring.scores import Scores, criteria_table, mean_scores


class Course:
    """Scores the edits of a sequence while they are made.

    Args:
        scorer: has all of the cases prepared.
        indices: of the cases, in the order of the edits.
    """

    def __init__(self, scorer: Scorer, indices: Sequence[int]) -> None:
        self._scorer, self._indices = scorer, list(indices)
        self._checkpoints = set(checkpoints(len(self._indices)))
        self._curve = ForgettingCurve()
        self.immediate: list[Scores] = []
        self.final: list[Scores] = []

    def edited(self, model: Any) -> None:
        """Score what there is to score after one more edit."""
        made = len(self.immediate) + 1
        (latest,) = self._scorer.score(model, [self._indices[made - 1]])
        self.immediate.append(latest)
        self._curve.add(0, latest)
        if made not in self._checkpoints:
            return
        last = made == len(self._indices)
        earlier = self._scorer.score(model, self._indices[: made - 1], portability=last)
        for position, score in enumerate(earlier):
            self._curve.add(made - 1 - position, score)
        if last:
            self.final = [*earlier, latest]

    def fields(self) -> dict[str, Any]:
        """The fields of :class:`benchmarks.results.Result` that follow from the scores."""
        before = self._scorer.before(self._indices)
        means = {
            "before": mean_scores(before),
            "immediate": mean_scores(self.immediate),
            "final": mean_scores(self.final),
        }
        fields: dict[str, Any] = {
            f"{when}_{kind}": value
            for when, scores in means.items()
            for kind, value in scores.by_kind().items()
            if (when, kind) != ("before", "locality")  # which is 1 by definition
        }
        excluded = self._scorer.excluded(self._indices)
        return fields | {
            "retention": _ratio(means["final"].reliability, means["immediate"].reliability),
            "criteria": criteria_table(before, self.immediate, self.final, excluded),
            "forgetting": self._curve.rows(),
        }

    def details(self, case_ids: Sequence[str], seconds: Sequence[float]) -> list[CaseDetail]:
        """The edits one by one."""
        rows = zip(case_ids, self.immediate, self.final, seconds, strict=True)
        return [
            CaseDetail(case_id, position, immediate.by_kind(), final.by_kind(), spent)
            for position, (case_id, immediate, final, spent) in enumerate(rows)
        ]


def _ratio(final: float | None, immediate: float | None) -> float | None:
    return None if final is None or not immediate else final / immediate
