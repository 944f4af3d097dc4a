"""A sequence of edits whose scores are known: means, retention, forgetting, details."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest

from benchmarks.results import CaseDetail
from benchmarks.scoring import Course, Scores
from benchmarks.scoring.forgetting import ForgettingCurve, checkpoints


class Forgetful:
    """Scores a model that knows an edit until two others have followed; ``model``: edits made.

    Locality falls by a tenth with each edit. Criterion A is of even cases only, and right before.
    """

    def __init__(self) -> None:
        self.calls: list[tuple[int, list[int], bool]] = []

    def score(
        self, model: int, indices: Sequence[int], *, portability: bool = True
    ) -> list[Scores]:
        self.calls.append((model, list(indices), portability))
        return [self._scores(model, i, portability) for i in indices]

    def before(self, indices: Sequence[int]) -> list[Scores]:
        return [
            Scores(0.0, 0.25, 1.0, 1.0 if i % 2 == 0 else None, self._criteria(i, 1.0))
            for i in indices
        ]

    def excluded(self, indices: Sequence[int]) -> dict[str, int]:
        return {"A": 3, "B": 2}

    def _scores(self, made: int, index: int, portability: bool) -> Scores:
        known = float(made - (index + 1) < 2)
        criteria = self._criteria(index, known) if portability else {}
        return Scores(known, known / 2, 1 - made / 10, criteria.get("A"), criteria)

    @staticmethod
    def _criteria(index: int, value: float) -> dict[str, float]:
        return {"A": value} if index % 2 == 0 else {}


@pytest.fixture
def course() -> tuple[Course, Forgetful]:
    scorer = Forgetful()
    course = Course(scorer, range(5))  # type: ignore[arg-type]
    for made in range(1, 6):
        course.edited(made)
    return course, scorer


def test_edits_are_scored_at_once_at_checkpoints_and_at_the_end(
    course: tuple[Course, Forgetful],
) -> None:
    made = [
        (1, [0], True), (1, [], False),
        (2, [1], True), (2, [0], False),
        (3, [2], True),
        (4, [3], True),
        (5, [4], True), (5, [0, 1, 2, 3], True),
    ]  # fmt: skip
    assert course[1].calls == made


def test_fields_are_means_of_known_scores(course: tuple[Course, Forgetful]) -> None:
    fields = course[0].fields()
    approx = {
        "before_reliability": 0.0,
        "before_generality": 0.25,
        "before_portability": 1.0,
        "immediate_reliability": 1.0,
        "immediate_generality": 0.5,
        "immediate_locality": (0.9 + 0.8 + 0.7 + 0.6 + 0.5) / 5,
        "immediate_portability": 1.0,
        "final_reliability": 2 / 5,  # the last two are still known
        "final_generality": 1 / 5,
        "final_locality": 0.5,
        "final_portability": 1 / 3,  # cases 0, 2, 4
        "retention": 2 / 5,
    }
    assert {key: fields[key] for key in approx} == pytest.approx(approx)
    assert fields["criteria"] == {
        "A": {"before": 1.0, "immediate": 1.0, "final": 1 / 3, "cases": 3, "excluded": 3},
        "B": {"before": None, "immediate": None, "final": None, "cases": 0, "excluded": 2},
    }  # fmt: skip


def test_forgetting_is_by_the_number_of_edits_that_followed(
    course: tuple[Course, Forgetful],
) -> None:
    rows = course[0].fields()["forgetting"]
    # Followed by 1: edit 0 after 2 edits, edit 3 after 5. By 2: edit 2. By 3 and 4: edits 1, 0.
    assert [(row["followed"], row["edits"], row["reliability"]) for row in rows] == [
        (0, 5, 1.0), (1, 2, 1.0), (2, 1, 0.0), (5, 2, 0.0)
    ]  # fmt: skip
    assert [row["locality"] for row in rows] == pytest.approx([0.7, 0.65, 0.5, 0.5])
    assert [row["generality"] for row in rows] == [0.5, 0.5, 0.0, 0.0]


def test_details_are_in_the_order_of_the_edits(course: tuple[Course, Forgetful]) -> None:
    details = course[0].details(list("abcde"), [0.5, 0.4, 0.3, 0.2, 0.1])
    assert details[1] == CaseDetail(
        "b",
        1,
        {"reliability": 1.0, "generality": 0.5, "locality": 0.8, "portability": None},
        {"reliability": 0.0, "generality": 0.0, "locality": 0.5, "portability": None},
        0.4,
    )
    assert [(d.case_id, d.position, d.seconds) for d in details][::4] == [
        ("a", 0, 0.5),
        ("e", 4, 0.1),
    ]


def test_one_edit_is_scored_once() -> None:
    scorer = Forgetful()
    course = Course(scorer, [7])  # type: ignore[arg-type]
    course.edited(1)
    assert course.final == course.immediate
    assert [indices for _, indices, _ in scorer.calls if indices] == [[7]]
    assert course.fields()["retention"] == 1.0


def test_nothing_learnt_has_no_retention() -> None:
    class Nothing(Forgetful):
        def score(self, model: int, indices: Sequence[int], **_: Any) -> list[Scores]:
            return [Scores(0.0, 0.0, 1.0) for _ in indices]

    course = Course(Nothing(), [0])  # type: ignore[arg-type]
    course.edited(1)
    assert course.fields()["retention"] is None


def test_checkpoints_grow_like_the_sequence() -> None:
    assert checkpoints(1) == [1]
    assert checkpoints(4) == [1, 2, 4]
    assert checkpoints(10) == [1, 2, 5, 10]
    assert checkpoints(576) == [1, 2, 5, 10, 20, 50, 100, 200, 500, 576]
    assert checkpoints(1000)[-2:] == [500, 1000]
    assert sum(checkpoints(1000)) < 1.9 * 1000
    assert checkpoints(3000)[-3:] == [1000, 2000, 3000]


def test_ranges_of_the_curve_end_on_the_grid() -> None:
    curve = ForgettingCurve()
    for followed in (0, 1, 2, 3, 5, 6, 10, 11, 20, 21, 999, 1000, 1001):
        curve.add(followed, Scores(1.0, None, 0.5))
    rows = [(row["followed"], row["edits"]) for row in curve.rows()]
    assert rows == [(0, 1), (1, 1), (2, 1), (5, 2), (10, 2), (20, 2), (50, 1), (1000, 2), (2000, 1)]
    assert curve.rows()[0] == {
        "followed": 0, "edits": 1, "reliability": 1.0, "generality": None, "locality": 0.5
    }  # fmt: skip
