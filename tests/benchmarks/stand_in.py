"""Workers that take milliseconds: a stand-in for facts, meta-training and editing.

The harness itself is the real one, processes and files included. :func:`install` writes a
``sitecustomize.py``, which every Python process imports that has its folder on ``PYTHONPATH``.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from benchmarks.config import ROOT, BenchmarkConfig

CASES = 12
SITE = """
import os, sys, time, types

if "worker" in sys.orig_argv:
    import json
    from pathlib import Path
    import benchmarks.fingerprint
    import benchmarks.preparation
    from benchmarks.results import CaseDetail, Details
    from dafnet_plugin.cases import EditCase, EditRequest, write_cases
    from dafnet_plugin.errors import DataError
    from dafnet_plugin.files import write_json, write_text

    PACE = float(os.environ.get("STAND_IN_PACE", "0.002"))
    LOG = Path(os.environ["STAND_IN_LOG"])


    def check_unchanged(job):  # the real one imports torch
        if job.label in os.environ.get("STAND_IN_CODE_CHANGED", "").split():
            raise benchmarks.fingerprint.ChangedCodeError("it has changed")

    benchmarks.fingerprint.check_unchanged = check_unchanged
    cases = [EditCase(str(i), EditRequest("Ada lives in", "Rome"), (), ()) for i in range(CASES)]

    def note(text):
        with open(LOG, "a") as file:
            file.write(f"{os.getpid()} {text}\\n")

    def run_prepare(job):
        note(f"prepare {job.folder}")
        if job.data_dir.endswith("nowhere"):
            raise DataError("nowhere: there is no such folder")
        time.sleep(5 * PACE)
        folder = Path(job.folder)
        for name in ("train", "eval"):
            write_cases(folder / f"cases-{name}.jsonl", cases)
        for name in ("statements", "bystanders"):
            write_text(folder / f"{name}.jsonl", "")
        weights = folder / "model" / "model.safetensors"
        write_text(weights, "weights")
        if "STAND_IN_SAME_MODEL" in os.environ:  # models that exist count by size and time
            os.utime(weights, (0, 0))
        made = benchmarks.preparation.Ready(
            *(str(folder / f"{n}.jsonl") for n in ("cases-train", "cases-eval", "statements",
              "bystanders")),
            model=str(folder / "model"), eval_cases=CASES, hashes={}, report=None)
        benchmarks.preparation.finish(job, made)

    benchmarks.preparation.run_prepare = run_prepare

    def train(job, progress):
        note(f"train {job.label} {job.seconds}")
        if os.environ.get("STAND_IN_TRAINING_FAILS") == job.label:
            raise ValueError("no gradient")
        folder = Path(job.folder)
        state = folder / "steps"
        done = int(state.read_text()) if state.is_file() else 0
        for step in range(done, 10):
            time.sleep(PACE)
            write_text(state, str(step + 1))
            progress(step + 1, 10)
        write_text(folder / "archive.json", job.label)
        write_json(job.record, {"inputs": job.inputs, "archive": str(folder / "archive.json"),
                                "seconds": 1.5})
        return 0

    meta = types.ModuleType("benchmarks.meta_training")
    meta.train = train
    sys.modules["benchmarks.meta_training"] = meta

    class Bench:
        versions, machine = {}, {}

        @classmethod
        def build(cls, job):
            if job.alg_name == os.environ.get("STAND_IN_BUILD_FAILS"):
                raise ValueError("no such layer")
            bench = cls()
            bench.job = job
            return bench

        def run(self, sequence, progress):
            if os.environ.get("STAND_IN_KILLS_ITSELF") == f"{self.job.label} {sequence.num_edits}":
                os.kill(os.getpid(), 9)
            for _ in sequence.cases:
                time.sleep(PACE)
                progress(1)
            note(f"edit {self.job.label} {sequence.num_edits} {sequence.number}")
            score = 1 / (1 + sequence.num_edits)
            details = Details(self.job.result["config_hash"], [
                CaseDetail(str(c), p, {"reliability": 1.0}, {"reliability": score}, 0.1)
                for p, c in enumerate(sequence.cases)])
            return {"immediate_reliability": 1.0, "final_reliability": score,
                    "seconds_per_edit": PACE}, details

    editing = types.ModuleType("benchmarks.editing")
    editing.Bench = Bench
    sys.modules["benchmarks.editing"] = editing
"""


def install(folder: Path) -> dict[str, str]:
    """Write the stand-in; returns the environment that switches it on."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "sitecustomize.py").write_text(SITE.replace("CASES", str(CASES)))
    path = os.pathsep.join([str(ROOT), str(folder)])
    return {"PYTHONPATH": path, "STAND_IN_LOG": str(folder / "log")}


def noted(folder: Path) -> list[list[str]]:
    """What the workers did, in words: ``[process, what, ...]``."""
    path = folder / "log"
    return [line.split() for line in path.read_text().splitlines()] if path.is_file() else []


def config_values(**changes: Any) -> dict[str, Any]:
    """A grid of two methods, one of them trained, on two models."""
    return {
        "name": "stand-in",
        "models": [
            {"name": "tiny-gpt2", "family": "gpt2"},
            {"name": "tiny-llama", "family": "llama"},
        ],
        "datasets": [{"name": "world", "source": "tinyworld"}],
        "methods": [
            {"name": "FT", "hparams": "hparams/FT/{model}.yaml"},
            {
                "name": "MEND",
                "hparams": "hparams/MEND/{model}.yaml",
                "training": "hparams/TRAINING/MEND/{model}.yaml",
            },
        ],
        "num_edits": [1, 3, 100],
        "sequences": [3, 2, 1],
        "threads": 1,
        **changes,
    }


def config(**changes: Any) -> BenchmarkConfig:
    """The grid of :func:`config_values` as an object."""
    return BenchmarkConfig.from_dict(config_values(**changes))
