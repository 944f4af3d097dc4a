"""``dafnet validate``: check hyper-parameter files."""

from __future__ import annotations

import argparse
import dataclasses
import sys
from pathlib import Path

HELP = "Check hyper-parameter files and say everything that is wrong with them."
EXAMPLE = """example:
  dafnet validate hparams/DAFNET/tiny-gpt2.yaml
  dafnet validate hparams
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Arguments of the subcommand."""
    parser.add_argument("paths", nargs="+", help="YAML files, or folders of them")


def run(options: argparse.Namespace) -> int:
    """Check each DAFNet file; status 1 if any is wrong."""
    from dafnet_plugin.errors import ConfigError
    from dafnet_plugin.hparams import DAFNetHparams, DAFNetTrainingHparams
    from dafnet_plugin.schema import read_keys

    files: list[Path] = []
    for name in map(Path, options.paths):
        # Only DAFNet's own files have this schema; a folder may hold those of other methods.
        files += (
            sorted(p for p in name.rglob("*.yaml") if "DAFNET" in p.parts)
            if name.is_dir()
            else [name]
        )
    if not files:
        raise ConfigError(f"no DAFNet file in {', '.join(options.paths)}")
    only_training = {item.name for item in dataclasses.fields(DAFNetTrainingHparams)} - {
        item.name for item in dataclasses.fields(DAFNetHparams)
    }
    wrong = 0
    for file in files:
        try:
            training = "TRAINING" in file.parts or read_keys(file) & only_training
            kind = DAFNetTrainingHparams if training else DAFNetHparams
            kind.read(file)
        except ConfigError as error:
            wrong += 1
            print(error, file=sys.stderr)
        else:
            print(f"{file}: ok")
    return 1 if wrong else 0
