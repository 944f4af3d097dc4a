"""``python -m benchmarks``: one file a subcommand."""

from __future__ import annotations

import argparse
import importlib
from collections.abc import Sequence
from pathlib import Path

from benchmarks.config import ROOT, BenchmarkConfig
from dafnet_plugin.cli import run_command

COMMANDS = ("run", "plan", "table", "report", "compare", "tune", "demo")
DATA_DIR = ROOT.parent / "shared" / "data"


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a subcommand; what a user got wrong is one message on standard error and status 2."""
    options = _parser().parse_args(arguments)
    return run_command("benchmarks", options, "interrupted; the same command goes on from here")


def add_config(parser: argparse.ArgumentParser) -> None:
    """The arguments that say what is run, and where."""
    parser.add_argument("config", help="benchmarks/configs/<name>.yaml")
    parser.add_argument(
        "--data-dir",
        type=Path,
        default=DATA_DIR,
        metavar="DIR",
        help="folder of the real data sets (%(default)s)",
    )
    parser.add_argument(
        "--out",
        type=Path,
        metavar="DIR",
        help="where everything goes (default: .cache/benchmarks/<name>)",
    )
    parser.add_argument(
        "--only",
        action="extend",
        nargs="+",
        metavar="WHAT",
        help="some of the grid: methods by name or label, dataset=NAME, model=NAME, seed=N",
    )
    parser.add_argument(
        "--jobs",
        type=positive,
        default=1,
        metavar="N",
        help="processes at once, each with as many threads as the config says (%(default)s)",
    )
    parser.add_argument("--device", help="instead of device in the config")


def read_config(options: argparse.Namespace) -> tuple[BenchmarkConfig, Path]:
    """The config of :func:`add_config` and its output folder."""
    config = BenchmarkConfig.read(options.config, {"device": options.device})
    return config, options.out or Path(".cache/benchmarks") / config.name


def positive(text: str) -> int:
    """A whole number above 0, for ``argparse``."""
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError("allowed: at least 1")
    return number


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks",
        description="Editing methods side by side on sequences of edits.",
        epilog="python -m benchmarks COMMAND --help shows the arguments and examples of each.",
    )
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    for name in COMMANDS:
        # Each file imports what it needs when it runs: --help must be quick.
        module = importlib.import_module(f"benchmarks.cli.{name}")
        command = commands.add_parser(
            name,
            help=module.HELP,
            description=module.HELP,
            epilog=module.EXAMPLES,
            formatter_class=argparse.RawDescriptionHelpFormatter,
        )
        module.add_arguments(command)
        command.set_defaults(run=module.run)
    worker = commands.add_parser("worker", help="(what run starts) do one job in this process")
    worker.add_argument("kind", choices=("prepare", "train", "cell", "tune"))
    worker.add_argument("job", help="JSON file written by run")
    worker.set_defaults(run=_worker)
    return parser


def _worker(options: argparse.Namespace) -> int:
    from benchmarks.worker import run_worker

    return run_worker(options.kind, Path(options.job))
