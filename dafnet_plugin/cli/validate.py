"""``dafnet validate``: check hyper-parameter files."""

from __future__ import annotations

import argparse
import glob
import sys
from pathlib import Path
from typing import TYPE_CHECKING

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
    """Check each DAFNet file; status 1 if any is wrong."""
    from dafnet_plugin.architectures.check import Skeletons, check
    from dafnet_plugin.cli.hparams_files import read_hparams
    from dafnet_plugin.errors import ConfigError, ModelError

    if not options.paths and not Path(EVERYTHING).is_dir():
        raise ConfigError(f"no folder {EVERYTHING} in this directory; name files or folders")
    skeletons = Skeletons()
    wrong = 0
    for file in files_of(options.paths or [EVERYTHING]):
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
            for line in _lines(findings, hparams.model_name):
                print(f"  {line}")
    return 1 if wrong else 0


def _lines(findings: Findings | None, model_name: str) -> list[str]:
    from dafnet_plugin.architectures.plan import readable, readable_count

    if findings is None:
        return [
            f"schema only: {model_name!r} is neither a directory with a config.json, nor a model "
            "of the table, nor in a cache, so that its modules could not be looked at"
        ]
    plan = findings.plan
    return [
        f"{findings.skeleton.origin}: {len(findings.modules)} modules; network of "
        f"{readable_count(plan.network_parameters)} parameters; editing takes "
        f"{readable(plan.editing(0))} beside the model's {readable(plan.model)}",
        *findings.notes,
    ]


def files_of(paths: list[str]) -> list[Path]:
    """The files that paths mean; of folders and patterns those of DAFNet, the only known schema.

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
        files += [file for file in found if "DAFNET" in file.parts and file.suffix == ".yaml"]
    if not files:
        raise ConfigError(f"no DAFNet file in {', '.join(paths)}")
    return list(dict.fromkeys(files))
