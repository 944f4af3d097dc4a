"""``python -m benchmarks``: run, table, demo; ``train`` and ``cell`` are its worker processes."""

from __future__ import annotations

import argparse
import shlex
import sys
from collections.abc import Sequence
from pathlib import Path

from benchmarks.config import ROOT, BenchmarkConfig
from dafnet_plugin.cli import run_command
from dafnet_plugin.errors import DataError

DATA_DIR = ROOT.parent / "shared" / "data"
EXAMPLES = """examples:
  python -m benchmarks demo
  python -m benchmarks run benchmarks/configs/pararel-tiny.yaml --data-dir DATA --only DAFNET
  python -m benchmarks table .cache/benchmarks/pararel-tiny
"""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a subcommand; what a user got wrong is one message on standard error and status 2."""
    options = _parser().parse_args(arguments)
    return run_command("benchmarks", options, "interrupted; the same command goes on from here")


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks",
        description="Editing methods side by side on sequences of edits.",
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")

    run = commands.add_parser("run", help="build, train, edit, score; show the table")
    run.add_argument("config", help="benchmarks/configs/<name>.yaml")
    run.add_argument(
        "--data-dir", type=Path, default=DATA_DIR, help="folder of the real data sets (%(default)s)"
    )
    run.add_argument(
        "--out", type=Path, help="where everything goes (default: .cache/benchmarks/<name>)"
    )
    run.add_argument("--only", nargs="+", metavar="METHOD", help="methods of the config to run")
    run.add_argument("--device", help="instead of device in the config")
    run.set_defaults(run=_run)

    table = commands.add_parser("table", help="show the table of a finished or partial run")
    table.add_argument("dir", type=Path, help="what --out was")
    table.set_defaults(run=_table)

    demo = commands.add_parser("demo", help="the tiny world, from nothing to a table in minutes")
    demo.add_argument("--out", type=Path, default=Path(".cache/tiny-world"))
    demo.set_defaults(run=_demo)

    for name, what in (("train", "meta-train one method"), ("cell", "edit with one method")):
        worker = commands.add_parser(name, help=f"(a worker process) {what}")
        worker.add_argument("job", help="JSON file written by run")
        worker.set_defaults(run=_train if name == "train" else _cell)
    return parser


def _run(options: argparse.Namespace) -> int:
    config = BenchmarkConfig.read(options.config)
    if options.device is not None:
        config.device = options.device
    out = options.out or Path(".cache/benchmarks") / config.name
    return _show(_results(config, out, options.data_dir, options.only), config.name)


def _results(
    config: BenchmarkConfig, out: Path, data_dir: Path, only: Sequence[str] | None
) -> list:
    from benchmarks.runner import run_benchmark

    command = shlex.join(["python", "-m", "benchmarks", *sys.argv[1:]])
    return run_benchmark(config, data_dir=data_dir, out=out, only=only, command=command)


def _table(options: argparse.Namespace) -> int:
    from benchmarks.results import read_results
    from benchmarks.runner import RESULTS

    results = read_results(options.dir / RESULTS)
    if not results:
        raise DataError(f"{options.dir / RESULTS}: no results")
    return _show(results, str(options.dir))


def _show(results: list, title: str) -> int:
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


def _demo(options: argparse.Namespace) -> int:
    from benchmarks.demo import AFTERWARDS, BEFORE, CONFIG
    from dafnet_plugin.cases import read_cases

    print(BEFORE, flush=True)
    status = _show(_results(BenchmarkConfig.read(CONFIG), options.out, DATA_DIR, None), "demo")
    request = read_cases(options.out / "cases-eval.jsonl")[0].request
    print(
        AFTERWARDS.format(prompt=request.prompt, target=request.target_new, out=options.out),
        end="",
    )
    return status


def _train(options: argparse.Namespace) -> int:
    from benchmarks.jobs import read_training_job
    from benchmarks.meta_training import train

    return train(read_training_job(options.job))


def _cell(options: argparse.Namespace) -> int:
    from benchmarks.cell import run_cell
    from benchmarks.jobs import read_cell_job

    return run_cell(read_cell_job(options.job))


if __name__ == "__main__":
    sys.exit(main())
