"""What a run would do, and what earlier runs say about how long it takes."""

from __future__ import annotations

import io
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

import benchmarks.plan as plans
from benchmarks.data import DataSpec, Facts
from benchmarks.estimates import Estimates, Timing, append_timing
from benchmarks.grid import cells_of
from benchmarks.plan import Step, plan, plan_tables, summary
from benchmarks.results import append_result
from dafnet_plugin.errors import DataError
from tests.benchmarks.stand_in import CASES, config
from tests.benchmarks.test_results import RESULT

FT = Timing("cell", "world", "tiny-gpt2", "FT", "FT", 20.0, 10, 500.0)


@pytest.fixture
def made(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An output folder without anything, and no committed results."""
    monkeypatch.setattr("benchmarks.inventory.easyedit_version", lambda: "stand-in")
    monkeypatch.setattr(plans, "COMMITTED", tmp_path / "none")
    monkeypatch.setattr("benchmarks.data.prepare_facts", facts)
    return tmp_path / "out"


def facts(spec: DataSpec, *_: Any) -> Facts:
    """What the facts of a data set come to, without making them."""
    if spec.source == "zsre":
        raise DataError("zsre: there is no such folder")
    return Facts(*[Path()] * 4, train_cases=CASES, eval_cases=CASES)


def steps(out: Path, *only: str, **changes: Any) -> dict[tuple[str, str, str], Step]:
    found = plan(config(**changes), out.parent, out, only)
    return {(step.kind, step.setting.split("/")[1], step.label): step for step in found}


def test_without_earlier_runs_nothing_is_known_but_what_is_to_be_done(made: Path) -> None:
    found = steps(made)
    assert list(found) == [
        ("prepare", "tiny-gpt2", ""),
        ("prepare", "tiny-llama", ""),
        *(
            (kind, model, label)
            for model in ("tiny-gpt2", "tiny-llama")
            for kind, label in (("train", "MEND"), ("cell", "FT"), ("cell", "MEND"))
        ),
    ]
    cell = found["cell", "tiny-gpt2", "FT"]
    assert cell.sequences == {1: 3, 3: 2, CASES: 1} and cell.left == 3 + 6 + CASES
    assert cell.estimate.seconds is None and cell.estimate.basis == "unknown"
    assert not any(step.done for step in found.values())
    assert "8 of 8 steps are left; 8 of them have no earlier run" in summary(list(found.values()))
    assert not made.exists()


def test_data_that_are_not_there_are_planned_as_asked_for(made: Path) -> None:
    found = steps(made, datasets=[{"name": "world", "source": "zsre"}])
    assert found["cell", "tiny-gpt2", "FT"].sequences == {1: 3, 3: 2, 100: 1}


def test_earlier_runs_of_the_same_or_of_something_like_it(made: Path) -> None:
    made.mkdir()
    append_timing(made, FT)
    append_timing(made, replace(FT, kind="train", label="MEND", method="MEND", seconds=60.0))
    found = steps(made)
    edits = 3 + 6 + CASES
    same, other = (found["cell", model, "FT"].estimate for model in ("tiny-gpt2", "tiny-llama"))
    assert (same.seconds, same.memory_mb, same.basis) == (2.0 * edits, 500.0, "the same")
    assert (other.seconds, other.basis) == (2.0 * edits, "another model")
    assert found["cell", "tiny-gpt2", "MEND"].estimate.seconds is None
    append_timing(made, replace(FT, model="tiny-llama", seconds=25.0, setup_seconds=5.0))
    assert steps(made)["cell", "tiny-llama", "FT"].estimate.seconds == 5.0 + 2.0 * edits
    assert found["train", "tiny-llama", "MEND"].estimate.seconds == 60.0
    limited = steps(made, training_seconds=7.0)
    assert limited["train", "tiny-llama", "MEND"].estimate.seconds == 7.0


def test_what_data_sets_share_is_planned_once(made: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Base models by what they know, meta-trainings also by what they are trained on."""

    def some(spec: DataSpec, seed: int, data_dir: Path, out: Path) -> Facts:
        trained = {"a": "1", "b": "1", "c": "2"}[spec.name]
        (out / "train").write_text(trained)
        (out / "texts").write_text("the same")
        return Facts(out / "train", Path(), out / "texts", Path(), CASES, CASES)

    monkeypatch.setattr("benchmarks.data.prepare_facts", some)
    made.mkdir()
    append_timing(made, replace(FT, kind="prepare", label="", method="", seconds=100.0))
    append_timing(made, replace(FT, kind="train", label="MEND", method="MEND", seconds=60.0))
    datasets = [{"name": name, "source": "tinyworld"} for name in "abc"]
    found = plan(config(datasets=datasets), made.parent, made, ["MEND", "model=tiny-gpt2"])
    shared = {(s.kind, s.setting[0]): s.shared[:1] for s in found if s.kind != "cell"}
    assert shared == {
        ("prepare", "a"): "",
        ("prepare", "b"): "a",
        ("prepare", "c"): "a",
        ("train", "a"): "",
        ("train", "b"): "a",
        ("train", "c"): "",
    }
    trainings = [s.estimate.seconds for s in found if s.kind == "train"]
    assert trainings == [60.0, 0.0, 60.0]
    assert "6 of 9 steps are left" in summary(found)
    file = io.StringIO()
    Console(width=90, file=file).print(*plan_tables(found))
    assert file.getvalue().count("shared") == 3 and "a/tiny-gpt2/seed-0" in file.getvalue()


def test_lines_of_results_tell_the_least_it_takes(tmp_path: Path) -> None:
    line = replace(RESULT, dataset="world", seconds_per_edit=3.0, peak_memory_mb=700.0)
    append_result(tmp_path / "results.jsonl", replace(line, training_seconds=90.0, sequence=0))
    append_result(tmp_path / "results.jsonl", replace(line, status="failed", sequence=1))
    ft = cells_of(config())[0]
    found = Estimates.of_folders([tmp_path, tmp_path / "none"]).cell(ft, 20)
    assert (found.seconds, found.memory_mb, found.at_least) == (60.0, 700.0, True)
    # What whole processes took is better, where it is known.
    append_timing(tmp_path, FT)
    again = Estimates.of_folders([tmp_path])
    assert again.cell(ft, 20).seconds == 40.0 and not again.cell(ft, 20).at_least
    assert again.training(ft).seconds == 90.0


def test_table_and_summary(made: Path) -> None:
    made.mkdir()
    append_timing(made, FT)
    found = plan(config(), made.parent, made, ["FT"])
    file = io.StringIO()
    Console(width=80, file=file).print(*plan_tables(found))
    row = next(line for line in file.getvalue().splitlines() if "FT" in line)
    assert "42 s" in row and "500 MB" in row and "the same" in row
    assert f"world, tiny-gpt2, seed-0: 3 x 1, 2 x 3, 1 x {CASES} edits" in file.getvalue()
    assert "unknown" in file.getvalue()
    assert summary(found, 2).startswith("4 of 4 steps are left; at least 42 s with --jobs 2")
    assert summary([replace(step, done=True) for step in found]) == "0 of 4 steps are left"
