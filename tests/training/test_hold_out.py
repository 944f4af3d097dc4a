"""Holding out validation cases by subject, and leaving alone probes of edited subjects."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dafnet_plugin.cases import EditCase, EditRequest, Probe
from dafnet_plugin.errors import DataError
from dafnet_plugin.training.bank import _asked_about
from dafnet_plugin.training.sources import hold_out


def case(number: int, subject: str, asks: str = "nobody") -> EditCase:
    request = EditRequest(f"{subject} was born in", "Rome", subject, "Paris")
    probe = Probe(f"{asks} was born in", "Oslo")
    return EditCase(str(number), request, locality=(probe,))


@given(st.lists(st.integers(0, 9), min_size=12, max_size=40), st.integers(0, 5))
@settings(max_examples=50, deadline=None)
def test_no_subject_on_both_sides_and_nothing_lost(subjects: list[int], seed: int) -> None:
    cases = [case(i, f"subject-{s}") for i, s in enumerate([*range(10), *subjects])]
    kept, held = hold_out({"a": cases}, 0.3, seed)
    trained, validated = ({c.request.subject for c in side} for side in (kept["a"], held))
    assert not trained & validated
    assert len(validated) == 3
    assert sorted(c.case_id for c in [*kept["a"], *held]) == sorted(c.case_id for c in cases)
    assert hold_out({"a": cases}, 0.3, seed) == (kept, held)


@pytest.mark.parametrize("share", [0.01, 1.0])
def test_a_share_that_leaves_one_side_empty_is_refused(share: float) -> None:
    with pytest.raises(DataError, match="val_share"):
        hold_out({"a": [case(i, f"s{i}") for i in range(5)]}, share, 0)


def test_probes_know_which_cases_they_ask_about() -> None:
    cases = [case(0, "Ada", asks="Bob"), case(1, "Bob", asks="Ada"), case(2, "Bob"), case(3, "Eve")]
    assert _asked_about(cases) == [
        [frozenset({1, 2})],
        [frozenset({0})],
        [frozenset()],
        [frozenset()],
    ]
