"""Two folders of results side by side, sequence by sequence: ``python -m benchmarks compare``."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from rich.table import Table

from benchmarks.collect import RESULTS
from benchmarks.intervals import Comparison, When
from benchmarks.intervals import compare as paired
from benchmarks.results import Details, Result, details_path, read_details, read_results
from dafnet_plugin.errors import DataError


@dataclass(frozen=True)
class Row:
    """One method at one length in both folders.

    Attributes:
        scores: by name, the second folder minus the first; empty if the folders have no sequence
            in common that went well.
        common, first, second: sequences that are in both, and those only in one of them.
        failed: sequences in both of which at least one failed.
        same_hash: how many of the common ones depended on the same things; the scores of those
            can only differ by chance.
    """

    dataset: str
    model: str
    label: str
    num_edits: int
    scores: dict[str, Comparison]
    common: int
    first: int
    second: int
    failed: int
    same_hash: int


def compare_folders(first: Path, second: Path, when: When = "final") -> list[Row]:
    """Pair the results of two runs by data set, model, method, length, sequence and seed.

    Raises:
        DataError: a folder has no results, or the two have nothing in common.
    """
    ours, theirs = (_by_key(folder) for folder in (first, second))
    groups: dict[tuple[str, str, str, int], None] = {
        (r.dataset, r.model, r.label, r.num_edits): None for r in (*ours.values(), *theirs.values())
    }
    if not ours.keys() & theirs.keys():
        raise DataError(f"{first} and {second} have no sequence of edits in common")
    rows = []
    for group in groups:
        keys = {k for k, r in (*ours.items(), *theirs.items()) if _group(r) == group}
        common = sorted(keys & ours.keys() & theirs.keys())
        good = [key for key in common if ours[key].status == theirs[key].status == "ok"]
        pairs = [(ours[key], theirs[key]) for key in good]
        scores = {}
        if pairs:
            scores = paired(
                [b for _, b in pairs],
                [a for a, _ in pairs],
                _details(second, (b for _, b in pairs)),
                _details(first, (a for a, _ in pairs)),
                when=when,
            )
        rows.append(
            Row(
                *group,
                scores=scores,
                common=len(common),
                first=len(keys & ours.keys() - theirs.keys()),
                second=len(keys & theirs.keys() - ours.keys()),
                failed=len(common) - len(good),
                same_hash=sum(ours[k].config_hash == theirs[k].config_hash for k in common),
            )
        )
    return rows


def _group(result: Result) -> tuple[str, str, str, int]:
    return result.dataset, result.model, result.label, result.num_edits


def _by_key(folder: Path) -> dict[tuple, Result]:
    results = read_results(folder / RESULTS)
    if not results:
        raise DataError(f"{folder / RESULTS}: no results")
    return {result.key: result for result in results}


def _details(folder: Path, results: Iterable[Result]) -> list[Details | None]:
    """Those that belong to the results: others were left by an earlier run."""
    found = []
    for result in results:
        details = read_details(details_path(folder, result))
        same = details is not None and details.config_hash == result.config_hash
        found.append(details if same else None)
    return found


def compare_tables(rows: Sequence[Row], score: str = "average") -> list[Table]:
    """The rows as a table for each data set and model.

    A clear difference, whose 95 % interval excludes 0, is bold.
    """
    tables = []
    for place in dict.fromkeys((row.dataset, row.model) for row in rows):
        table = Table(title=", ".join(place), title_justify="left")
        table.add_column("edits", justify="right", no_wrap=True)
        table.add_column("method", no_wrap=True)
        for header in ("first", "second", "second - first", "sequences"):
            table.add_column(header, justify="right", no_wrap=True)
        mine = sorted(
            (row for row in rows if (row.dataset, row.model) == place),
            key=lambda row: row.num_edits,  # methods stay in their order
        )
        last = 0
        for row in mine:
            if last and row.num_edits != last:
                table.add_section()
            edits = "" if row.num_edits == last else str(row.num_edits)
            table.add_row(edits, row.label, *_numbers(row, score))
            last = row.num_edits
        tables.append(table)
    return tables


def _numbers(row: Row, score: str) -> list[str]:
    sequences = (
        f"{row.common}{'=' if row.common and row.same_hash == row.common else ''}"
        + "".join(
            f" {sign}{count}" for sign, count in (("-", row.first), ("+", row.second)) if count
        )
    )
    if row.failed:
        sequences += f" ({row.failed} failed)"
    found = row.scores.get(score)
    if found is None:
        missing = "[red]failed[/red]" if row.failed else "-"
        return [missing, missing, "-", sequences]
    difference = f"{found.difference:+.3f}"
    if found.clear:
        difference = f"[bold]{difference}[/bold]"
    if found.low is not None and found.high is not None:
        difference += rf" \[{found.low:+.3f}, {found.high:+.3f}]"
    return [f"{found.second:.3f}", f"{found.first:.3f}", difference, sequences]


LEGEND = """\
Paired by sequence of edits; in brackets the 95 % interval of the difference,
which is bold where that excludes 0. sequences: those in both folders (=: all
with the same code, data, model and settings); -n, +n: those only in the first,
only in the second."""
