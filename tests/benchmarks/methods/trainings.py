"""A few steps of meta-training, for the methods that cannot edit without."""

from __future__ import annotations

import dataclasses
import re
from pathlib import Path
from typing import Any

from benchmarks.jobs import TrainingJob
from benchmarks.meta_training import archive_of, train
from dafnet_plugin.cases import Probe, write_cases
from tests.benchmarks.methods.driving import ROOT, cases, two_layers

TRAINED = ("MEND", "SERAC", "MALMEN", "KE")
SMALL: dict[str, float] = {
    "max_iters": 24,
    "val_interval": 8,
    "val_steps": 2,
    "n_edits": 8,
    "rank": 16,
}
SMALL["val_share"] = 0.0  # of five subjects, none can be spared
BATCH = {"MEND": 1, "SERAC": 4, "MALMEN": 4, "KE": 1}


def training_job(
    alg_name: str,
    family: str,
    folder: Path,
    work: Path,
    *,
    seconds: float | None = None,
    **changes: Any,
) -> TrainingJob:
    """A job with the shipped YAML, but for sizes and ``changes``."""
    probe = Probe("The river flows through", "Rome")
    known = [
        dataclasses.replace(
            case,
            generality=(Probe(f"{case.request.prompt} the", case.request.target_new),),
            locality=(probe,),
        )
        for case in cases(20)
    ]
    work.mkdir(parents=True, exist_ok=True)
    write_cases(work / "cases.jsonl", known)
    text = two_layers((ROOT / "hparams/TRAINING" / alg_name / f"tiny-{family}.yaml").read_text())
    sizes = {**SMALL, "batch_size": BATCH[alg_name], "accumulate_bs": 1, **changes}
    for key, value in sizes.items():
        text = re.sub(rf"^{key}: .*$", f"{key}: {value}", text, flags=re.MULTILINE)
    path = work / f"{alg_name}-training.yaml"
    path.write_text(text)
    return TrainingJob(
        alg_name=alg_name,
        label=alg_name,
        hparams=str(path),
        model=str(folder),
        cases=str(work / "cases.jsonl"),
        texts="",
        folder=str(work / f"{alg_name}-training"),
        device="cpu",
        threads=1,
        inputs="inputs",
        seconds=seconds,
    )


def trained(alg_name: str, family: str, folder: Path, work: Path) -> dict[str, Any]:
    """Train, and return the hyper-parameters for editing that follow."""
    job = training_job(alg_name, family, folder, work)
    if archive_of(job) is None:
        train(job)
    has_rank = alg_name in ("MEND", "MALMEN")
    return {"archive": archive_of(job)} | ({"rank": SMALL["rank"]} if has_rank else {})
