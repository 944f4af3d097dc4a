"""EasyEdit and the harness in one process; reports what the tests assert on.

Usage: ``python bench_worker.py FAMILY MODEL_FOLDER WORK_FOLDER``.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

from benchmarks.meta_training import repair_labels
from benchmarks.methods import build_hparams
from dafnet_plugin.cases import EditCase, EditRequest, Probe, write_cases
from dafnet_plugin.easyedit import register

FAMILY, MODEL, FOLDER = sys.argv[1], sys.argv[2], Path(sys.argv[3])
ROOT = Path(__file__).resolve().parents[2]
EASYEDIT = register()
CITIES = ["London", "Paris", "Rome", "Michigan, not of Illinois", "Italy and the river Thames"]
NAMES = ["Ada", "Watts Humphrey", "Babbage", "The capital of France", "nq question: who"]


def all_cases() -> list[EditCase]:
    """Cases whose texts differ in length, in all fields."""
    cases = []
    for index in range(20):
        name, city = NAMES[index % 5], CITIES[(index + index // 5) % 5]
        cases.append(
            EditCase(
                str(index),
                EditRequest(f"{name} was {'very ' * (index % 4)}born in", city, name),
                (Probe(f"The place where {name} grew up is", city), Probe(f"{name}:", city)),
                (
                    Probe(f"The song of {NAMES[index % 3]} is", CITIES[index % 5]),
                    Probe("The river flows through", CITIES[(index + 2) % 5]),
                ),
            )
        )
    return cases


def labels() -> dict[str, Any]:
    """The last tokens of a text and its labels in EasyEdit's training batches."""

    class Config:
        tokenizer_name, max_length, device = MODEL, 40, "cpu"
        tokenizer_class = "GPT2TokenizerFast" if FAMILY == "gpt2" else "AutoTokenizer"

    data = EASYEDIT.ds_dict["dafnet"](str(FOLDER / "cases.jsonl"), config=Config)
    report = {}
    for name in ("as it is", "repaired"):
        if name == "repaired":
            repair_labels(data)
        batch = data.collate_gpt_fn([data[0], data[3]])
        report[name] = [
            [part["input_ids"][row, -sum(kept) :].tolist(), part["labels"][row, kept].tolist()]
            for part in (batch["edit_inner"], batch["loc"])
            for row in range(2)
            for kept in [(part["labels"][row] != -100).tolist()]
        ]
    return report


def refusals() -> list[str]:
    """What is said about hyper-parameters that do not fit."""
    from dafnet_plugin.errors import ConfigError

    said = []
    path = FOLDER / "ft.yaml"
    text = (ROOT / "hparams" / "FT" / f"tiny-{FAMILY}.yaml").read_text()
    path.write_text(text.replace("num_steps", "num_stpes"))
    for alg_name in ("FT", "FTT"):
        try:
            build_hparams(EASYEDIT, alg_name, path, {})
        except ConfigError as error:
            said.append(str(error))
    return said


def main() -> None:
    """Run everything and print the report as the last line."""
    write_cases(FOLDER / "cases.jsonl", all_cases())
    report: dict[str, Any] = {
        "version": EASYEDIT.version,
        "family": FAMILY,
        "labels": labels(),
        "refusals": refusals(),
    }
    (FOLDER / "report.json").write_text(json.dumps(report))


main()
