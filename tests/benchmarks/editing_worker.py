"""Benches of real methods in one process; reports what the tests assert on.

Usage: ``python editing_worker.py FAMILY MODEL_FOLDER WORK_FOLDER METHOD...``.
"""

from __future__ import annotations

import dataclasses
import json
import sys
from pathlib import Path
from typing import Any

import yaml

from benchmarks.consistency import ConsistencyConfig
from benchmarks.consistency.bench import ConsistencyBench
from benchmarks.editing import SIDE_EFFECT_SEQUENCES, Bench
from benchmarks.jobs import CellJob, Sequence
from dafnet_plugin.cases import EditCase, EditRequest, PortabilityTest, Probe, Query, write_cases
from dafnet_plugin.data.consistency import ConsistencyPair, write_pairs
from tests.benchmarks.methods.driving import two_layers

FAMILY, MODEL, FOLDER = sys.argv[1], sys.argv[2], Path(sys.argv[3])
ROOT = Path(__file__).resolve().parents[2]
NAMES = ["Ada", "Watts Humphrey", "Babbage", "The river Thames", "France"]
# What tuning found for models that have been trained is too little for one with random weights.
LEARNS = {
    "FT": {"num_steps": 25, "lr": 5e-3},
    "GRACE": {"n_iter": 30, "edit_lr": 1.0, "eps": 5.0, "val_init": "warm"},
}
CITIES = ["London", "Paris", "Rome", "Michigan, not of Illinois", "Italy"]
FEW, OTHERS, ONE, LATE = (
    Sequence(3, 0, [0, 1, 2]),
    Sequence(3, 1, [3, 4, 5]),
    Sequence(1, 0, [6]),
    Sequence(1, SIDE_EFFECT_SEQUENCES, [7]),
)
CONSISTENT = ("FT", "GRACE")
"""Methods, one that changes weights and one that does not, that consistency is measured of."""


def case_of(index: int) -> EditCase:
    """A case with probes of every kind."""
    name, city = NAMES[index % 5], CITIES[(index + index // 5) % 5]
    hop = Query(f"{name} pays in", ((CITIES[index % 5], "Oslo"),))
    unknown = Query(f"{name} sings", (("nothing that a model would say",),))
    return EditCase(
        f"case {index}",
        EditRequest(f"{name} was {'very ' * (index % 3)}born in", city, name, "Rome"),
        (Probe(f"The place where {name} grew up is", city),),
        (Probe(f"The song of {NAMES[(index + 1) % 5]} is", CITIES[index % 5]),),
        {"Alias": (Probe(f"Old {name} was born in", city),)},
        {"Hops": (PortabilityTest((hop,)), PortabilityTest((hop,), "AND", (unknown,)))},
    )


def job_of(method: str) -> CellJob:
    """A job with the shipped hyper-parameters, but for the number of layers, and ``LEARNS``."""
    write_cases(FOLDER / "cases.jsonl", [case_of(i) for i in range(8)])
    write_cases(FOLDER / "train.jsonl", [case_of(i) for i in range(8, 12)])
    for name in ("texts", "bystanders"):
        lines = [
            {"prompt": f"{person} saw {name} {i}", "answer": city}
            for i in range(24)
            for person in NAMES
            for city in CITIES
        ]
        (FOLDER / f"{name}.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    hparams = FOLDER / method / f"tiny-{FAMILY}.yaml"
    hparams.parent.mkdir(exist_ok=True)
    shipped = yaml.safe_load(two_layers((ROOT / "hparams" / method / hparams.name).read_text()))
    hparams.write_text(yaml.safe_dump(shipped | LEARNS.get(method, {})))
    return CellJob(
        alg_name=method,
        label=method,
        hparams=str(hparams),
        model=MODEL,
        cases=str(FOLDER / "cases.jsonl"),
        train_cases=str(FOLDER / "train.jsonl"),
        texts=str(FOLDER / "texts.jsonl"),
        bystanders=str(FOLDER / "bystanders.jsonl"),
        lines="",
        details="",
        threads=1,
        result={"seed": 0, "config_hash": "the hash"},
        overrides={
            "model_name": MODEL,
            "tokenizer_name": MODEL,
            "device": "cpu",
            "results_dir": str(FOLDER),
            "stats_dir": str(FOLDER / "stats"),
            "n_iter": 10,  # of GRACE and WISE, to save time
        },
        sequences=[FEW, OTHERS, ONE],
    )


def consistent_job(job: CellJob) -> CellJob:
    """The same job with pairs on the facts of its cases, and on one that no case is about."""
    pairs = []
    for index in range(9):
        request, old = case_of(index).request, "Rome" if index % 5 != 2 else "Paris"
        new, edited = f"{request.prompt} {request.target_new}.", index < 8
        pairs.append(
            ConsistencyPair(
                f"It is cold. {new}",
                new,
                f"{request.prompt} {old} or not.",
                edited,
                "entity",
                f"case {index}" if edited else None,
            )
        )
    write_pairs(FOLDER / "pairs.jsonl", pairs)
    settings = ConsistencyConfig.from_dict({"new_tokens": 3, "generated": 2}).to_dict()
    return dataclasses.replace(job, consistency=settings, pairs=str(FOLDER / "pairs.jsonl"))


def consistent_runs(job: CellJob) -> dict[str, Any]:
    """The same sequences as without consistency, two of them."""
    bench = ConsistencyBench.build(consistent_job(job))
    base = weights(bench.editor.model)
    runs = {name: bench.run(sequence)[0] for name, sequence in (("few", FEW), ("late", LATE))}
    return runs | {"clean": weights(bench.editor.model) == base}


def weights(model: Any) -> dict[str, bytes]:
    """The bits of all weights."""
    named = [*model.named_parameters(), *model.named_buffers()]
    return {n: v.detach().contiguous().view(-1).numpy().tobytes() for n, v in named}


def report_on(method: str) -> dict[str, Any]:
    """Run sequences one after another, one of them twice, and one that fails."""
    job = job_of(method)
    bench = Bench.build(job)
    base = weights(bench.editor.model)
    counted: list[int] = []
    runs: dict[str, Any] = {}
    clean: dict[str, bool] = {}
    order = {"few": FEW, "one": ONE, "others": OTHERS, "late": LATE, "again": FEW}
    for name, sequence in order.items():
        fields, details = bench.run(sequence, counted.append)
        runs[name] = {"fields": fields, "details": dataclasses.asdict(details)}
        clean[name] = weights(bench.editor.model) == base
    bench.edit(0)
    edited = weights(bench.editor.model) != base
    bench.restore()
    works = bench.adapter.edit

    def fails(editor: Any, requests: Any, hparams: Any) -> Any:
        if requests[0]["prompt"] == bench.cases[2].request.prompt:
            raise RuntimeError("no")
        return works(editor, requests, hparams)

    bench.adapter.edit = fails  # type: ignore[method-assign]
    try:
        bench.run(FEW)
    except RuntimeError:
        clean["failed"] = weights(bench.editor.model) == base
    found = {"runs": runs, "clean": clean, "edited": edited, "progress": counted}
    return found | ({"consistent": consistent_runs(job)} if method in CONSISTENT else {})


def main() -> None:
    """Run everything and write the report."""
    report = {method: report_on(method) for method in sys.argv[4:]}
    (FOLDER / "report.json").write_text(json.dumps(report))


main()
