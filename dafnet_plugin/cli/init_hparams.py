"""``dafnet init-hparams``: YAML files for a model that has none yet."""

from __future__ import annotations

import argparse
import os
from pathlib import Path

HELP = "Write hyper-parameters for a model we have never seen, found by its structure."
EXAMPLE = """example:
  dafnet init-hparams --model ./models/my-model
  dafnet init-hparams --model config.json --name my-model --out my-hparams
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Arguments of the subcommand."""
    parser.add_argument(
        "--model", required=True, metavar="PATH", help="a model's directory, or its config.json"
    )
    parser.add_argument("--name", help="of the files; without it, that of the directory")
    parser.add_argument(
        "--out",
        default="hparams",
        metavar="DIR",
        help="DAFNET/NAME.yaml and TRAINING/DAFNET/NAME.yaml are written below it (hparams)",
    )
    parser.add_argument("--force", action="store_true", help="replace files that are there")


def run(options: argparse.Namespace) -> int:
    """Look at the model, write both files and say which modules were chosen."""
    from dafnet_plugin.architectures.propose import propose
    from dafnet_plugin.architectures.skeleton import skeleton_of_path
    from dafnet_plugin.errors import ConfigError
    from dafnet_plugin.files import write_text

    model = Path(options.model)
    folder = model.parent if model.is_file() else model
    name = options.name or folder.resolve().name
    if not name or os.path.basename(name) != name:
        raise ConfigError(f"--name: {name!r}; allowed: a file name without a folder")
    files = [Path(options.out, kind, f"{name}.yaml") for kind in ("DAFNET", "TRAINING/DAFNET")]
    there = [str(file) for file in files if file.exists()]
    if there and not options.force:
        raise ConfigError(f"{' and '.join(there)}: there already; --force replaces, --name renames")
    # Training calls its checkpoint by the last part of model_name, which `.` and `..` have not.
    nameless = os.path.basename(os.path.normpath(folder)) in (os.curdir, os.pardir)
    model_name = str(folder.resolve() if nameless else folder)
    proposal = propose(skeleton_of_path(model), model_name, name)
    for file, text in zip(files, (proposal.editing, proposal.training), strict=True):
        write_text(file, text)
        print(f"{file}: written")
    print(f"next: dafnet train {files[1]} --train YOUR-CASES.jsonl")
    return 0
