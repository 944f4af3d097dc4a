"""What the report says, as plain data: results grouped, averaged and compared."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Literal

from benchmarks.intervals import Comparison, Interval
from benchmarks.results import Example, Result
from benchmarks.targets import Target

FOCUS = "DAFNET"
"""The label that the report emphasises; it gets no other favour."""
SCORES = ("reliability", "generality", "locality", "average")
WHEN: tuple[Literal["before", "immediate", "final"], ...] = ("before", "immediate", "final")
DIGITS = 3
"""Decimals of scores; equal when rounded to so many is a tie."""

Status = Literal["ok", "partial", "failed", "missing"]


@dataclass(frozen=True)
class Group:
    """One method's sequences of one length, on one data set and base model.

    Attributes:
        expected: sequences of this length that any method has results of.
        scores: by ``when`` ("before", "immediate", "final"), then by name of the score; of the
            sequences that did not fail.
        examples: of the first sequence that has some.
    """

    label: str
    num_edits: int
    expected: int
    results: tuple[Result, ...] = ()
    scores: dict[str, dict[str, Interval]] = field(default_factory=dict)
    examples: tuple[Example, ...] = ()

    @property
    def ok(self) -> list[Result]:
        """Results of the sequences that did not fail."""
        return [result for result in self.results if result.status == "ok"]

    @property
    def failed(self) -> list[Result]:
        """Results of those that did."""
        return [result for result in self.results if result.status == "failed"]

    @property
    def status(self) -> Status:
        """``failed`` if any sequence did; ``partial`` if others have sequences that this lacks."""
        if not self.results:
            return "missing"
        if self.failed:
            return "failed"
        return "ok" if len(self.results) == self.expected else "partial"

    @property
    def shown(self) -> bool:
        """Whether means are shown: with a failed sequence, those of the rest mislead."""
        return self.status in ("ok", "partial")

    def score(self, name: str, when: str = "final") -> Interval | None:
        """A score to show; None if there is none, or a sequence failed."""
        return self.scores.get(when, {}).get(name) if self.shown else None

    def mean(self, name: str) -> float | None:
        """Mean of any other field of the results to show."""
        return mean([getattr(result, name) for result in self.ok]) if self.shown else None


@dataclass(frozen=True)
class Verdict:
    """Who is best in one column of the main table.

    Attributes:
        best: labels of the highest mean; several if they tie at :data:`DIGITS` decimals.
        comparisons: the first of ``best`` minus each other label, paired; None where the two
            have no sequence in common, or no interval can be had.
    """

    best: tuple[str, ...] = ()
    comparisons: dict[str, Comparison | None] = field(default_factory=dict)

    def close(self, label: str) -> bool:
        """Whether a label that is not best cannot be told from the best by the interval."""
        comparison = self.comparisons.get(label)
        return comparison is not None and comparison.low is not None and not comparison.clear

    @property
    def contested(self) -> bool:
        """Whether several labels have a score."""
        return len(self.best) > 1 or bool(self.comparisons)

    @property
    def clear(self) -> bool:
        """Whether one label alone is best, and every other is below it beyond the interval."""
        others = self.comparisons.values()
        return (
            len(self.best) == 1 and bool(others) and all(c is not None and c.clear for c in others)
        )


@dataclass(frozen=True)
class Section:
    """All results of one data set and base model.

    Attributes:
        lengths: numbers of edits, rising.
        labels: of the methods, best first: those with all lengths to show before others, then by
            the mean of the final averages.
        groups: by label and number of edits; every combination is there.
        verdicts: by number of edits and score, of the final scores.
        changes: final scores of a method's other variants minus those of its first, paired, by
            label and number of edits; see :attr:`variants`.
    """

    dataset: str
    model: str
    lengths: tuple[int, ...]
    labels: tuple[str, ...]
    groups: dict[tuple[str, int], Group]
    verdicts: dict[tuple[int, str], Verdict]
    changes: dict[tuple[str, int], dict[str, Comparison]]

    @property
    def title(self) -> str:
        """Data set and base model."""
        return f"{self.dataset}, {self.model}"

    @property
    def slug(self) -> str:
        """The title for file names and anchors."""
        return f"{slug(self.dataset)}_{slug(self.model)}"  # no slug has an underscore

    @property
    def results(self) -> list[Result]:
        """All lines, in the order of the rows."""
        return [
            result
            for label in self.labels
            for n in self.lengths
            for result in self.groups[label, n].results
        ]


@dataclass(frozen=True)
class Study:
    """Everything that a folder of results holds.

    Attributes:
        targets: what the run's config sets out to reach.
    """

    name: str
    sections: tuple[Section, ...]
    targets: tuple[Target, ...] = ()

    @cached_property
    def results(self) -> list[Result]:
        """All lines, section by section."""
        return [result for section in self.sections for result in section.results]

    @cached_property
    def entries(self) -> dict[str, tuple[str, str]]:
        """Method and variant of each label, sorted, the focus first."""
        found = {result.label: (result.method, result.variant) for result in self.results}
        return dict(sorted(found.items(), key=lambda item: (item[1][0] != FOCUS, item[1])))

    @cached_property
    def lengths(self) -> tuple[int, ...]:
        """Numbers of edits in any section, rising."""
        return tuple(sorted({n for section in self.sections for n in section.lengths}))


def tied(first: float, second: float) -> bool:
    """Whether two scores look the same when shown."""
    return round(first, DIGITS) == round(second, DIGITS)


def mean(values: Sequence[float | None]) -> float | None:
    """Mean of those that are known; None if none is."""
    known = [value for value in values if value is not None]
    return sum(known) / len(known) if known else None


def slug(text: str) -> str:
    """Letters, digits, dots and dashes of a text: safe in file names and anchors."""
    return re.sub(r"[^A-Za-z0-9.]+", "-", text).strip("-.") or "x"
