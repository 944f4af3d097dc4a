"""Results as one table."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence

from rich.table import Table

from benchmarks.results import KINDS, Result

_Group = dict[str, list[Result]]


def results_table(results: Sequence[Result], title: str = "") -> Table:
    """Means over the sequences of each length, methods in the order of the results.

    The best average at the end is bold for each number of edits. A method of which a sequence
    failed is shown as failed there: the mean of the others would say something else.
    """
    table = Table(title=title, title_justify="left")
    for header, justify in (
        ("\nedits", "right"),
        ("\nmethod", "left"),
        (f"right after\n{_SCORES}", "left"),
        (f"at the end\n{_SCORES}", "left"),
        ("\nAvg", "right"),
        ("seconds\nan edit", "right"),
    ):
        table.add_column(header, justify=justify, no_wrap=True)  # type: ignore[arg-type]
    for num_edits, methods in sorted(_groups(results).items()):
        averages = {label: _average(group) for label, group in methods.items()}
        best = max((value for value in averages.values() if value is not None), default=None)
        for label, group in methods.items():
            first = label == next(iter(methods))
            name = f"{num_edits} x {len(group)}" if first else ""
            table.add_row(name, label, *_cells(group, averages[label], best))
        table.add_section()
    return table


_SCORES = "Rel  Gen  Loc"
LEGEND = """\
Rel, Gen, Loc: reliability, generality and locality, 0 to 1, right after each
edit and again at the end, after the last one. Avg: their mean at the end, the
best in bold. n x k: k sequences of n edits, nothing restored in between."""


def failures(results: Sequence[Result]) -> list[str]:
    """What went wrong, once for each method and error."""
    found = {
        f"{result.label}: {result.error}": None for result in results if result.status == "failed"
    }
    return list(found)


def _groups(results: Sequence[Result]) -> dict[int, _Group]:
    groups: dict[int, _Group] = defaultdict(lambda: defaultdict(list))
    for result in results:
        groups[result.num_edits][result.label].append(result)
    return groups


def _cells(group: Sequence[Result], average: float | None, best: float | None) -> list[str]:
    if average is None:
        return ["[red]failed[/red]", "[red]failed[/red]", "-", "-"]
    scores = [
        " ".join(_number(_mean(group, f"{when}_{kind}"), 2) for kind in KINDS)
        for when in ("immediate", "final")
    ]
    shown = _number(average, 3)
    return [
        *scores,
        f"[bold]{shown}[/bold]" if average == best else shown,
        _number(_mean(group, "seconds_per_edit"), 3),
    ]


def _average(group: Sequence[Result]) -> float | None:
    """Mean of final reliability, generality and locality; None if a sequence failed."""
    if any(result.status == "failed" for result in group):
        return None
    values = [_mean(group, f"final_{kind}") for kind in KINDS]
    known = [value for value in values if value is not None]
    return sum(known) / len(known) if known else None


def _mean(group: Sequence[Result], name: str) -> float | None:
    values = [getattr(result, name) for result in group]
    known = [value for value in values if value is not None]
    return sum(known) / len(known) if known else None


def _number(value: float | None, digits: int) -> str:
    return "-".ljust(2 + digits) if value is None else f"{value:.{digits}f}"
