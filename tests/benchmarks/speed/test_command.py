"""The command writes what it measured; memory of a process of its own is measured in one."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch

from benchmarks.speed.context import Context
from benchmarks.speed.memory import ProcessDiedError, counted, peak_of
from benchmarks.speed.result import Outcome
from benchmarks.speed.run import BENCHMARKS, Benchmark, main
from tests.benchmarks.speed.work import allocate, die


def test_a_smoke_test_writes_json_table_and_plots(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    threads = torch.get_num_threads()
    try:
        arguments = ["--smoke", "--threads", "1", "--only", "training_step", "signal"]
        assert main([*arguments, "--out", str(tmp_path), "--work", str(tmp_path / "work")]) == 0
    finally:
        torch.set_num_threads(threads)
    data = json.loads((tmp_path / "speed.json").read_text())
    assert data["provenance"]["smoke"] and data["provenance"]["machine"]["threads"] == 1
    assert {"torch", "python"} <= set(data["provenance"]["versions"])
    for metric in data["metrics"].values():
        assert {"ours", "reference_like", "ratio", "target", "met", "spread", "unit"} <= set(metric)
    metrics = data["metrics"]
    assert metrics["signal_weight_gradients"]["met"] and metrics["signal_operations"]["met"]
    assert metrics["training_step_1"]["ratio"] > 0 and metrics["training_step_1"]["met"] is None
    assert (tmp_path / "speed.md").read_text() == capsys.readouterr().out[:-1]
    assert {path.name for path in tmp_path.glob("step-time.*")} == {
        "step-time.png",
        "step-time.svg",
    }


def test_what_fails_is_said_and_keeps_nothing_else_from_being_measured(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def fail(_: Context) -> Outcome:
        raise ProcessDiedError("out of memory")

    monkeypatch.setitem(BENCHMARKS, "edits", Benchmark(fail, 1))
    only = ["--only", "edits", "loss_memory", "--out", str(tmp_path)]
    threads = torch.get_num_threads()
    try:
        assert main(["--smoke", "--threads", "1", *only]) == 1
    finally:
        torch.set_num_threads(threads)
    data = json.loads((tmp_path / "speed.json").read_text())
    assert data["failed"] == {"edits": "ProcessDiedError: out of memory"}
    assert list(data["metrics"]) == ["loss_memory"]
    assert "**edits failed:** ProcessDiedError: out of memory" in capsys.readouterr().out


def test_unknown_metrics_are_refused(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["--only", "nothing"])
    said = capsys.readouterr().err
    assert all(name in said for name in BENCHMARKS)


def test_memory_of_a_process_of_its_own_is_what_counting_says() -> None:
    own, here = peak_of(False, 1, allocate, 64), counted(allocate, 64)
    assert here.extra == 64 * 2**20 and here.held == 32 * 2**20 and here.whole is None
    assert own.extra == pytest.approx(here.extra, rel=0.2)
    assert own.held == pytest.approx(here.held, rel=0.4)
    assert own.whole is not None and own.whole > own.extra


def test_a_process_that_dies_is_not_a_number() -> None:
    with pytest.raises(ProcessDiedError, match="die"):
        peak_of(False, 1, die)
