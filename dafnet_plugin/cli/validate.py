"""``dafnet validate``: check hyper-parameter files."""

from __future__ import annotations

import argparse
import dataclasses
import sys
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from dafnet_plugin.registered import RegisteredConfig

HELP = "Check hyper-parameter files and say everything that is wrong with them."
EXAMPLE = """example:
  dafnet validate hparams/DAFNET/tiny-gpt2.yaml
  dafnet validate hparams
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Arguments of the subcommand."""
    parser.add_argument("paths", nargs="+", help="YAML files, or folders of them")


def run(options: argparse.Namespace) -> int:
    """Check each file of this package's methods; status 1 if any is wrong."""
    from dafnet_plugin.errors import ConfigError
    from dafnet_plugin.methods import own_methods

    files: list[Path] = []
    for name in map(Path, options.paths):
        # Only the files of these methods have a schema here; a folder may hold those of others.
        files += (
            sorted(p for p in name.rglob("*.yaml") if own_methods() & set(p.parts))
            if name.is_dir()
            else [name]
        )
    if not files:
        raise ConfigError(f"no file of {_names()} in {', '.join(options.paths)}")
    wrong = 0
    for file in files:
        try:
            _kind(file).read(file)
        except ConfigError as error:
            wrong += 1
            print(error, file=sys.stderr)
        else:
            print(f"{file}: ok")
    return 1 if wrong else 0


def _kind(file: Path) -> type[RegisteredConfig]:
    """The class of a file's hyper-parameters, by its ``alg_name``, folder and keys.

    Raises:
        ConfigError: of a method of which there is only the other kind.
    """
    from dafnet_plugin.errors import ConfigError
    from dafnet_plugin.methods import hparams_class, own_methods
    from dafnet_plugin.schema import read_values

    values = read_values(file)
    found = {str(values.get("alg_name")), *file.parts} & own_methods()
    alg_name = found.pop() if len(found) == 1 else "DAFNET"
    editing, training = hparams_class(alg_name), hparams_class(alg_name, training=True)
    if training is None:
        if "TRAINING" in file.parts:
            raise ConfigError(f"{file}: {alg_name} is not meta-trained")
        return editing  # type: ignore[return-value]
    only_training = {item.name for item in dataclasses.fields(training)} - {
        item.name
        for item in dataclasses.fields(editing)  # type: ignore[arg-type]
    }
    return training if "TRAINING" in file.parts or set(values) & only_training else editing  # type: ignore[return-value]


def _names() -> str:
    from dafnet_plugin.methods import own_methods

    return ", ".join(sorted(own_methods()))
