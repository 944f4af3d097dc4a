"""The forgetting curve: what an edit scores by the number of edits that followed it."""

from __future__ import annotations

import bisect
from collections import defaultdict
from collections.abc import Iterator

from benchmarks.scoring.scores import KINDS, Scores, mean_scores


def checkpoints(edits: int) -> list[int]:
    """After how many edits all those made so far are scored again: 1, 2, 5, 10, ..., ``edits``.

    Together that is about 1.9 times as many scorings of a case as there are edits.
    """
    return [*(number for number in _grid(edits) if number < edits), edits]


class ForgettingCurve:
    """Collects scores of edits, right after they were made and later."""

    def __init__(self) -> None:
        self._scores: dict[int, list[Scores]] = defaultdict(list)

    def add(self, followed: int, score: Scores) -> None:
        """Add the score that one edit has after ``followed`` others were made."""
        self._scores[_upper(followed)].append(score)

    def rows(self) -> list[dict[str, float | None]]:
        """The field ``forgetting`` of :class:`benchmarks.results.Result`.

        ``followed`` is the upper end of a range that begins after the one before it: 5 stands
        for edits that were followed by 3 to 5 others.
        """
        rows: list[dict[str, float | None]] = []
        for followed, scores in sorted(self._scores.items()):
            average = mean_scores(scores)
            kinds = {kind: getattr(average, kind) for kind in KINDS}
            rows.append({"followed": followed, "edits": len(scores), **kinds})
        return rows


def _grid(end: int) -> Iterator[int]:
    """1, 2, 5, 10, 20, 50, ..., the last of them the first that is not below ``end``."""
    scale = 1
    while True:
        for step in (1, 2, 5):
            yield step * scale
            if step * scale >= end:
                return
        scale *= 10


def _upper(followed: int) -> int:
    """The end of the range that a number of edits falls into; 0 stands alone."""
    if followed == 0:
        return 0
    grid = list(_grid(followed))
    return grid[bisect.bisect_left(grid, followed)]
