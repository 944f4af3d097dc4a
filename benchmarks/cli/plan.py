"""``python -m benchmarks plan``: what a run would do."""

from __future__ import annotations

import argparse

from benchmarks.cli import add_config, read_config

HELP = "Show what a run would do, and how long it may take and how much memory."
EXAMPLES = """examples:
  python -m benchmarks plan benchmarks/configs/study.yaml --jobs 2
  python -m benchmarks plan benchmarks/configs/study.yaml --only MEND dataset=zsre

Nothing is run. The estimates come from earlier results: in --out, then in benchmarks/results.
Where there are none, they are unknown. "> 3 min": without loading and scoring, which the earlier
results do not tell.
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Arguments of the subcommand."""
    add_config(parser)


def run(options: argparse.Namespace) -> int:
    """Show the plan."""
    from rich.console import Console

    from benchmarks.plan import plan, plan_tables, summary

    config, out = read_config(options)
    steps = plan(config, options.data_dir, out, options.only)
    console = Console()
    for table in plan_tables(steps):
        console.print(table)
    console.print(f"{config.name}, into {out}:", highlight=False)
    console.print(summary(steps, options.jobs), highlight=False)
    return 0
