"""Transformer-Patcher, KE and CaliNet through BaseEditor: both versions, both model families."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from .conftest import RunWorker
from .methods_setup import NAMES

WORKER = Path(__file__).with_name("methods_worker.py")
PLACES = [(v, f) for v in ("wheel", "git") for f in ("gpt2", "llama")]

Report = dict[str, Any]


@pytest.fixture(scope="module", params=PLACES, ids="-".join)
def report(request: pytest.FixtureRequest, run_worker: RunWorker) -> Report:
    """The report of one version and family."""
    return run_worker(WORKER, *request.param, OMP_NUM_THREADS="1")


@pytest.fixture(params=NAMES)
def name(request: pytest.FixtureRequest) -> str:
    """A method."""
    found: str = request.param
    return found


def result(report: Report, name: str, check: str) -> Report:
    outcome: Report = report[name][check]
    assert "error" not in outcome, outcome["error"]
    return outcome


def test_sequential_edits_accumulate(report: Report, name: str) -> None:
    outcome = result(report, name, "sequential")
    assert outcome["as_expected"] and outcome["different"]
    assert outcome["same_object"] and outcome["trainable"]
    assert sum(outcome["pre"]) < sum(outcome["post"])
    # The wheel restores whatever it is given; git restores by its own flag.
    copied = 2 if name == "KE" and report["version"] == "git" else 0
    assert outcome["weights_copy"] == copied


def test_other_edits_are_undone(report: Report, name: str) -> None:
    outcome = result(report, name, "restored")
    assert outcome["unchanged"]
    assert outcome["single"] and outcome["kept"] and outcome["continued"]
    assert outcome["post"][0] == result(report, name, "sequential")["post"][0]


def test_batch_edit(report: Report, name: str) -> None:
    outcome = result(report, name, "batch")
    assert outcome["batchable"]
    for kind in ("sequential", "restored"):
        assert outcome[kind]["as_expected"], kind
        assert sum(outcome[kind]["pre"]) < sum(outcome[kind]["post"])


def test_editors_share_nothing_and_end_with_their_models(report: Report, name: str) -> None:
    outcome = result(report, name, "several")
    assert outcome == {"first": True, "second": True, "alive": 0, "forgotten": 2}


def test_pair_edits_as_the_folder_does(report: Report, name: str) -> None:
    outcome = result(report, name, "pair")
    folder = result(report, name, "sequential")
    assert outcome["as_expected"]
    for key in ("pre", "post", "rephrase", "locality"):
        assert outcome[key] == folder[key], key


def test_copy_leaves_the_model_alone(report: Report, name: str) -> None:
    assert result(report, name, "copies") == {"original": True, "twin": True, "restored": True}


def test_weights_that_easyedit_copies_back(report: Report, name: str) -> None:
    outcome = result(report, name, "normal_edit")
    assert outcome == ({"absent": True} if report["version"] == "wheel" else {"kept": True})


def test_errors_name_the_thing_and_lose_nothing(report: Report, name: str) -> None:
    outcome = result(report, name, "errors")
    kind, message, kept = outcome["module"]
    # A trained KE says first that it was trained for other modules.
    assert kind == ("CheckpointError" if name == "KE" else "ModelError") and "mpl" in message
    assert kept
    kind, message, kept = outcome["target"]
    assert kind == "DataError" and "non-empty" in message and kept
