"""``python -m benchmarks demo``: the tiny world, from nothing to a table."""

from __future__ import annotations

import argparse
from pathlib import Path

HELP = "Run four methods on the tiny world, from nothing to a table in minutes."
EXAMPLES = """example:
  python -m benchmarks demo
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Arguments of the subcommand."""
    parser.add_argument(
        "--out", type=Path, default=Path(".cache/tiny-world"), metavar="DIR", help="(%(default)s)"
    )


def run(options: argparse.Namespace) -> int:
    """Run it, and tell what it shows and what to do next."""
    from benchmarks.cli import DATA_DIR
    from benchmarks.cli.run import results_of
    from benchmarks.cli.table import show
    from benchmarks.config import BenchmarkConfig
    from benchmarks.demo import BEFORE, CONFIG, afterwards, publish

    print(BEFORE, flush=True)
    config = BenchmarkConfig.read(CONFIG)
    status = show(results_of(config, options.out, DATA_DIR), "demo")
    publish(config, options.out)
    print(afterwards(config, options.out), end="")
    return status
