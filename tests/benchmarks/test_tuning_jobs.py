"""Searches in processes of their own: what is tuned, and what becomes of the best."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest
import yaml

import benchmarks.tuning_jobs as tuning_jobs
from benchmarks.cli import tune as command
from benchmarks.display import Display
from benchmarks.grid import Cell, cells_of
from benchmarks.inventory import Inventory
from benchmarks.jobs import JobFiles, Kind
from benchmarks.pool import Ended, Needs
from benchmarks.tuning import Budget, Trial
from benchmarks.tuning_jobs import Tuning, best_table, tune_cells, write_best
from dafnet_plugin.errors import ConfigError
from dafnet_plugin.files import read_json, write_json
from tests.benchmarks.stand_in import config
from tests.benchmarks.test_end_to_end import shipped


class Searches:
    """A pool whose workers find the second of two trials to be the best."""

    def __init__(self) -> None:
        self.jobs: list[dict] = []
        self._ended: list[tuple[JobFiles, Ended]] = []

    def has_room(self, needs: Needs) -> bool:
        return True

    def start(self, kind: Kind, files: JobFiles, needs: Needs) -> None:
        how = Ended(0)
        if kind == "tune":
            job = read_json(files.path)
            self.jobs.append(job)
            common = ("FT", job["model"], job["dataset"], 0)
            settings = {"editing": {"lr": 0.25}, "both": {"num_steps": 7}}
            trials = [
                Trial(*common, 0, {}, "x", "ok", score=0.5),
                Trial(*common, 1, settings, "x", "ok", score=0.75),
            ]
            write_json(job["found"], [dataclasses.asdict(trial) for trial in trials])
        elif "llama" in files.path.as_posix():
            how = Ended(-9, "killed")
        self._ended.append((files, how))

    def ended(self) -> list[tuple[JobFiles, Ended]]:
        found, self._ended = self._ended, []
        return found

    def close(self) -> None:
        pass


@pytest.fixture
def cells(tmp_path: Path) -> list[Cell]:
    """FT twice, with one YAML file in the test's folder, and DAFNET, which has no space."""
    for model in ("tiny-gpt2", "tiny-llama"):
        shipped(f"FT/{model}.yaml", tmp_path)
    ft = {"name": "FT", "hparams": str(tmp_path / "FT/{model}.yaml")}
    dafnet = {"name": "DAFNET", "hparams": "hparams/DAFNET/{model}.yaml"}
    made = config(methods=[ft, ft | {"variant": "as-is", "repaired": False}, dafnet])
    return cells_of(made)


def tuned(cells: list[Cell], out: Path, pool: Searches) -> list[Tuning]:
    inventory = Inventory(config(), out.parent, out)
    return tune_cells(inventory, cells, Budget(trials=2), pool, Display(), out.parent)


def test_each_file_is_tuned_once_and_gets_the_best(
    cells: list[Cell], tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    monkeypatch.setattr(tuning_jobs.Preparation, "ended", _note_error)
    pool = Searches()
    gpt2, llama = tuned(cells, tmp_path / "out", pool)
    assert "no search space" in capsys.readouterr().err
    assert [(job["label"], job["model"]) for job in pool.jobs] == [("FT", "tiny-gpt2")]
    assert pool.jobs[0]["budget"]["trials"] == 2
    assert "benchmarks/results/tuning/FT-tiny-gpt2.jsonl" in pool.jobs[0]["trials"]
    assert llama.error == "no facts or base model: killed"
    assert write_best(llama) == []
    assert write_best(gpt2) == [tmp_path / "FT/tiny-gpt2.yaml"]
    values = yaml.safe_load((tmp_path / "FT/tiny-gpt2.yaml").read_text())
    assert (values["lr"], values["num_steps"]) == (0.25, 7)
    assert best_table([gpt2, llama]).row_count == 2


def _note_error(self: tuning_jobs.Preparation, how: Ended) -> None:
    self.error = how.error


def test_one_file_has_one_outcome(cells: list[Cell], tmp_path: Path) -> None:
    made = config(
        datasets=[{"name": name, "source": "tinyworld"} for name in ("a", "b")],
        methods=[{"name": "FT", "hparams": "hparams/FT/{model}.yaml"}],
    )
    with pytest.raises(ConfigError, match=r"FT is tuned once for each model.*--only dataset="):
        tuned(cells_of(made), tmp_path / "out", Searches())
    dafnet = [cell for cell in cells if cell.entry.name == "DAFNET"]
    with pytest.raises(ConfigError, match="there is nothing to tune"):
        tuned(dafnet, tmp_path / "out", Searches())


def test_the_budget_of_the_command_is_that_of_the_search() -> None:
    assert (
        Budget().trials,
        Budget().training_seconds,
    ) == (command.TRIALS, command.TRAINING_SECONDS)
