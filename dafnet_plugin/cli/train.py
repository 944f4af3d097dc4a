"""``dafnet train``: meta-train a DAFNet or a KnowledgeEditor."""

from __future__ import annotations

import argparse
import shlex
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from dafnet_plugin.cases import EditCase

HELP = "Meta-train DAFNet or KE from a YAML file; Ctrl-C stops, --resume goes on."
EXAMPLE = """example:
  dafnet world --out .cache/tiny-world
  dafnet train hparams/TRAINING/DAFNET/tiny-gpt2.yaml
  dafnet train hparams/TRAINING/DAFNET/tiny-gpt2.yaml --resume
  dafnet train hparams/TRAINING/DAFNET/tiny-gpt2.yaml --train cases.jsonl path/to/dafset
  dafnet train hparams/TRAINING/KE/tiny-gpt2.yaml
  accelerate launch --num_processes 4 --no_python dafnet train my-model.yaml
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Arguments of the subcommand."""
    parser.add_argument("hparams", help="hparams/TRAINING/<METHOD>/<model>.yaml")
    parser.add_argument("--train", nargs="+", metavar="PATH", help="instead of train_path")
    parser.add_argument("--val", nargs="+", metavar="PATH", help="instead of val_path")
    parser.add_argument("--model", metavar="DIR", help="instead of model_name")
    parser.add_argument("--out", metavar="DIR", help="instead of results_dir")
    parser.add_argument("--device", help="instead of device")
    parser.add_argument("--resume", action="store_true", help="go on where a stopped run left off")


def run(options: argparse.Namespace) -> int:
    """Train and say where the checkpoint is."""
    from dafnet_plugin.cli.hparams_files import method_of
    from dafnet_plugin.errors import ConfigError
    from dafnet_plugin.methods import hparams_class
    from dafnet_plugin.methods.trainers import trainer_class
    from dafnet_plugin.schema import read_values

    named = read_values(options.hparams).get("alg_name")
    alg_name = method_of(Path(options.hparams), named)
    try:
        trainer_kind = trainer_class(alg_name)
    except ConfigError as error:
        raise ConfigError(f"{options.hparams}: {error}") from error
    kind: Any = hparams_class(alg_name, training=True)
    config = kind.read(
        options.hparams,
        {
            "train_path": options.train,
            "val_path": options.val,
            "model_name": options.model,
            "results_dir": options.out,
            "device": options.device,
        },
    )
    if config.train_path is None:
        raise ConfigError(
            f"{options.hparams}: train_path: null; a case file is needed (or --train)"
        )
    train = read_sources(_paths(config.train_path), "train")
    validation = read_sources(_paths(config.val_path), "eval")
    val = [case for cases in validation.values() for case in cases]
    trainer = trainer_kind(config, train, val or None, resume=options.resume)
    try:
        checkpoint = trainer.run()
    except KeyboardInterrupt:
        again = shlex.join(word for word in options.arguments if word != "--resume")
        if trainer.processes.main:
            print(
                f"stopped after {trainer.state.iteration} iterations; "
                f"go on with: dafnet {again} --resume",
                file=sys.stderr,
            )
        return 130
    if trainer.processes.main:
        print(f"{trainer.directory}: best of {checkpoint.training['iteration']} iterations")
    return 0


def read_sources(paths: Sequence[str], split: str) -> dict[str, Sequence[EditCase]]:
    """Edit cases by source: case files, and the files of DAFSets, which are folders.

    Args:
        split: of DAFSets, ``"train"`` or ``"eval"``.

    Raises:
        DataError: a file is missing or malformed.
    """
    from dafnet_plugin.cases import read_cases
    from dafnet_plugin.data.dafset import DAFSetDataset

    sources: dict[str, Sequence[EditCase]] = {}
    for path in paths:
        if Path(path).is_dir():
            parts = DAFSetDataset(path, split).sources
            sources |= {f"{path}/{name}": cases for name, cases in parts.items()}
        else:
            sources[path] = read_cases(path)
    return sources


def _paths(value: list[str] | str | None) -> list[str]:
    if value is None:
        return []
    return [value] if isinstance(value, str) else value
