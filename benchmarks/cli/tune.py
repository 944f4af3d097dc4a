"""``python -m benchmarks tune``: search the settings of methods."""

from __future__ import annotations

import argparse

from benchmarks.cli import add_config, positive, read_config

HELP = "Search the settings of methods, with the same budget for each, on training facts only."
EXAMPLES = """examples:
  python -m benchmarks tune benchmarks/configs/study.yaml --only dataset=pararel --jobs 2
  python -m benchmarks tune benchmarks/configs/study.yaml --only GRACE dataset=pararel --trials 30
  python -m benchmarks tune benchmarks/configs/study.yaml --only dataset=pararel --write

The spaces are benchmarks/tuning/<METHOD>.yaml. Each trial is a line of
benchmarks/results/tuning/<METHOD>-<model>.jsonl and is not run again. --write puts the best into
the YAML files of the config.
"""


TRIALS, TRAINING_SECONDS = 16, 120
"""Those of ``benchmarks.tuning.Budget``, without importing all that tuning needs."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Arguments of the subcommand."""
    add_config(parser)
    parser.add_argument(
        "--trials",
        type=positive,
        default=TRIALS,
        metavar="N",
        help="settings tried, the YAML file's own included (%(default)s)",
    )
    parser.add_argument(
        "--seconds", type=positive, metavar="S", help="begin no trial of a method after so long"
    )
    parser.add_argument(
        "--training-seconds",
        type=positive,
        default=TRAINING_SECONDS,
        metavar="S",
        help="of each meta-training, for methods with one (%(default)s)",
    )
    parser.add_argument("--write", action="store_true", help="put the best into the YAML files")


def run(options: argparse.Namespace) -> int:
    """Tune, and show the best of each; status 1 if anything failed."""
    from rich.console import Console

    from benchmarks.display import Display
    from benchmarks.grid import Filter
    from benchmarks.inventory import Inventory
    from benchmarks.pool import LocalPool
    from benchmarks.tuning import Budget, best_trial
    from benchmarks.tuning_jobs import best_table, tune_cells, write_best

    config, out = read_config(options)
    inventory = Inventory(config, options.data_dir, out)
    cells = list(filter(Filter(config, options.only), inventory.cells()))
    budget = Budget(options.trials, options.seconds, options.training_seconds)
    tunings = tune_cells(inventory, cells, budget, LocalPool(options.jobs), Display())
    Console().print(best_table(tunings))
    if options.write:
        for tuning in tunings:
            for path in write_best(tuning):
                print(path)
    failed = [one for one in tunings if one.error or best_trial(one.tried) is None]
    return 1 if failed else 0
