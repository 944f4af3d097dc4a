"""What statements mean: ranks, dates, ids."""

from __future__ import annotations

from datetime import date, datetime, timezone

import pytest

from dafnet_plugin.dafset.graph import (
    Claim,
    Drops,
    Reason,
    Statement,
    check_ids,
    clean,
    is_item,
    iso_date,
    judge,
    utc_time,
)
from dafnet_plugin.errors import DataError


def judged(*claims: Claim, as_of: date | None = None) -> tuple[list[Statement], Drops]:
    drops = Drops()
    return judge("P36", claims, drops, as_of), drops


def test_preferred_goes_before_normal_which_is_kept() -> None:
    statements, drops = judged(Claim("Q1", "normal"), Claim("Q2", "preferred"))
    assert [(s.object, s.rank, s.current) for s in statements] == [
        ("Q1", "normal", False),
        ("Q2", "preferred", True),
    ]
    assert drops == {Reason.NOT_BEST: 1}


def test_deprecated_is_dropped_and_does_not_count_as_best() -> None:
    statements, drops = judged(Claim("Q1", "deprecated"), Claim("Q2", "normal"))
    assert [s.object for s in statements] == ["Q2"] and statements[0].current
    assert drops == {Reason.DEPRECATED: 1}


def test_a_preferred_statement_without_an_item_still_is_the_best() -> None:
    # Wikidata says: it has preferably no capital. The normal one is then not its answer.
    statements, _ = judged(Claim(None, "preferred"), Claim("Q2", "normal"))
    assert [(s.object, s.current) for s in statements] == [("Q2", False)]


def test_what_has_an_end_date_has_ended() -> None:
    statements, drops = judged(
        Claim("Q1", "normal", "1990", "2001-05-11", True), Claim("Q2", "normal", None, None, True)
    )
    assert [s.current for s in statements] == [False, False]
    assert statements[0].start == "1990" and statements[0].end == "2001-05-11"
    assert drops == {Reason.ENDED: 2}


@pytest.mark.parametrize(
    ("start", "end", "current"),
    [
        (None, "2024-03-08", False),  # the last day counts as over
        (None, "2024-03-09", True),
        (None, "2024", False),  # sometime this year: not known to hold
        (None, "2025", True),
        (None, "-0044", False),
        ("2024-03-09", None, False),
        ("2024-03-08", None, True),
        ("2025", None, False),
        ("2024", None, True),
        ("12000", None, False),
    ],
)
def test_dates_are_compared_with_the_day_of_the_dump(
    start: str | None, end: str | None, current: bool
) -> None:
    day = date(2024, 3, 8)
    statements, _ = judged(Claim("Q1", "normal", start, end, end is not None), as_of=day)
    assert statements[0].current is current


@pytest.mark.parametrize(
    ("time", "precision", "expected"),
    [
        ("+1991-11-25T00:00:00Z", 11, "1991-11-25"),
        ("+00000001991-11-25T00:00:00Z", 11, "1991-11-25"),
        ("+1991-11-00T00:00:00Z", 10, "1991-11"),
        ("+1991-11-25T00:00:00Z", 9, "1991"),
        ("+1991-00-00T00:00:00Z", 11, "1991"),
        ("-0044-03-15T00:00:00Z", 11, "-0044-03-15"),
        ("+1900-00-00T00:00:00Z", 7, "1900"),
        ("yesterday", 11, None),
        ("", 11, None),
    ],
)
def test_dates_are_no_more_precise_than_wikidata(
    time: str, precision: int, expected: str | None
) -> None:
    assert iso_date(time, precision) == expected


def test_times_are_utc() -> None:
    assert utc_time("2018-01-12T15:50:54Z") == datetime(2018, 1, 12, 15, 50, 54, 0, timezone.utc)
    assert utc_time("lately") is None


@pytest.mark.parametrize("text", ["Q0", "Q", "q1", "P1", "Q1 ", "Q-1", "Q\u0661", "Q1\n", ""])
def test_what_is_no_id_is_refused(text: str) -> None:
    assert not is_item(text)
    with pytest.raises(DataError, match=r"ids: .*allowed: ids such as 'Q42'"):
        check_ids(["Q1", text], "ids")


def test_labels_are_one_line_of_text() -> None:
    assert clean(" New\n York\t") == "New York" and clean(" \n") is None
    assert clean("<b>&amp;") == "<b>&amp;"  # text, not markup: escaped where it is shown
