"""``dafnet export``: saved edits in the formats of other tools."""

from __future__ import annotations

import argparse

HELP = "Export saved edits as a LoRA adapter that PEFT, and whatever takes LoRA, can load."
EXAMPLE = """example:
  dafnet export my-edits --peft --out my-adapter
  dafnet export my-edits --peft --rank 16 --out my-adapter --measure hparams/DAFNET/gpt2.yaml
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Arguments of the subcommand."""
    parser.add_argument("edits", help="folder that `dafnet edit --save` or DAFNetEdits.save wrote")
    parser.add_argument("--peft", action="store_true", required=True, help="the format: PEFT LoRA")
    parser.add_argument("--out", required=True, metavar="DIR", help="the adapter's folder")
    parser.add_argument(
        "--rank", type=int, metavar="N", help="highest rank; without it, whatever is exact"
    )
    parser.add_argument(
        "--measure",
        metavar="HPARAMS",
        help="load the base model of this file and measure how far logits are from the edits'",
    )
    parser.add_argument(
        "--base-model",
        metavar="NAME",
        help="what the adapter names as its base, a hub name or a directory; without it, the hub "
        "name that the edits know, if any",
    )
    parser.add_argument("--license", metavar="NAME", help="for the model card, as hubs name it")


def run(options: argparse.Namespace) -> int:
    """Write the adapter and say how far it is from the edits."""
    from rich.console import Console
    from rich.table import Table

    from dafnet_plugin.artifacts.export import export_peft
    from dafnet_plugin.artifacts.identity import check_base, identity_of_base
    from dafnet_plugin.artifacts.saved_edits import read_edits
    from dafnet_plugin.base_models import load_base_model
    from dafnet_plugin.devices import resolve_device
    from dafnet_plugin.hparams import DAFNetHparams

    saved, model, tokenizer = read_edits(options.edits), None, None
    if options.measure:
        hparams = DAFNetHparams.read(options.measure)
        model, tokenizer = load_base_model(hparams, resolve_device(hparams.device))
        model.eval()
        check_base(identity_of_base(model, {}), saved.about["base"], options.edits)
    about = {"base_model": options.base_model, "license": options.license}
    report = export_peft(saved, options.out, options.rank, model, tokenizer, **about)
    table = Table("module", "rank", "relative error", "largest error of a weight")
    for adapter in report.adapters:
        errors = f"{adapter.relative_error:.1e}", f"{adapter.largest_error:.1e}"
        table.add_row(adapter.name, str(adapter.rank), *errors)
    Console().print(table)
    logits = report.logit_errors
    if logits is not None:
        print(
            f"largest error of a logit after the edits' prompts: {logits.merged:.1e} merged, "
            f"{logits.unmerged:.1e} with the adapter beside the weights"
        )
    kind = "exact up to rounding" if report.exact else "the nearest of its rank, not exact"
    print(f"{options.out}: written, {kind}")
    return 0
