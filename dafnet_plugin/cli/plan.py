"""``dafnet plan``: sizes and memory before anything is downloaded or trained."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from dafnet_plugin.architectures.check import Findings

HELP = "Say how large a DAFNet is and what memory it takes; needs no weights."
EXAMPLE = """example:
  dafnet plan hparams/DAFNET/llama3-8b.yaml
  dafnet plan hparams/TRAINING/DAFNET/gpt2-xl.yaml --edits 10000 --tokens 50000
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Arguments of the subcommand."""
    parser.add_argument("paths", nargs="+", metavar="PATH", help="YAML files, folders or patterns")
    parser.add_argument(
        "--edits", type=int, default=1000, metavar="N", help="length of the sequence (1000)"
    )
    parser.add_argument(
        "--tokens",
        type=int,
        default=100_000,
        metavar="N",
        help="tokens of all requests that are trained on, together (100000)",
    )


def run(options: argparse.Namespace) -> int:
    """Print the plan of each file."""
    from dafnet_plugin.architectures.check import Skeletons, check
    from dafnet_plugin.cli.hparams_files import read_hparams
    from dafnet_plugin.cli.validate import files_of
    from dafnet_plugin.errors import ConfigError

    for name in ("edits", "tokens"):
        if getattr(options, name) < 0:
            raise ConfigError(f"--{name}: {getattr(options, name)}; allowed: 0 or more")
    skeletons = Skeletons()
    for file in files_of(options.paths, ["DAFNET"]):
        hparams = read_hparams(file)
        if hparams.METHOD != "DAFNET":
            raise ConfigError(
                f"{file}: alg_name: {hparams.METHOD!r}; allowed: 'DAFNET', whose network and "
                "memory are what is planned"
            )
        skeleton = skeletons.find(hparams.model_name)
        if skeleton is None:
            raise ConfigError(
                f"{file}: model_name: {hparams.model_name!r}; allowed: a directory with a "
                "config.json, a model of the table, or one in a hub's cache"
            )
        print(f"{file}: {skeleton.origin}")
        findings = check(hparams, skeleton, str(file))
        for line in _lines(findings, options.edits, options.tokens):
            print(f"  {line}")
    return 0


def _lines(findings: Findings, edits: int, tokens: int) -> list[str]:
    from dafnet_plugin.architectures.plan import readable, readable_count

    plan = findings.plan
    assert plan is not None  # of DAFNet there is one
    width = max(len(edit_module.name) for edit_module in findings.modules)
    return [
        *(f"{m.name:<{width}}  {m.d_in} -> {m.d_out}" for m in findings.modules),
        *findings.notes,
        f"network: {readable_count(plan.network_parameters)} parameters",
        "memory (without activations, and without what consolidation works with):",
        f"  base model      {readable(plan.model):>9}",
        f"  network         {readable(plan.network):>9}",
        f"  key statistics  {readable(plan.statistics):>9}",
        f"  one sequence    {readable(plan.updates + plan.covariances):>9}, and "
        f"{readable(plan.edit)} an edit",
        f"  editing         {readable(plan.editing(edits)):>9} beside the model at {edits} edits, "
        "unedited weights and the state before the edit included",
        f"  training        {readable(plan.training(tokens)):>9} beside the model with signals of "
        f"{tokens} tokens, gradients and Adam's moments included",
    ]
