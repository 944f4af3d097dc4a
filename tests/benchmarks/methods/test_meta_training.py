"""Meta-training with EasyEdit's trainer: for a time, and what is kept of it."""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch

from benchmarks.jobs import TrainingJob
from benchmarks.meta_training import _run, archive_of
from dafnet_plugin.files import write_json
from tests.benchmarks.methods.conftest import RunWorker


@pytest.mark.parametrize("place", ["wheel-gpt2", "wheel-llama", "git-gpt2", "git-llama"])
def test_training_ends_when_its_time_is_up(place: str, run_worker: RunWorker) -> None:
    version, family = place.split("-")
    report = json.loads((run_worker(version, family) / "trainings.json").read_text())
    assert set(report) == {"MEND", "SERAC", "KE"} | ({"MALMEN"} if version == "git" else set())
    for alg_name, record in report.items():
        assert "error" not in record, record["error"]
        assert record["found"], alg_name
        assert record["seconds"] >= 1.5
        assert record["iterations"] > 1


class Trainer:
    """What of EasyEdit's trainer is used: steps, and an archive at each of some."""

    def __init__(self, folder: Path, key: str, values: list[float], alg: str = "MEND") -> None:
        self.config = SimpleNamespace(alg=alg, early_stop_key=key, max_iters=3, val_steps=1)
        self.save_path = str(folder / "archive")
        self.key, self.values, self.steps = key, values, 0
        self.train_loader = self.val_loader = self.val_set = None
        self.model = SimpleNamespace(train=self.train_step, valid=lambda *_: self.validate())

    def train_step(self, batch: Any) -> None:
        self.steps += 1

    def validate(self, steps: int | None = None) -> dict[str, float]:
        return {self.key: self.values.pop(0)}

    def save_state(self, stats: dict[str, float]) -> None:
        torch.save({"val_stats": stats, "steps": self.steps}, self.save_path)

    def run(self) -> None:
        step = self.model.train if self.config.alg == "MALMEN" else None
        for _ in range(self.config.max_iters):
            (step or self.train_step)(None)
        if len(self.values) > 1:
            self.save_state(self.validate())
        (step or self.train_step)(None)


@pytest.mark.parametrize("alg", ["MEND", "MALMEN"])
def test_without_a_time_all_steps_are_made(alg: str, tmp_path: Path) -> None:
    trainer = Trainer(tmp_path, "loss/total_edit_val", [1.0, 2.0], alg)
    told: list[tuple[float, float]] = []
    assert _run(trainer, None, lambda *now: told.append(now)) == 4
    assert told == [(1, 3), (2, 3), (3, 3), (4, 3)]


@pytest.mark.parametrize(
    ("key", "values", "kept"),
    [
        ("loss/total_edit_val", [1.0, 2.0], 1.0),
        ("loss/total_edit_val", [2.0, 1.0], 1.0),
        ("ES_val", [0.2, 0.9], 0.9),
        ("ES_val", [0.9, 0.2], 0.9),
        ("ES_val", [0.4], 0.4),
    ],
)
def test_the_better_archive_is_kept(
    key: str, values: list[float], kept: float, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = iter([0.0, 1.0, 2.0, 3.0, 99.0])  # at the start, then before each step
    monkeypatch.setattr("benchmarks.meta_training.time.monotonic", lambda: next(clock))
    trainer = Trainer(tmp_path, key, list(values))
    told: list[tuple[float, float]] = []
    assert _run(trainer, 10.0, lambda *now: told.append(now)) == 3
    assert told == [(1, 10), (2, 10), (3, 10)]
    archive = torch.load(trainer.save_path, weights_only=False)
    assert archive["val_stats"][key] == kept


def test_an_archive_of_other_inputs_does_not_count(tmp_path: Path) -> None:
    job = TrainingJob(
        alg_name="MEND", label="MEND", hparams="", model="", cases="", texts="",
        folder=str(tmp_path), device="cpu", threads=1, inputs="new",
    )  # fmt: skip
    assert archive_of(job) is None
    (tmp_path / "archive").touch()
    for inputs, found in (("old", None), ("new", str(tmp_path / "archive"))):
        write_json(job.record, {"inputs": inputs, "archive": str(tmp_path / "archive")})
        assert archive_of(job) == found
