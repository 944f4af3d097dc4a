"""``python -m benchmarks run``: the grid of a config."""

from __future__ import annotations

import argparse
import os
import shlex
import sys
from collections.abc import Sequence
from pathlib import Path

from benchmarks.cli import add_config, read_config
from benchmarks.config import BenchmarkConfig
from benchmarks.pool import Pool
from benchmarks.results import Result
from dafnet_plugin.errors import ConfigError

HELP = "Build, meta-train, edit and score what is not there yet; show the table."
EXAMPLES = """examples:
  python -m benchmarks run benchmarks/configs/pararel-tiny.yaml --data-dir DATA
  python -m benchmarks run benchmarks/configs/study.yaml --jobs 2
  python -m benchmarks run benchmarks/configs/study.yaml --only DAFNET GRACE dataset=zsre
  python -m benchmarks run benchmarks/configs/study.yaml --ray 10.0.0.1:6379

A run that was stopped, by Ctrl-C, a crash or kill -9, goes on when the same command is given
again: sequences that have their line in results.jsonl are not run twice, sequences that failed
are tried again, and the meta-training of DAFNet goes on from its last saved state. A line counts
as long as what it depends on (code, data, base model, settings, EasyEdit) is the same.
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Arguments of the subcommand."""
    add_config(parser)
    parser.add_argument(
        "--resume",
        action="store_true",
        help="go on in --out even if it holds results of another benchmark; results of the same "
        "one are always gone on from",
    )
    parser.add_argument(
        "--ray",
        nargs="?",
        const="",
        metavar="ADDRESS",
        help="run on a Ray cluster; without an address, on RAY_ADDRESS or one started here",
    )


def run(options: argparse.Namespace) -> int:
    """Run, and show the table; status 1 if anything failed."""
    from benchmarks.cli.table import show

    config, out = read_config(options)
    if options.ray is not None and options.jobs > 1:
        raise ConfigError("--jobs and --ray exclude each other: Ray decides what runs at once")
    results = results_of(
        config,
        out,
        options.data_dir,
        only=options.only,
        resume=options.resume,
        pool=_pool(options, config),
    )
    return show(results, config.name)


def results_of(
    config: BenchmarkConfig,
    out: Path,
    data_dir: Path,
    *,
    only: Sequence[str] | None = None,
    resume: bool = False,
    pool: Pool | None = None,
) -> list[Result]:
    """Run a benchmark with the command line of this process in its results."""
    from benchmarks.runner import run_benchmark

    command = shlex.join(["python", "-m", "benchmarks", *sys.argv[1:]])
    return run_benchmark(
        config, data_dir=data_dir, out=out, only=only, command=command, resume=resume, pool=pool
    )


def _pool(options: argparse.Namespace, config: BenchmarkConfig) -> Pool:
    if options.ray is not None:
        from benchmarks.distributed import RayPool

        return RayPool(options.ray or None)
    from benchmarks.pool import LocalPool

    cores = os.cpu_count() or 1
    if options.jobs * (config.threads or cores) > max(cores, options.jobs):
        print(
            f"{options.jobs} processes of {config.threads or cores} threads on {cores} cores slow "
            "each other down; `threads` in the config sets how many each has",
            file=sys.stderr,
        )
    return LocalPool(options.jobs)
