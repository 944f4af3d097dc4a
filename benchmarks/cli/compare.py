"""``python -m benchmarks compare``: two runs side by side."""

from __future__ import annotations

import argparse
from pathlib import Path

HELP = "Compare two folders of results, sequence by sequence."
EXAMPLES = """examples:
  python -m benchmarks compare benchmarks/results/tiny .cache/benchmarks/study
  python -m benchmarks compare old new --score reliability --when immediate
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Arguments of the subcommand."""
    parser.add_argument("first", type=Path, help="folder with a results.jsonl")
    parser.add_argument("second", type=Path, help="another")
    parser.add_argument(
        "--score",
        choices=("average", "reliability", "generality", "locality", "portability"),
        default="average",
        help="what is compared; average: of reliability, generality, locality (%(default)s)",
    )
    parser.add_argument(
        "--when",
        choices=("before", "immediate", "final"),
        default="final",
        help="before any edit, right after each edit, or after the last one (%(default)s)",
    )


def run(options: argparse.Namespace) -> int:
    """Show the comparison."""
    from rich.console import Console

    from benchmarks.compare import LEGEND, compare_folders, compare_tables

    rows = compare_folders(options.first, options.second, options.when)
    console = Console()
    console.print(f"{options.when} {options.score}\nfirst:  {options.first}", highlight=False)
    console.print(f"second: {options.second}", highlight=False)
    for table in compare_tables(rows, options.score):
        console.print(table)
    console.print(LEGEND, highlight=False, markup=False)
    return 0
