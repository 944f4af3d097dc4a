"""``python -m benchmarks table``: results on the terminal."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

from benchmarks.results import Result
from dafnet_plugin.errors import DataError

HELP = "Show the table of a finished or partial run."
EXAMPLES = """examples:
  python -m benchmarks table .cache/benchmarks/pararel-tiny
  python -m benchmarks table benchmarks/results/tiny
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Arguments of the subcommand."""
    parser.add_argument("dir", type=Path, help="what --out was")


def run(options: argparse.Namespace) -> int:
    """Show a table for each data set and model."""
    from benchmarks.manifest import in_order

    return show(in_order(options.dir, results_in(options.dir)), str(options.dir))


def results_in(folder: Path) -> list[Result]:
    """The results of a folder.

    Raises:
        DataError: there are none.
    """
    from benchmarks.collect import RESULTS
    from benchmarks.results import read_results

    results = read_results(folder / RESULTS)
    if not results:
        raise DataError(f"{folder / RESULTS}: no results")
    return results


def show(results: Sequence[Result], title: str) -> int:
    """Print a table for each data set and model; status 1 if anything failed."""
    from rich.console import Console

    from benchmarks.table import LEGEND, failures, results_table

    console = Console()
    for dataset, model in dict.fromkeys((r.dataset, r.model) for r in results):
        some = [r for r in results if (r.dataset, r.model) == (dataset, model)]
        console.print(results_table(some, f"{title}: {dataset}, {model}"))
    console.print(LEGEND, highlight=False)
    failed = failures(results)
    for line in failed:
        console.print(f"failed: {line}", style="red", markup=False)
    return 1 if failed else 0
