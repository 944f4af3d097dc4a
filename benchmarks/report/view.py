"""Tables as the page shows them: cells of text, with what else is to be said of each number."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate

from benchmarks.intervals import Comparison, Interval
from benchmarks.report.model import DIGITS, Group
from benchmarks.results import Result

TIMES, MINUS, DASH = "\u00d7", "\u2212", "\u2013"
NONE = DASH
"""Stands for what was not measured, or not run."""


@dataclass(frozen=True)
class Cell:
    """One cell.

    Attributes:
        text: what is read first.
        small: more, in small print (95 % intervals); shown on demand.
        note: more, in small print, always shown.
        title: all about the number, shown when the pointer rests on it.
        marks: CSS classes: ``best``, ``close``; ``failed``, ``missing``, ``partial``; ``strong``;
            ``text`` (not a number), ``wrap`` (text on several lines), ``code``.
        span: columns it takes.
        link: anchor in the page that the text leads to.
    """

    text: str
    small: str = ""
    note: str = ""
    title: str = ""
    marks: tuple[str, ...] = ()
    span: int = 1
    link: str = ""


@dataclass(frozen=True)
class Row:
    """One row.

    Attributes:
        label: of the method that the row is about, if it is about one.
        reference: whether it is what methods are to be compared with, not one of them.
    """

    head: str
    cells: Sequence[Cell]
    label: str = ""
    reference: bool = False


@dataclass(frozen=True)
class Body:
    """Rows under a heading of their own."""

    rows: Sequence[Row]
    heading: str = ""


@dataclass(frozen=True)
class Table:
    """A table of the page.

    Attributes:
        name: its anchor.
        corner: header of the column of row heads.
        groups: headers over several columns each, with how many; none for a single header row.
        columns: headers of the columns.
        notes: what stands below it.
    """

    name: str
    caption: str
    corner: str
    columns: Sequence[str]
    bodies: Sequence[Body]
    groups: Sequence[tuple[str, int]] = ()
    notes: Sequence[str] = ()

    @property
    def texts(self) -> set[int]:
        """Which columns hold text, not numbers."""
        rows = [row for body in self.bodies for row in body.rows]
        return {n for row in rows for n, cell in enumerate(row.cells) if "text" in cell.marks}

    @property
    def starts(self) -> set[int]:
        """Which columns are the first of their group."""
        return set(accumulate((span for _, span in self.groups[:-1]), initial=0))


def score_text(value: float | None) -> str:
    """A share from 0 to 1."""
    return NONE if value is None else f"{value:.{DIGITS}f}"


def number_text(value: float | None, digits: int = 3) -> str:
    """Any other number, to so many significant digits; whole ones from 1,000 on."""
    if value is None:
        return NONE
    if not value:
        return "0"
    if abs(value) >= 1000:
        return f"{value:,.0f}"
    if abs(value) < 1e-4:
        return f"{value:.1e}"
    return f"{value:#.{digits}g}".removesuffix(".")


def range_text(interval: Interval | Comparison | None, digits: int | None = None) -> str:
    """``low–high`` of an interval, nothing where there is none; scores if ``digits`` is None.

    Scores are without the zero before the point, so that sixteen columns fit a screen.
    """
    if interval is None or interval.low is None or interval.high is None:
        return ""
    if digits is None:
        low, high = (score_text(end).removeprefix("0") for end in (interval.low, interval.high))
        return f"{low}{DASH}{high}"
    return f"{number_text(interval.low, digits)}{DASH}{number_text(interval.high, digits)}"


def interval_title(interval: Interval) -> str:
    """An interval in words."""
    of = f"{interval.units:,} {interval.unit}"
    bounds = range_text(interval)
    return f"95 % interval {bounds}, bootstrap over {of}" if bounds else f"no interval: {of}"


def difference_text(comparison: Comparison) -> str:
    """A difference with its sign, and its interval if there is one."""
    text = _signed(comparison.difference)
    if comparison.low is None or comparison.high is None:
        return text
    return f"{text} [{_signed(comparison.low)}, {_signed(comparison.high)}]"


def _signed(value: float) -> str:
    return f"{value:+.{DIGITS}f}".replace("-", MINUS)


def counted(number: int, noun: str) -> str:
    """``1 edit``, ``1,000 edits``."""
    return f"{number:,} {noun}{'' if number == 1 else 's'}"


def absent(group: Group, span: int = 1) -> Cell | None:
    """The cell of a group without numbers to show; None if it has some."""
    if group.shown:
        return None
    if group.status == "missing":
        return Cell("not run", marks=("missing",), span=span, title="there is no result")
    count = f"{len(group.failed)} of {len(group.results)}"
    others = group.scores.get("final", {}).get("average")
    rest = f"; the others average {score_text(others.value)}" if others else ""
    return Cell(
        "failed",
        note=f"{count} failed{rest}" if span > 1 else count,
        title="; ".join(errors(group.failed)),
        marks=("failed",),
        span=span,
    )


def errors(results: Sequence[Result]) -> list[str]:
    """What went wrong, each error once."""
    return list(dict.fromkeys(result.error or "no error was recorded" for result in results))


def hashes(results: Sequence[Result]) -> str:
    """Config hashes of results, each once."""
    return ", ".join(dict.fromkeys(result.config_hash for result in results))
