"""``dafnet validate``: check hyper-parameter files."""

from __future__ import annotations

import argparse
import glob
import sys
from collections.abc import Collection, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from dafnet_plugin.architectures.check import Findings

HELP = "Check hyper-parameter files, and that they fit the model they name; needs no weights."
EXAMPLE = """example:
  dafnet validate
  dafnet validate hparams/DAFNET/gpt2-xl.yaml 'hparams/**/qwen*.yaml'
  dafnet validate hparams
"""
EVERYTHING = "hparams"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Arguments of the subcommand."""
    parser.add_argument(
        "paths",
        nargs="*",
        metavar="PATH",
        help=f"YAML files, folders of them, or patterns; without any: {EVERYTHING}",
    )


def run(options: argparse.Namespace) -> int:
    """Check each file of this package's methods; status 1 if any is wrong."""
    from dafnet_plugin.architectures.check import Skeletons, check
    from dafnet_plugin.cli.hparams_files import read_hparams
    from dafnet_plugin.errors import ConfigError, ModelError
    from dafnet_plugin.methods import own_methods

    if not options.paths and not Path(EVERYTHING).is_dir():
        raise ConfigError(f"no folder {EVERYTHING} in this directory; name files or folders")
    skeletons = Skeletons()
    wrong = 0
    for file in files_of(options.paths or [EVERYTHING], own_methods()):
        try:
            hparams = read_hparams(file)
            skeleton = skeletons.find(hparams.model_name)
            findings = check(hparams, skeleton, str(file)) if skeleton else None
        except ConfigError as error:
            wrong += 1
            print(error, file=sys.stderr)
        except ModelError as error:
            wrong += 1
            print(f"{file}: model_name: {error}", file=sys.stderr)
        else:
            print(f"{file}: ok")
            for line in _lines(findings, hparams):
                print(f"  {line}")
    return 1 if wrong else 0


def _lines(findings: Findings | None, hparams: Any) -> list[str]:
    from dafnet_plugin.architectures.plan import readable, readable_count

    if findings is None:
        return [
            f"schema only: {hparams.model_name!r} is neither a directory with a config.json, nor a "
            "model of the table, nor in a cache, so that its modules could not be looked at"
        ]
    found = f"{findings.skeleton.origin}: {len(hparams.edit_modules)} modules"
    plan = findings.plan
    if plan is not None:
        found += (
            f"; network of {readable_count(plan.network_parameters)} parameters; editing takes "
            f"{readable(plan.editing(0))} beside the model's {readable(plan.model)}"
        )
    return [found, *findings.notes]


def files_of(paths: Sequence[str], methods: Collection[str]) -> list[Path]:
    """The files that paths mean; of folders and patterns those of methods whose schema is known.

    Args:
        methods: by their names in EasyEdit, which are also those of their folders.

    Raises:
        ConfigError: they mean none.
    """
    from dafnet_plugin.errors import ConfigError

    files: list[Path] = []
    for path in map(Path, paths):
        if path.is_dir():
            found = sorted(path.rglob("*.yaml"))
        elif path.is_file() or not glob.has_magic(str(path)):
            files.append(path)
            continue
        else:
            found = sorted(map(Path, glob.glob(str(path), recursive=True)))
        files += [f for f in found if f.suffix == ".yaml" and set(methods) & set(f.parts)]
    if not files:
        raise ConfigError(f"no file of {', '.join(sorted(methods))} in {', '.join(paths)}")
    return list(dict.fromkeys(files))
