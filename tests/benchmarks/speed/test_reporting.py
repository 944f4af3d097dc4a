"""Targets, times, tables and plots of measurements that are made up here."""

from __future__ import annotations

import json
import xml.etree.ElementTree as ET
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchmarks.speed.edits import PLAIN, PUBLISHED, SHIPPED, TIME, integral
from benchmarks.speed.figures import figures, write_figures
from benchmarks.speed.floor import Machine
from benchmarks.speed.result import Curve, Metric, Outcome, Phase, Target, compared, curve
from benchmarks.speed.run import BENCHMARKS, README, add
from benchmarks.speed.table import BEGIN, END, floor_table, render, with_floor
from benchmarks.speed.timing import Sample, side_by_side
from dafnet_plugin.errors import DataError


def results(**changes: Any) -> dict[str, Any]:
    """What ``speed.json`` holds, empty but for ``changes``."""
    machine = {"processor": "P", "cpus": 2, "threads": 1, "platform": "Linux x"}
    provenance = {
        "command": "python -m benchmarks.speed", "smoke": False, "seed": 3, "machine": machine,
        "versions": {"torch": "9.9"}, "commit": "abc",
    }  # fmt: skip
    return {
        "provenance": provenance, "metrics": {}, "curves": {}, "machine_rates": None, "phases": [],
        "benchmarks": {}, "failed": {}, **changes,
    }  # fmt: skip


def test_a_ratio_is_that_of_the_pairs_and_is_held_to_its_target() -> None:
    metric = compared(
        "m", "M", "s", Sample((1.0, 2.0, 4.0)), Sample((8.0, 8.0, 8.0)), Target("ratio", 4, True)
    )
    assert (metric.ours, metric.reference_like, metric.ratio, metric.met) == (2, 8, 4, True)
    assert metric.spread == {"ours": (1, 4), "reference_like": (8, 8), "ratio": (2, 8)}
    assert metric.to_dict()["target"] == "ratio >= 4"
    assert compared("m", "M", "s", Sample((5.0,)), target=Target("ours", 4)).met is False
    assert Metric("m", "M", "s", 1.0, target=Target("ratio", 4)).met is None
    assert Metric("m", "M", "s", 1.0, target=Target("ours", 4), missed="why").met is False


def test_a_smoke_test_judges_only_what_is_counted() -> None:
    target = Target("ours", 4)
    timed, counted = Metric("t", "", "s", 9.0, target=target), Metric(
        "c", "", "passes", 9.0, target=target, counted=True
    )  # fmt: skip
    assert timed.to_dict(smoke=True)["met"] is None and timed.to_dict()["met"] is False
    assert counted.to_dict(smoke=True)["met"] is False


def test_work_is_timed_in_turns() -> None:
    done: list[str] = []
    found = side_by_side(
        {"a": lambda: done.append("a"), "b": lambda: done.append("b")},
        3,
        before=lambda: done.append("."),
    )
    assert "".join(done) == ".a.b" + ".a.b.b.a.a.b"
    assert {name: len(sample.values) for name, sample in found.items()} == {"a": 3, "b": 3}


@given(st.floats(0.1, 10), st.floats(0, 1), st.integers(3, 200))
def test_all_edits_cost_what_each_does(first: float, growth: float, last: int) -> None:
    places = sorted({1, 2, last})
    times = {n: Sample((first + growth * (n - 1),)) for n in places}
    every = sum(first + growth * (n - 1) for n in range(1, last + 1))
    # Trapezoids of a straight line; each edit but the first stands for the step up to it.
    steps = growth * (last - 1) / 2
    assert integral(times).median == pytest.approx(every - steps)


def test_the_floor_is_the_longer_of_moving_and_computing() -> None:
    machine = Machine(bandwidth=100, rate=10)
    assert machine.floor(200, 5) == 2 and machine.floor(200, 50) == 5


def test_the_table_has_every_metric_with_its_note_and_its_target() -> None:
    metrics = (
        compared(
            "a", "A step", "s", Sample((1.0, 3.0)), Sample((2.0, 2.0)), Target("ratio", 4, True)
        ),
        Metric("b", "B", "MiB", 1234.5, note="how", target=Target("ours", 1), missed="why"),
    )  # fmt: skip
    data = results(benchmarks={"x": {"seconds": 3.2, "budget": 5}})
    add(data, Outcome(metrics))
    text = render(json.loads(json.dumps(data)))
    assert "| A step | s | 2 (1 - 3) | 2 | 1.33 (0.667 - 2) | ratio >= 4 | **no** |" in text
    assert "| B [1] | MiB | 1,234 |  |  | ours <= 1 | **no** |" in text
    assert "- [1] how. **Missed: why.**" in text
    assert "| all | 3 | 5 |" in text
    assert "P, 1 of 2 CPUs, Linux x; torch 9.9; seed 3; commit abc." in text


def test_the_readme_gets_the_table_of_phases_and_keeps_the_rest() -> None:
    data = results()
    phase = Phase(
        "an edit", 0.004, (0.003, 0.005), 2**20, 2_000_000, 0.001, 1249, (("addmm", 0.5),)
    )
    add(data, Outcome(phases=(phase,), machine={"copy_gib_per_s": 9, "matmul_gflop_per_s": 80}))
    assert data["phases"][0]["over_floor"] == 4
    lines = floor_table(data)
    assert lines[-1] == "| an edit | 4 | 3 - 5 | 1.00 | 2.0 | 1 | 4.0 | 1,249 | addmm 50% |"
    old = f"above\n{BEGIN}\nold\n{END}\nbelow\n"
    new = with_floor(old, data)
    assert new.startswith("above\n") and new.endswith("below\n") and "old" not in new
    assert lines[-1] in new and with_floor(new, data) == new
    with pytest.raises(DataError, match="no lines"):
        with_floor("nothing", data)
    assert with_floor(README.read_text(encoding="utf-8"), data)


def test_plots_are_written_for_the_curves_there_are(tmp_path: Path) -> None:
    samples = {n: Sample((n / 1000, n / 900)) for n in (1, 10, 100)}
    single = Curve("ours", (1000,), (9.0,))
    curves = {
        TIME: [curve(name, samples) for name in (PUBLISHED, SHIPPED, PLAIN)],
        "step_time": [curve(name, samples) for name in ("ours", PLAIN)],
        "long_step": [single],
        "memory_model": [Curve("ours", (2.6, 30.0), (5.0, 50.0))],
    }
    data = json.loads(json.dumps({k: [asdict(c) for c in v] for k, v in curves.items()}))
    names = write_figures(data, tmp_path)
    assert names == ["edit-time", "step-time", "step-memory"]
    for name in names:
        assert (tmp_path / f"{name}.png").read_bytes().startswith(b"\x89PNG")
        ET.parse(tmp_path / f"{name}.svg")
    step = next(figure for figure in figures(data) if figure.name == "step-time")
    ours = next(series for series in step.panels[0].series if series.style.label == "ours")
    assert (ours.x[-1], ours.y[-1], ours.low[-1]) == (1000, 9.0, None)
    assert write_figures({}, tmp_path / "none") == [] and not (tmp_path / "none").exists()


def test_everything_together_may_take_less_than_a_quarter_of_an_hour() -> None:
    assert sum(benchmark.budget for benchmark in BENCHMARKS.values()) < 900
