"""``python -m benchmarks report``: one page for a paper's appendix."""

from __future__ import annotations

import argparse
from pathlib import Path

from benchmarks.cli.table import results_in

HELP = "Write report.html, and the table and the plots as CSV, LaTeX, PNG and SVG."
EXAMPLES = """examples:
  python -m benchmarks report .cache/benchmarks/study
  python -m benchmarks report benchmarks/results/tiny --out report
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Arguments of the subcommand."""
    parser.add_argument("dir", type=Path, help="what --out of the run was")
    parser.add_argument(
        "--out", type=Path, metavar="DIR", help="where the report goes (default: DIR/report)"
    )


def run(options: argparse.Namespace) -> int:
    """Write the report and say where it is."""
    results_in(options.dir)
    from benchmarks.report import write_report

    print(write_report(options.dir, options.out or options.dir / "report"))
    return 0
