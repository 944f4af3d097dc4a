"""EasyEdit and the harness in one process; reports what the tests assert on.

Usage: ``python bench_worker.py FAMILY MODEL_FOLDER WORK_FOLDER``.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import torch

from benchmarks.config import ROOT
from benchmarks.editing import Bench
from benchmarks.jobs import CellJob, Sequence
from benchmarks.meta_training import repair_labels
from benchmarks.methods import build_hparams
from benchmarks.scoring import Scorer
from dafnet_plugin.cases import EditCase, EditRequest, Probe, write_cases
from dafnet_plugin.easyedit import register
from dafnet_plugin.editing.scoring import scored_labels, scored_logits
from dafnet_plugin.tokens import collate, encode

FAMILY, MODEL, FOLDER = sys.argv[1], sys.argv[2], Path(sys.argv[3])
EASYEDIT = register()
CITIES = ["London", "Paris", "Rome", "Michigan, not of Illinois", "Italy and the river Thames"]
NAMES = ["Ada", "Watts Humphrey", "Babbage", "The capital of France", "nq question: who"]
TEMPLATE = {
    "gpt2": ("transformer.h.{}.mlp.c_proj", "transformer.h.{}.mlp", "transformer.h.{}"),
    "llama": ("model.layers.{}.mlp.down_proj", "model.layers.{}.mlp", "model.layers.{}"),
}[FAMILY]


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


def bench(alg_name: str, **changes: Any) -> Bench:
    """A bench on the random model with the shipped hyper-parameters, but for its two layers."""
    write_cases(FOLDER / "cases.jsonl", all_cases())
    texts = [
        {"prompt": f"{name} saw {i}", "answer": c}
        for i in range(40)
        for name in NAMES
        for c in CITIES
    ]
    (FOLDER / "texts.jsonl").write_text("".join(json.dumps(text) + "\n" for text in texts))
    job = CellJob(
        alg_name=alg_name,
        hparams=str(ROOT / "hparams" / alg_name / f"tiny-{FAMILY}.yaml"),
        cases=str(FOLDER / "cases.jsonl"),
        texts=str(FOLDER / "texts.jsonl"),
        results="",
        log="",
        threads=1,
        result={"seed": 0},
        overrides={
            "model_name": MODEL,
            "device": "cpu",
            "stats_dir": str(FOLDER / "stats"),
            "layers": [1],
            "v_loss_layer": 1,
            "mom2_n_samples": 500,
        }
        | changes,
        sequences=[Sequence(1, 0, [0])],
    )
    return Bench.build(job)


def record_of(case: EditCase) -> dict[str, Any]:
    """A case as EasyEdit's evaluation wants it."""
    return {
        "prompt": case.request.prompt,
        "target_new": case.request.target_new,
        "ground_truth": "",
        "locality": {
            f"probe{i}": {"prompt": p.prompt, "ground_truth": p.answer}
            for i, p in enumerate(case.locality)
        },
        "portability": {},
    }


def by_easyedit(made: Bench, max_length: int, cases: list[EditCase]) -> list[list[Any]]:
    """Per case: reliability, generality of each paraphrase, arg-max tokens of each probe."""
    quality = EASYEDIT.module("evaluate").compute_edit_quality
    made.hparams.max_length = max_length

    def ask(record: dict[str, Any]) -> dict[str, Any]:
        found: dict[str, Any] = quality(
            made.editor.model, MODEL, made.hparams, made.editor.tok, record, "cpu"
        )
        return found

    rows = []
    for case in cases:
        first = ask(record_of(case))
        paraphrases = [
            ask(record_of(case) | {"rephrase_prompt": probe.prompt})["rephrase_acc"][0]
            for probe in case.generality
        ]
        tokens = [first["locality"][f"probe{i}_output"] for i in range(len(case.locality))]
        rows.append([first["rewrite_acc"][0], paraphrases, tokens])
    return rows


def teach(made: Bench, texts: list[tuple[str, str]]) -> None:
    """Train for a few steps, so that the model is right here and there."""
    model, tok = made.editor.model, made.editor.tok
    batch = collate(encode(tok, texts), 0)
    for parameter in model.parameters():
        parameter.requires_grad_(True)
    optimiser = torch.optim.Adam(model.parameters(), lr=2e-3)
    for _ in range(10):
        logits = scored_logits(model, batch)
        loss = torch.nn.functional.cross_entropy(logits, scored_labels(batch))
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()


def scoring(made: Bench) -> dict[str, Any]:
    """EasyEdit's scores and ours, whole texts and cut ones, after the model has changed."""
    import numpy as np

    report: dict[str, Any] = {}
    requests = [(case.request.prompt, case.request.target_new) for case in made.cases]
    probes = [(p.prompt, p.answer) for case in made.cases for p in case.generality + case.locality]
    encoded = encode(made.editor.tok, requests + probes)
    shortest = max(text.target_start for text in encoded) + 1
    for name, length in (("whole", 120), ("cut", shortest)):
        ours = Scorer(
            made.editor.model, made.editor.tok, made.cases, max_length=length, batch_size=7
        )
        before = by_easyedit(made, length, made.cases)
        teach(made, requests[::2] + probes[::4])
        after = by_easyedit(made, length, made.cases)
        report[name] = {
            "easyedit": [
                [
                    new[0],
                    float(np.mean(new[1])),
                    float(np.mean([np.mean(np.equal(a, b)) for a, b in zip(new[2], old[2])])),
                ]
                for old, new in zip(before, after)
            ],
            "ours": [
                [s.reliability, s.generality, s.locality]
                for s in ours.score(made.editor.model, range(len(made.cases)))
            ],
            "cut": sum(len(text.ids) > length for text in encoded),
        }
        made.restore()
    return report


def restoring(made: Bench) -> dict[str, Any]:
    """Whether a sequence leaves the base weights and says the same when it is run again."""

    def same() -> bool:
        return all(
            torch.equal(value, made.base[name])
            for name, value in [
                *made.editor.model.named_parameters(),
                *made.editor.model.named_buffers(),
            ]
        )

    report: dict[str, Any] = {"start": same()}
    first = made.run([0, 1, 2])
    report["between"] = same()
    made.edit(3)
    report["edited"] = same()
    made.restore()
    again = made.run([0, 1, 2])
    for outcome in (first, again):
        outcome.pop("seconds_per_edit")
    return report | {"after": same(), "first": first, "again": again}


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
    ft = bench("FT")
    report: dict[str, Any] = {
        "version": EASYEDIT.version,
        "family": FAMILY,
        "scoring": scoring(ft),
        "restoring": {"FT": restoring(ft), "ROME": restoring(bench("ROME"))},
        "statistics": [str(path) for path in (FOLDER / "stats").rglob("*.npz")],
        "labels": labels(),
        "refusals": refusals(),
    }
    (FOLDER / "report.json").write_text(json.dumps(report))


main()
