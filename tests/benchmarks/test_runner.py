"""The driver on real processes that take milliseconds: what is run, repeated, failed, killed."""

from __future__ import annotations

import json
import multiprocessing
import os
import random
import signal
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

import benchmarks.runner as runner
from benchmarks.display import Display
from benchmarks.manifest import in_order
from benchmarks.pool import LocalPool
from benchmarks.results import Result, details_path, read_details, read_results
from dafnet_plugin.errors import ConfigError, DataError
from dafnet_plugin.locks import exclusive
from tests.benchmarks.stand_in import CASES, config, install, noted

pytestmark = pytest.mark.skipif(os.name != "posix", reason="processes are killed by signals")

SEQUENCES = [(1, 0), (1, 1), (1, 2), (3, 0), (3, 1), (CASES, 0)]
MODELS = ("tiny-gpt2", "tiny-llama")


class Grid:
    """A grid in a folder of the test, run by workers of the stand-in."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.out = folder, folder / "out"

    def run(self, *only: str, jobs: int = 2, **changes: Any) -> list[Result]:
        resume = changes.pop("resume", False)
        return runner.run_benchmark(
            config(**changes),
            data_dir=self.folder / changes.pop("data", "data"),
            out=self.out,
            only=only,
            command="the command",
            pool=LocalPool(jobs),
            resume=resume,
        )

    def done(self, *what: str) -> int:
        """How often the workers did something."""
        return sum(words[1 : 1 + len(what)] == list(what) for words in noted(self.folder))


@pytest.fixture
def grid(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Grid:
    for name, value in install(tmp_path).items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(runner, "easyedit_version", lambda: "stand-in")
    monkeypatch.setattr("benchmarks.inventory.easyedit_version", lambda: "stand-in")
    return Grid(tmp_path)


def test_every_sequence_has_a_line_and_its_details(
    grid: Grid, capsys: pytest.CaptureFixture[str]
) -> None:
    results = grid.run()
    assert [(r.model, r.label, r.num_edits, r.sequence) for r in results] == [
        (model, label, *place)
        for model in MODELS
        for label in ("FT", "MEND")
        for place in SEQUENCES
    ]
    assert sorted(map(str, results)) == sorted(map(str, read_results(grid.out / "results.jsonl")))
    for result in results:
        assert result.status == "ok" and result.command == "the command" and result.config_hash
        assert result.training_seconds == (1.5 if result.label == "MEND" else None)
        details = read_details(details_path(grid.out, result))
        assert details is not None and details.config_hash == result.config_hash
        assert len(details.cases) == result.num_edits
    said = capsys.readouterr().err
    assert "[8/8]" in said and f"no 100 edits in a sequence, but {CASES}" in said
    manifest = json.loads((grid.out / "run.json").read_text())
    assert [tuple(line) for line in manifest["lines"]] == [
        (*r.cell[:2], 0, r.label, r.num_edits, r.sequence, r.config_hash) for r in results
    ]
    assert in_order(grid.out, sorted(results, key=str)[::-1])[0].cell == results[0].cell
    # A second run computes nothing.
    before = noted(grid.folder)
    assert grid.run() == results and noted(grid.folder) == before
    # Another length is added, the rest is kept.
    grid.run("FT", "model=tiny-gpt2", num_edits=[1, 2], sequences=1)
    assert len(noted(grid.folder)) == len(before) + 1 and grid.done("edit", "FT", "2") == 1


def test_what_failed_is_shown_as_failed_and_tried_again(
    grid: Grid, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("STAND_IN_BUILD_FAILS", "FT")
    monkeypatch.setenv("STAND_IN_TRAINING_FAILS", "MEND")
    results = grid.run("model=tiny-gpt2")
    assert {(r.label, r.status, r.error) for r in results} == {
        ("FT", "failed", "ValueError: no such layer"),
        ("MEND", "failed", "meta-training failed: ValueError: no gradient"),
    }
    assert len(results) == 2 * len(SEQUENCES)
    monkeypatch.delenv("STAND_IN_BUILD_FAILS")
    monkeypatch.delenv("STAND_IN_TRAINING_FAILS")
    assert {r.status for r in grid.run("model=tiny-gpt2")} == {"ok"}


def test_a_worker_that_is_killed_has_failed_with_what_it_had_not_done(
    grid: Grid, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("STAND_IN_KILLS_ITSELF", "FT 3")
    results = grid.run("FT", "model=tiny-gpt2")
    assert [(r.num_edits, r.status) for r in results] == [
        *[(1, "ok")] * 3, *[(3, "failed")] * 2, (CASES, "failed"),
    ]  # fmt: skip
    assert all("killed by signal 9 (SIGKILL)" in r.error for r in results[3:] if r.error)
    monkeypatch.delenv("STAND_IN_KILLS_ITSELF")
    assert {r.status for r in grid.run("FT", "model=tiny-gpt2")} == {"ok"}
    assert grid.done("edit", "FT", "1") == 3  # not repeated


def test_methods_train_as_long_as_the_one_that_sets_the_pace(grid: Grid) -> None:
    dafnet = {
        "name": "DAFNET",
        "hparams": "hparams/DAFNET/{model}.yaml",
        "training": "hparams/TRAINING/DAFNET/{model}.yaml",
    }
    mend = {
        "name": "MEND",
        "hparams": "hparams/MEND/{model}.yaml",
        "training": "hparams/TRAINING/MEND/{model}.yaml",
    }
    changes: dict[str, Any] = {"methods": [mend, dafnet], "training_seconds": "DAFNET"}
    grid.run("MEND", "model=tiny-gpt2", **changes)
    trained = [words[1:] for words in noted(grid.folder) if words[1] == "train"]
    assert trained == [["train", "DAFNET", "None"], ["train", "MEND", "1.5"]]
    assert not grid.done("edit", "DAFNET")

    def took(seconds: float) -> None:
        path = grid.out / "world/tiny-gpt2/seed-0/DAFNET/training.json"
        path.write_text(json.dumps(json.loads(path.read_text()) | {"seconds": seconds}))

    took(1.6)  # about the same: MEND is not trained again
    grid.run("MEND", "model=tiny-gpt2", **changes)
    assert grid.done("train", "MEND") == 1
    took(3.0)
    grid.run("MEND", "model=tiny-gpt2", **changes)
    assert grid.done("train", "MEND", "3.0") == 1
    grid.run("model=tiny-gpt2", **(changes | {"training_seconds": 7.0}))
    assert grid.done("train", "MEND", "7.0") == grid.done("train", "DAFNET", "7.0") == 1


def test_entries_that_differ_in_editing_only_share_a_training(grid: Grid) -> None:
    mend = {
        "name": "MEND",
        "hparams": "hparams/MEND/{model}.yaml",
        "training": "hparams/TRAINING/MEND/{model}.yaml",
    }
    methods = [mend, mend | {"variant": "as-is", "repaired": False}]
    methods.append(mend | {"variant": "short", "training_seconds": 1})
    results = grid.run("model=tiny-gpt2", methods=methods, training_seconds="MEND")
    trained = [words[2:] for words in noted(grid.folder) if words[1] == "train"]
    assert sorted(trained) == [["MEND", "None"], ["MEND-short", "1.0"]]
    assert len({result.config_hash for result in results}) == 3
    assert {result.status for result in results} == {"ok"}


@pytest.mark.parametrize("same", [True, False])
def test_data_sets_of_the_same_training_cases_share_a_training(
    grid: Grid, monkeypatch: pytest.MonkeyPatch, same: bool
) -> None:
    if same:
        monkeypatch.setenv("STAND_IN_SAME_MODEL", "yes")
    datasets = [{"name": name, "source": "tinyworld"} for name in ("here", "there")]
    results = grid.run("model=tiny-gpt2", "MEND", datasets=datasets, jobs=2)
    assert grid.done("train", "MEND") == (1 if same else 2)
    assert {result.status for result in results} == {"ok"}
    assert {result.dataset for result in results} == {"here", "there"}
    assert {result.training_seconds for result in results} == {1.5}
    # What was shared can be shared again, and what was done is done.
    grid.run("model=tiny-gpt2", "MEND", datasets=datasets, jobs=1)
    assert grid.done("train", "MEND") == (1 if same else 2)


def test_methods_of_the_other_easyedit_are_left_out(
    grid: Grid, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    ft, mend = config().methods
    methods = [ft, mend | {"only_easyedit": "git"}]
    monkeypatch.setattr("benchmarks.inventory.easyedit_version", lambda: "wheel 0.0.1")
    results = grid.run("model=tiny-gpt2", methods=methods)
    assert {result.label for result in results} == {"FT"}
    assert "left out, as EasyEdit stand-in does not have them: MEND" in capsys.readouterr().err
    manifest = json.loads((grid.out / "run.json").read_text())
    assert {line[3] for line in manifest["lines"]} == {"FT"}


def test_code_that_changes_while_a_run_goes_on(grid: Grid, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STAND_IN_CODE_CHANGED", "FT MEND")
    with pytest.raises(ConfigError, match=r"has changed\. Not run: .*seed-0/FT, .*seed-0/MEND$"):
        grid.run("model=tiny-gpt2")
    assert read_results(grid.out / "results.jsonl") == []  # missing, not failed
    monkeypatch.setenv("STAND_IN_CODE_CHANGED", "MEND")
    with pytest.raises(ConfigError, match=r"has changed\. Not run: world/tiny-gpt2/seed-0/MEND$"):
        grid.run("model=tiny-gpt2")
    assert {(r.label, r.status) for r in read_results(grid.out / "results.jsonl")} == {("FT", "ok")}


def test_what_a_user_can_mend_stops_the_run_at_once(grid: Grid) -> None:
    with pytest.raises(DataError, match=r"world/tiny-gpt2/seed-0: nowhere: there is no such"):
        runner.run_benchmark(config(), data_dir=grid.folder / "nowhere", out=grid.out)
    assert not grid.done("edit") and not grid.done("train")


def test_a_folder_is_for_one_run_and_one_benchmark(grid: Grid) -> None:
    with (
        exclusive(grid.out / ".lock", 0.0, ""),
        pytest.raises(ConfigError, match=r"another run is writing into this folder \(process"),
    ):
        grid.run("FT")
    only = ("FT", "model=tiny-gpt2")
    first = grid.run(*only)
    with pytest.raises(ConfigError, match=r"results of the benchmark 'stand-in', not of 'other'"):
        grid.run(*only, name="other")
    assert grid.run(*only, name="other", resume=True) == first


def drive(grid: Grid) -> None:
    """The driver, in a process that is going to be killed."""
    grid.run()


def test_killed_at_any_moment_it_goes_on_and_repeats_and_loses_nothing(
    grid: Grid, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("STAND_IN_PACE", "0.1")
    rng = random.Random(0)
    fork = multiprocessing.get_context("fork")
    kills = {"driver": 0, "worker": 0}
    driver = fork.Process(target=drive, args=(grid,))
    driver.start()
    for victims in 2 * [("worker",), ("driver",), ("worker", "driver")]:
        while driver.is_alive() and last_worker(grid) is None:
            driver.join(0.01)  # a busy machine starts workers slowly
        driver.join(rng.uniform(0.0, 0.5))
        if not driver.is_alive():
            break
        for victim in victims:
            process = driver.pid if victim == "driver" else last_worker(grid)
            if process:
                os.kill(process, signal.SIGKILL)
                kills[victim] += 1
        if "driver" in victims:
            driver.join()
            driver = fork.Process(target=drive, args=(grid,))
            driver.start()
    driver.join()
    assert min(kills.values()) > 0, kills
    results = grid.run()  # what a killed worker had not done was left as failed
    assert len(results) == 4 * len(SEQUENCES) and {r.status for r in results} == {"ok"}
    lines = [json.loads(line) for line in (grid.out / "results.jsonl").read_text().splitlines()]
    good = Counter(
        (line["model"], line["method"], line["num_edits"], line["sequence"])
        for line in lines
        if line["status"] == "ok"
    )
    assert set(good.values()) == {1} and len(good) == len(results)
    # Only what was under way at a kill was done again.
    edited = Counter(tuple(words[1:]) for words in noted(grid.folder) if words[1] == "edit")
    assert sum(edited.values()) <= len(results) + sum(kills.values())
    assert not list((grid.out / "jobs").rglob("*.lines"))


def last_worker(grid: Grid) -> int | None:
    """A worker that is alive, by what it has noted."""
    for words in reversed(noted(grid.folder)):
        path = Path(f"/proc/{words[0]}/cmdline")
        if path.is_file() and b"worker" in path.read_bytes():
            return int(words[0])
    return None


def test_ctrl_c_stops_the_workers_and_keeps_their_lines(
    grid: Grid, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("STAND_IN_PACE", "0.05")

    class Impatient(Display):
        def refresh(self) -> None:
            if grid.done("edit", "FT", "1") == 3:
                raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        runner.run_benchmark(
            config(), data_dir=grid.folder, out=grid.out, only=["FT"], display=Impatient()
        )
    assert len(read_results(grid.out / "results.jsonl")) >= 2  # the third may not be a line yet
    assert last_worker(grid) is None
