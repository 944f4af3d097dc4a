"""What a case scored, and means of that."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

KINDS = ("reliability", "generality", "locality")


@dataclass(frozen=True)
class Scores:
    """Shares, 0 to 1; None where there is no such probe.

    Attributes:
        portability: mean over the criteria.
        criteria: of portability, by name; without those of which no test counts.
    """

    reliability: float | None
    generality: float | None
    locality: float | None
    portability: float | None = None
    criteria: Mapping[str, float] = field(default_factory=dict)

    @property
    def average(self) -> float | None:
        """The mean of reliability, generality and locality, of those there are."""
        return mean([getattr(self, kind) for kind in KINDS])

    def by_kind(self) -> dict[str, float | None]:
        """The four scores by name."""
        return {kind: getattr(self, kind) for kind in (*KINDS, "portability")}


def mean(values: Iterable[float | None]) -> float | None:
    """The mean of the values there are, None without any.

    With numpy, as in EasyEdit: the order of additions shows in the last digit.
    """
    known = [value for value in values if value is not None]
    return float(np.mean(known)) if known else None


def mean_scores(scores: Sequence[Scores]) -> Scores:
    """The mean over cases, for each score over the cases that have it."""
    names = dict.fromkeys(name for score in scores for name in score.criteria)
    criteria = {name: mean(score.criteria.get(name) for score in scores) for name in names}
    return Scores(
        reliability=mean(score.reliability for score in scores),
        generality=mean(score.generality for score in scores),
        locality=mean(score.locality for score in scores),
        portability=mean(score.portability for score in scores),
        criteria={name: value for name, value in criteria.items() if value is not None},
    )


def criteria_table(
    before: Sequence[Scores],
    immediate: Sequence[Scores],
    final: Sequence[Scores],
    excluded: Mapping[str, int],
) -> dict[str, dict[str, float | None]]:
    """The field ``criteria`` of :class:`benchmarks.results.Result`.

    Args:
        before, immediate, final: of the same cases.
        excluded: criterion -> tests that do not count, 0 included.
    """
    columns = {"before": before, "immediate": immediate, "final": final}
    table: dict[str, dict[str, float | None]] = {}
    for name, tests in excluded.items():
        table[name] = {
            column: mean(score.criteria.get(name) for score in scores)
            for column, scores in columns.items()
        }
        table[name]["cases"] = sum(name in score.criteria for score in final)
        table[name]["excluded"] = tests
    return table
