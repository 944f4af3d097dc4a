"""``dafnet world``: the embedded default data set and base models."""

from __future__ import annotations

import argparse

HELP = "Build the tiny world: facts, cases, and a small language model that knows them."
EXAMPLE = """example:
  dafnet world --out .cache/tiny-world
  dafnet world --out .cache/tiny-world --family both --seed 1
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Arguments of the subcommand."""
    parser.add_argument(
        "--out", default=".cache/tiny-world", metavar="DIR", help="where to (%(default)s)"
    )
    parser.add_argument("--seed", type=int, default=0, help="of world and models (%(default)s)")
    parser.add_argument(
        "--family",
        choices=("gpt2", "llama", "both"),
        default="gpt2",
        help="kind of base model, each minutes of training (%(default)s)",
    )
    parser.add_argument("--device", default="cpu", help="to train on (%(default)s)")
    parser.add_argument("--threads", type=int, metavar="N", help="CPU threads")


def run(options: argparse.Namespace) -> int:
    """Build what is not there yet and say where it is."""
    from pathlib import Path

    from dafnet_plugin.data import tinyworld
    from dafnet_plugin.data.base_model import FAMILIES, train_base_model

    out = tinyworld.build(options.seed, Path(options.out))
    world = tinyworld.load(out)
    print(f"{out}: {len(world.train)} cases for training, {len(world.evaluation)} for evaluation")
    missed = False
    for family in FAMILIES if options.family == "both" else (options.family,):
        report = train_base_model(
            world.statements,
            world.probes,
            family,
            out / f"tiny-{family}",
            seed=options.seed,
            device=options.device,
            threads=options.threads,
        )
        print(
            f"{report.directory}: {report.parameters / 1e6:.1f} M parameters, knows "
            f"{report.accuracy:.1%} of {report.probes} sentences"
            + (" (as it was left)" if report.cached else f", {report.seconds:.0f} s")
        )
        missed |= not report.reached
    return 1 if missed else 0
