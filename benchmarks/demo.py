"""``python -m benchmarks demo``: what it runs, and what it tells the user besides the table."""

from __future__ import annotations

from benchmarks.config import ROOT

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
