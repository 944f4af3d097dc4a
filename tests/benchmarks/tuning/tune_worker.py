"""Searches on a random model, in a process with EasyEdit.

Usage: ``python tune_worker.py MODEL_FOLDER WORK_FOLDER``. Writes ``report.json``.
"""

from __future__ import annotations

import dataclasses
import json
import sys
from pathlib import Path
from typing import Any

import torch

from benchmarks.config import BenchmarkConfig
from benchmarks.grid import Setting
from benchmarks.tuning import Budget, Trial, read_trials, tune
from dafnet_plugin.errors import DAFNetError
from tests.benchmarks.methods.driving import two_layers
from tests.benchmarks.methods.trainings import SMALL

FOLDER, WORK = sys.argv[1], Path(sys.argv[2])
ROOT = Path(__file__).resolve().parents[3]
SPACE = "editing:\n  layers: [[0], [1]]\n  lr: {log: [1.0e-3, 1.0e-2]}\n"


def shipped(name: str) -> str:
    """A YAML file for a model of two layers."""
    path = WORK / name
    path.parent.mkdir(parents=True, exist_ok=True)
    text = two_layers((ROOT / name).read_text())
    path.write_text(text.replace("val_steps: 50", f"val_steps: {SMALL['val_steps']}"))
    return str(path)


def search(
    method: dict[str, Any], space: str, trials: int, seconds: float | None = None
) -> list[dict[str, Any]]:
    """Search, and return the trials that were made now."""
    config = BenchmarkConfig.from_dict(
        {
            "name": "tuning",
            "models": [{"name": "tiny-gpt2", "path": FOLDER}],
            "datasets": [{"name": "tinyworld", "source": "tinyworld"}],
            "methods": [method],
            "num_edits": [1],
            "threads": 1,
        }
    )
    (WORK / "space.yaml").write_text(space)
    new: list[Trial] = []
    tune(
        config,
        config.entries[0],
        Setting(config.dataset_entries[0], config.model_entries[0], 0),
        WORK / "space.yaml",
        Budget(trials, seconds, training_seconds=0.5),
        trials=WORK / f"{method['name']}.jsonl",
        data_dir=WORK,
        out=WORK / "out",
        lengths=((1, 3), (3, 1)),
        progress=new.append,
    )
    return [dataclasses.asdict(trial) for trial in new]


def spent(method: str) -> float:
    """Seconds that a method's trials took so far."""
    return sum(trial.seconds for trial in read_trials(WORK / f"{method}.jsonl"))


def main() -> None:
    """Run the searches and write the report."""
    ft = {"name": "FT", "hparams": shipped("hparams/FT/tiny-gpt2.yaml")}
    report: dict[str, Any] = {
        "first": search(ft, SPACE, 2),
        "resumed": search(ft, SPACE, 4),
        "over": search(ft, SPACE, 4),
        "no time": search(ft, SPACE, 5, seconds=0.0),
        "time spent before": search(ft, SPACE, 5, seconds=0.9 * spent("FT")),
        "another space": search(ft, SPACE.replace("[0], [1]", "[9]"), 2),
        "failed again": search(ft, SPACE.replace("[0], [1]", "[9]"), 2),
        "lines": len(read_trials(WORK / "FT.jsonl")),
    }
    try:
        search(ft, "editing: {rate: [1]}", 1)
    except DAFNetError as error:
        report["unknown key"] = str(error)
    serac = {
        "name": "SERAC",
        "hparams": shipped("hparams/SERAC/tiny-gpt2.yaml"),
        "training": shipped("hparams/TRAINING/SERAC/tiny-gpt2.yaml"),
    }
    report["trained"] = search(serac, "training: {lr: [1.0e-3]}\nboth: {square: [false]}", 2)
    report["left"] = sorted(path.name for path in (WORK / "out").rglob("trial-*"))
    (WORK / "report.json").write_text(json.dumps(report))


if __name__ == "__main__":
    torch.set_num_threads(1)
    main()
