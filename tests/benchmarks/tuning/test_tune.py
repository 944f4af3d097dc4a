"""Whole searches on a random model."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from benchmarks.tuning.search import split
from dafnet_plugin.cases import EditCase, EditRequest
from dafnet_plugin.errors import DataError
from tests.easyedit.conftest import require_easyedit

ROOT = Path(__file__).resolve().parents[3]


@pytest.fixture(scope="module")
def report(
    tiny_models: dict[str, Path], tmp_path_factory: pytest.TempPathFactory
) -> dict[str, Any]:
    require_easyedit("git" if os.environ.get("EASYEDIT_HOME") else "wheel")
    work = tmp_path_factory.mktemp("tuning")
    done = subprocess.run(
        [sys.executable, Path(__file__).with_name("tune_worker.py"), tiny_models["gpt2"], work],
        env={**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"},
        cwd=work,
        capture_output=True,
        text=True,
        timeout=600,
    )
    assert done.returncode == 0, done.stderr[-4000:]
    found: dict[str, Any] = json.loads((work / "report.json").read_text())
    return found


def test_the_first_trial_is_the_file_as_it_is(report: dict[str, Any]) -> None:
    first, second = report["first"]
    assert first["settings"] == {} and first["number"] == 0
    assert second["settings"]["editing"].keys() == {"layers", "lr"}
    for trial in (first, second):
        assert trial["status"] == "ok" and trial["seconds"] > 0
        assert trial["training_seconds"] is None
        assert set(trial["scores"]) == {"1", "3"}
        means = [np.mean(list(scores.values())) for scores in trial["scores"].values()]
        assert trial["score"] == pytest.approx(np.mean(means))
        assert trial["versions"]["easyeditor"]


def test_a_search_goes_on(report: dict[str, Any]) -> None:
    assert [trial["number"] for trial in report["resumed"]] == [2, 3]
    assert report["over"] == []
    every = report["first"] + report["resumed"]
    assert len({json.dumps(trial["settings"]) for trial in every}) == 4
    assert len({trial["inputs"] for trial in every}) == 1


def test_time_ends_a_search(report: dict[str, Any]) -> None:
    assert report["no time"] == []
    assert report["time spent before"] == [], "a search that goes on has no more than a whole one"


def test_failed_trials_are_recorded_and_tried_again(report: dict[str, Any]) -> None:
    first, second = report["another space"]
    assert first["status"] == "ok"  # a space of its own begins with the file again
    assert second["status"] == "failed" and second["score"] is None
    assert "empty parameter list" in second["error"]
    assert [trial["number"] for trial in report["failed again"]] == [1]
    assert report["lines"] == 4 + 2 + 1
    # The same settings give the same scores, whatever was tried before.
    assert first["scores"] == report["first"][0]["scores"]
    assert first["inputs"] != report["first"][0]["inputs"]


def test_a_key_that_the_method_lacks(report: dict[str, Any]) -> None:
    assert "tiny-gpt2.yaml: it has no 'rate'" in report["unknown key"]


def test_trained_methods_train_in_each_trial(report: dict[str, Any]) -> None:
    for trial in report["trained"]:
        assert trial["status"] == "ok", trial["error"]
        assert 0.5 <= trial["training_seconds"] <= trial["seconds"]
    assert all(name.endswith(".log") for name in report["left"])


def test_scored_cases_are_not_trained_on() -> None:
    cases = [EditCase(str(i), EditRequest(f"prompt {i}", "x")) for i in range(20)]
    scored, rest = split(cases, 0, ((1, 2), (5, 1)))
    assert len(scored) == 7
    assert sorted(c.case_id for c in scored + rest) == sorted(c.case_id for c in cases)
    assert split(cases, 0, ((1, 2), (5, 1))) == (scored, rest)
    assert split(cases, 1, ((1, 2), (5, 1))) != (scored, rest)
    with pytest.raises(DataError, match="20 training cases, but a trial is scored on 20"):
        split(cases, 0, ((20, 1),))
