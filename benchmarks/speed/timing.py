"""Times side by side: in turns, so that what slows one down slows the other down as well."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

Work = Callable[[], object]


@dataclass(frozen=True)
class Sample:
    """Values of one quantity, measured again and again."""

    values: tuple[float, ...]

    @property
    def median(self) -> float:
        """Of the values."""
        return statistics.median(self.values)

    @property
    def spread(self) -> tuple[float, float]:
        """The least and the most."""
        return min(self.values), max(self.values)

    def over(self, other: Sample) -> Sample:
        """This over another, in the pairs that were measured together."""
        return Sample(tuple(a / b for a, b in zip(self.values, other.values, strict=True)))


def seconds(work: Work) -> float:
    """How long it takes, by the wall clock."""
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


def side_by_side(
    works: Mapping[str, Work],
    repeats: int,
    *,
    before: Work = lambda: None,
    warm: bool = True,
) -> dict[str, Sample]:
    """Time some work in turns, every other time in the opposite order.

    Args:
        before: done before each, not timed.
        warm: do each once before anything is timed.
    """
    times: dict[str, list[float]] = {name: [] for name in works}
    order: Sequence[str] = list(works)
    if warm:
        for name in order:
            before()
            works[name]()
    for _ in range(repeats):
        for name in order:
            before()
            times[name].append(seconds(works[name]))
        order = order[::-1]
    return {name: Sample(tuple(values)) for name, values in times.items()}
