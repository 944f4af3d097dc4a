"""Intervals of data whose intervals are known."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from benchmarks.bootstrap import resample, resample_twice
from benchmarks.intervals import SCORES, Comparison, Interval, compare, field_interval, intervals
from benchmarks.results import CaseDetail, Details, Result
from dafnet_plugin.errors import DataError

RESULT = Result("FT", "", "tiny", "facts", 4, 0, 0, "hash", "ok")
Scores = Sequence[float | None]


def sequence(
    number: int,
    reliability: Scores,
    generality: Scores | None = None,
    locality: Scores | None = None,
    portability: Scores | None = None,
) -> tuple[Result, Details]:
    """A result and its details from the scores of its cases."""
    size = len(reliability)
    columns = {
        "reliability": reliability,
        "generality": generality or [None] * size,
        "locality": locality or [None] * size,
        "portability": portability or [None] * size,
    }
    cases = [
        CaseDetail(f"case {i}", i, {}, {name: values[i] for name, values in columns.items()}, 0.0)
        for i in range(size)
    ]
    known = {name: [v for v in values if v is not None] for name, values in columns.items()}
    means = {f"final_{name}": sum(v) / len(v) for name, v in known.items() if v}
    result = replace(RESULT, num_edits=size, sequence=number, **means)
    return result, Details("hash", cases)


def of(*found: tuple[Result, Details]) -> tuple[list[Result], list[Details]]:
    return [result for result, _ in found], [details for _, details in found]


# -- one method ---------------------------------------------------------------------------------


def test_cases_of_one_sequence_are_resampled() -> None:
    found = intervals(*of(sequence(0, [1, 1, 0, 0])))
    # Of four cases, half of them right, the mean is 0 or 1 in one draw of 16 each.
    assert found["reliability"] == Interval(0.5, 0.0, 1.0, 4, "cases")
    assert set(found) == {"reliability", "average"}

    found = intervals(*of(sequence(0, [1.0] * 80 + [0.0] * 20)), resamples=20000)
    interval = found["reliability"]
    assert interval.low is not None and interval.high is not None
    # 72 and 87 of 100 are the quantiles of the binomial distribution.
    assert interval.low == pytest.approx(0.72, abs=0.011)
    assert interval.high == pytest.approx(0.87, abs=0.011)


def test_many_sequences_are_resampled_as_wholes() -> None:
    values = np.linspace(0, 1, 50)
    results = [replace(RESULT, sequence=i, final_reliability=v) for i, v in enumerate(values)]
    interval = intervals(results, resamples=20000)["reliability"]
    error = values.std() / math.sqrt(50)
    assert (interval.value, interval.units, interval.unit) == (0.5, 50, "sequences")
    assert interval.low == pytest.approx(0.5 - 1.96 * error, rel=0.03)
    assert interval.high == pytest.approx(0.5 + 1.96 * error, rel=0.03)


def test_few_sequences_are_resampled_with_the_cases_in_them() -> None:
    groups = [
        sequence(i, [1.0] * right + [0.0] * (100 - right)) for i, right in enumerate((70, 80, 84))
    ]
    results, details = of(*groups)
    both = intervals(results, details, resamples=20000)["reliability"]
    alone = intervals(results, resamples=20000)["reliability"]
    shares = np.array([0.7, 0.8, 0.84])
    between, within = shares.var() / 3, (shares * (1 - shares)).mean() / 100 / 3
    assert both.low is not None and both.high is not None
    assert both.high - both.low == pytest.approx(3.92 * math.sqrt(between + within), rel=0.05)
    assert (alone.low, alone.high) == (pytest.approx(0.7), pytest.approx(0.84))  # too narrow
    assert (both.units, both.unit) == (3, "sequences")


def test_missing_scores_are_not_zeros() -> None:
    group = sequence(
        0, [1, 1, 0, 0], locality=[1, None, None, 1], portability=[None, 0.5, None, 0.5]
    )
    found = intervals(*of(group))
    assert found["locality"] == Interval(1.0, 1.0, 1.0, 4, "cases")
    assert found["portability"].value == 0.5 and "generality" not in found
    assert found["average"].value == pytest.approx(0.75)  # of reliability and locality
    assert found["average"].low == 0.5


@pytest.mark.parametrize("with_details", [True, False])
def test_one_unit_has_no_interval(with_details: bool) -> None:
    result, details = sequence(0, [0.5])
    found = intervals([result], [details] if with_details else ())
    assert found["reliability"] == Interval(0.5, None, None, 1, "sequences")
    assert intervals([replace(result, status="failed")], [details]) == {}
    assert intervals([]) == {}


def test_the_average_is_resampled_as_one() -> None:
    """Where one score is the complement of the other their mean is sure, though neither is."""
    group = sequence(0, [1, 0] * 20, [0, 1] * 20)
    found = intervals(*of(group))
    assert found["average"] == Interval(0.5, 0.5, 0.5, 40, "cases")
    low = found["reliability"].low
    assert low is not None and low < 0.4


def test_scores_before_the_edit_have_full_locality() -> None:
    results = [
        replace(
            RESULT, sequence=i, before_reliability=0.1, before_generality=0.0, final_locality=0.3
        )
        for i in range(2)
    ]
    found = intervals(results, when="before")
    assert found["locality"].value == 1 and found["average"].value == pytest.approx(1.1 / 3)


def test_any_field_has_an_interval_over_sequences() -> None:
    results = [replace(RESULT, sequence=i, kl=float(i % 2)) for i in range(4)]
    assert field_interval(results, "kl") == Interval(0.5, 0.0, 1.0, 4, "sequences")
    assert field_interval(results[:1], "kl") == Interval(0.0, None, None, 1, "sequences")
    assert field_interval(results, "stored_mb") is None
    failed = replace(results[0], status="failed", kl=9.0)
    assert field_interval([*results, failed], "kl") == field_interval(results, "kl")


def test_the_same_seed_draws_the_same() -> None:
    groups = of(*(sequence(i, [1, 0, i / 3, 1]) for i in range(3)))
    assert intervals(*groups) == intervals(*groups)
    assert intervals(*groups, seed=1, resamples=50) != intervals(*groups, resamples=50)


# -- two methods --------------------------------------------------------------------------------


def test_pairs_show_what_means_hide() -> None:
    """Facts of very different difficulty, and one method that is better at a few of them."""
    hard = [0.0] * 50 + [1.0] * 50
    better = [1.0] * 6 + hard[6:]
    first, second = of(sequence(0, better)), of(sequence(0, hard))
    found = compare(first[0], second[0], first[1], second[1])["reliability"]
    assert (found.difference, found.first, found.second) == (pytest.approx(0.06), 0.56, 0.5)
    assert (found.units, found.unit) == (100, "cases")
    assert found.clear and found.low is not None and found.low > 0
    alone = intervals(*first)["reliability"]
    assert alone.low is not None and alone.low < 0.5  # the interval of the one holds the other
    back = compare(second[0], first[0], second[1], first[1])["reliability"]
    assert back.difference == -found.difference and back.clear


def test_equal_methods_do_not_differ() -> None:
    group = of(*(sequence(i, [1, 0, 1], [0, 1, 0], [1, 1, 1]) for i in range(3)))
    found = compare(group[0], group[0], group[1], group[1])
    assert set(found) == set(SCORES) - {"portability"}
    for value in found.values():
        assert (value.difference, value.low, value.high, value.clear) == (0, 0, 0, False)


def test_only_sequences_that_both_have_are_compared() -> None:
    ours = of(*(sequence(i, [1.0, 1.0]) for i in range(4)))
    theirs = of(*(sequence(i, [0.0, 1.0]) for i in (3, 1)), sequence(9, [1.0, 1.0]))
    found = compare(ours[0], theirs[0], ours[1], theirs[1])["average"]
    assert (found.units, found.first, found.second) == (2, 1.0, 0.5)
    elsewhere = [replace(result, dataset="other") for result in theirs[0]]
    assert compare(ours[0], elsewhere) == {}
    failed = [replace(result, status="failed") for result in theirs[0]]
    assert compare(ours[0], failed) == {}


def test_without_details_one_sequence_has_no_interval() -> None:
    (ours, _), (theirs, _) = sequence(0, [1.0, 1.0]), sequence(0, [0.0, 1.0])
    found = compare([ours], [theirs])["reliability"]
    assert found == Comparison(0.5, None, None, 1, "sequences", 1.0, 0.5)
    assert not found.clear


def test_other_cases_are_refused() -> None:
    ours, theirs = of(sequence(2, [1.0, 1.0])), of(sequence(2, [1.0, 1.0]))
    swapped = Details("hash", theirs[1][0].cases[::-1])
    with pytest.raises(DataError, match=r"facts, tiny, seed 0: sequence 2 of 2 edits.*different"):
        compare(ours[0], theirs[0], ours[1], [swapped])
    with pytest.raises(DataError, match="1 details for 2 results"):
        intervals(ours[0] * 2, ours[1])


# -- drawing ------------------------------------------------------------------------------------


def test_draws_are_means_of_as_many_units() -> None:
    rng = np.random.default_rng(0)
    drawn = resample(np.array([[0.0, 1.0], [1.0, np.nan]]), 1000, rng)
    assert set(drawn[:, 0]) == {0.0, 0.5, 1.0}
    assert np.mean(drawn[:, 0]) == pytest.approx(0.5, abs=0.05)
    # Where only the unit without a value was drawn there is no mean.
    assert set(drawn[~np.isnan(drawn[:, 1]), 1]) == {1.0}
    assert np.isnan(drawn[:, 1]).mean() == pytest.approx(0.25, abs=0.05)


def test_blocks_of_draws_do_not_show() -> None:
    values = np.random.default_rng(1).random((3000, 2))
    drawn = resample(values, 2000, np.random.default_rng(0))  # three blocks
    assert drawn.shape == (2000, 2)
    assert drawn.mean(0) == pytest.approx(values.mean(0), abs=1e-3)
    assert drawn.std(0) == pytest.approx(values.std(0) / math.sqrt(3000), rel=0.1)


def test_groups_of_different_size_weigh_the_same() -> None:
    groups = [np.zeros((1, 1)), np.ones((99, 1))]
    drawn = resample_twice(groups, 4000, np.random.default_rng(0))
    assert set(drawn[:, 0]) == {0.0, 0.5, 1.0}
    assert drawn.mean() == pytest.approx(0.5, abs=0.03)


# -- properties ---------------------------------------------------------------------------------

shares = st.lists(st.floats(0, 1, allow_subnormal=False), min_size=2, max_size=6)


@given(st.lists(shares, min_size=1, max_size=4), st.integers(0, 5))
@settings(max_examples=40, deadline=None)
def test_an_interval_lies_within_the_values(groups: list[list[float]], seed: int) -> None:
    results, details = of(*(sequence(i, values) for i, values in enumerate(groups)))
    found = intervals(results, details, resamples=50, seed=seed)["reliability"]
    values = [value for group in groups for value in group]
    assert found.low is not None and found.high is not None
    assert min(values) - 1e-12 <= found.low <= found.high <= max(values) + 1e-12
    assert found.value == pytest.approx(np.mean([np.mean(group) for group in groups]))


@given(st.lists(shares, min_size=1, max_size=4), st.floats(0, 1))
@settings(max_examples=40, deadline=None)
def test_what_is_better_by_the_same_everywhere_is_better_by_just_that(
    groups: list[list[float]], gain: float
) -> None:
    worse = of(*(sequence(i, values) for i, values in enumerate(groups)))
    better = of(*(sequence(i, [v + gain for v in values]) for i, values in enumerate(groups)))
    found = compare(better[0], worse[0], better[1], worse[1], resamples=50)["reliability"]
    assert (found.low, found.high) == (pytest.approx(gain), pytest.approx(gain))
    assert found.difference == pytest.approx(gain)
