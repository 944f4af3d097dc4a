"""``python -m benchmarks demo``: what it tells the user, and what it leaves for the next step."""

from __future__ import annotations

import shutil
from pathlib import Path

from benchmarks.config import ROOT, BenchmarkConfig
from benchmarks.grid import Cell, cells_of, folder_of
from dafnet_plugin.cases import read_cases

CONFIG = ROOT / "benchmarks" / "configs" / "tiny-demo.yaml"

BEFORE = """\
A made-up world of people, places and works; a small GPT-2 that learns its facts;
and four methods that change facts in it through EasyEdit, one after another.
All of it is made on this machine: about ten minutes the first time on two
cores, seconds when nothing has changed since.
"""

AFTERWARDS = """
What you saw: one edit is easy for most methods. After many, in the same model and
with nothing restored, the question is what is left of the first ones (compare the
end with right after) and of everything else (locality). No fact edited here was
seen in meta-training.

What next:
  edit a fact yourself   dafnet edit hparams/DAFNET/tiny-gpt2.yaml \\
                           --prompt "{prompt}" --target "{target}"
  real facts             python -m benchmarks run \\
                           benchmarks/configs/pararel-tiny.yaml --data-dir DATA
  your own model         README.md
The numbers behind the table, one line a sequence: {out}/results.jsonl
"""


def publish(config: BenchmarkConfig, out: Path) -> None:
    """Copy the base model and the trained DAFNet to where ``hparams/DAFNET`` looks for them.

    That is where ``dafnet world`` and ``dafnet train`` put them: ``OUT/tiny-gpt2`` and
    ``OUT/dafnet``. What is not there, as something failed, is left out.
    """
    cell = _dafnet(config)
    folder = folder_of(out, cell.setting)
    wanted = ("cases-train.jsonl", "cases-eval.jsonl", cell.setting.model.name)
    pairs = [(folder / name, out / name) for name in wanted]
    pairs.append((folder_of(out, cell) / "models", out / "dafnet" / "models"))
    for source, target in pairs:
        if source.is_dir():
            unneeded = shutil.ignore_patterns("training-state.pt")
            shutil.copytree(source, target, dirs_exist_ok=True, ignore=unneeded)
        elif source.is_file():
            shutil.copy2(source, target)


def afterwards(config: BenchmarkConfig, out: Path) -> str:
    """What is said under the table."""
    cases = read_cases(folder_of(out, _dafnet(config).setting) / "cases-eval.jsonl")
    request = cases[0].request
    return AFTERWARDS.format(prompt=request.prompt, target=request.target_new, out=out)


def _dafnet(config: BenchmarkConfig) -> Cell:
    return next(cell for cell in cells_of(config) if cell.entry.name == "DAFNET")
