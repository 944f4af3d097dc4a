"""DAFNet through BaseEditor and EditTrainer, on both versions and both model families."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import pytest

from .conftest import RunWorker
from .dafnet_setup import MODULES

WORKER = Path(__file__).with_name("dafnet_worker.py")
VERSIONS = ("wheel", "git")
FAMILIES = ("gpt2", "llama")

Report = dict[str, Any]


@pytest.fixture(params=[(v, f) for v in VERSIONS for f in FAMILIES], ids="-".join)
def case(request: pytest.FixtureRequest, run_worker: RunWorker) -> Report:
    """The report of one version and family; its process runs once per session."""
    return run_worker(WORKER, *request.param)


def result(report: Report, check: str) -> Report:
    """Return the outcome of one check; fail with the worker's traceback if it raised."""
    outcome: Report = report[check]
    assert "error" not in outcome, outcome["error"]
    return outcome


def edited_weights(report: Report) -> list[str]:
    return [f"{name}.weight" for name in MODULES[report["family"]]]


def test_registers_once_and_by_itself(case: Report) -> None:
    assert result(case, "registered") == {
        "version": case["version"],
        "by_constructor": True,
        "once": True,
        "batchable": [True, True, False],
        "alias": True,
    }


def test_edits_are_kept_undone_saved_and_exported(case: Report) -> None:
    outcome = result(case, "kept")
    assert outcome.pop("listed") == [["1", "London"], ["2", "Michigan"], ["3", "Paris"]]
    assert "kept already" in outcome.pop("message")
    assert "is gone, nothing refers to it any more" in outcome.pop("gone")
    assert "no DAFNet edits are known of it" in outcome.pop("unknown")
    assert all(value is True for value in outcome.values()), outcome


@pytest.mark.parametrize("check", ["sequential", "running_mean"])
def test_sequential_edits_accumulate(case: Report, check: str) -> None:
    outcome = result(case, check)
    assert set(outcome["changed"]) == set(edited_weights(case))
    assert outcome["as_expected"] and outcome["same_object"] and outcome["trainable"]
    assert sum(outcome["pre"]) < sum(outcome["post"])
    # The wheel restores whatever it is given; git restores by its own flag.
    assert outcome["weights_copy"] == (0 if case["version"] == "wheel" else 3)


def test_other_edits_are_undone_with_their_memory(case: Report) -> None:
    outcome = result(case, "restored")
    assert outcome["changed"] == []
    assert outcome["single"] and outcome["kept"] and outcome["continued"]
    assert outcome["post"][0] == result(case, "sequential")["post"][0]


def test_batch_edit(case: Report) -> None:
    outcome = result(case, "batch")
    for name in ("sequential", "restored"):
        assert outcome[name]["as_expected"], name
        assert sum(outcome[name]["pre"]) < sum(outcome[name]["post"])
    # The wheel sets batch_size to 1 in edit(), git wants it to be 1.
    alone = {"wheel": 1, "git": "Single Editing: batch_size should be set to 1"}
    assert outcome["edit"] == alone[case["version"]]


def test_editors_share_nothing_and_end_with_their_models(case: Report) -> None:
    outcome = result(case, "several")
    assert outcome["first"] and outcome["second"] and outcome["other"]
    assert outcome["alive"] == 0
    assert outcome["forgotten"] == 3


def test_pair_edits_as_the_folder_does(case: Report) -> None:
    pair, folder = result(case, "pair"), result(case, "sequential")
    for key in ("pre", "post", "rephrase", "locality"):
        assert pair[key] == folder[key], key
    assert pair["same_model"] and pair["continued"]


def test_copy_leaves_the_model_alone(case: Report) -> None:
    outcome = result(case, "copies")
    assert outcome["names"] == edited_weights(case)
    assert outcome["original"] and outcome["twin"]
    assert outcome["restored"] and outcome["followed"]


def test_memory_follows_weights_that_easyedit_copies_back(case: Report) -> None:
    outcome = result(case, "normal_edit")
    if case["version"] == "wheel":
        assert outcome == {"absent": True}
    else:
        assert outcome == {"kept": True, "continued": True}


@pytest.mark.parametrize(
    ("check", "error", "words"),
    [
        ("changed_weights", "ModelError", ["changed by something else", "load the model anew"]),
        ("nan_weights", "NumericalError", ["{0}.weight holds NaN or infinity"]),
        ("no_archive", "CheckpointError", ["nowhere: no DAFNet checkpoint here"]),
        ("other_modules", "CheckpointError", ["trained for the modules", "{0}", "{2}"]),
        ("other_archive", "ModelError", ["carries 1 DAFNet edits", "dafnet-running_mean"]),
        ("empty_target", "DataError", ["'The capital of France is' -> ' '", "non-empty"]),
    ],
)
def test_errors_name_the_thing_and_lose_nothing(
    case: Report, check: str, error: str, words: list[str]
) -> None:
    outcome = result(case, check)
    assert outcome["type"] == error, outcome
    assert outcome["unchanged"]
    for word in words:
        assert word.format(*MODULES[case["family"]]) in outcome["message"]
    assert outcome.get("lost_nothing", True)


@pytest.mark.parametrize("check", ["train_zsre", "train_cases"])
def test_easyedits_trainer_trains(case: Report, check: str) -> None:
    outcome = result(case, check)
    assert math.isfinite(outcome["loss"])
    assert outcome["base_changed"] == []
    folder = {"train_zsre": "results-zsre", "train_cases": "results-dafnet"}[check]
    assert outcome["archive"] == f"{folder}/models/DAFNET/tiny-{case['family']}"
    assert outcome["tensors"]
    parts = ("intra.transform.2", "inter.value", "ffn_out", "module_scale")
    for shape in {"gpt2": ("128x32", "32x128"), "llama": ("64x32", "32x64")}[case["family"]]:
        expected = {f"networks.{shape}.layers.0.{part}.weight" for part in parts}
        assert expected | {f"networks.{shape}.normaliser.mean"} <= set(outcome["moved"])
    # The scale attention has no part in least_squares.
    scales = any(".scale_attention." in name for name in outcome["moved"])
    assert scales == (check == "train_cases")
    # Further than three steps with lr lead, not further than three with lr_lr.
    assert 0.03 < outcome["lr_step"] < 0.5


def test_the_trainers_archive_edits(case: Report) -> None:
    outcome = result(case, "trained_archive")
    assert set(outcome["changed"]) == set(edited_weights(case))
    assert sum(outcome["pre"]) < sum(outcome["post"])
    name, shape = MODULES[case["family"]][0], "128x32" if case["family"] == "gpt2" else "64x32"
    assert outcome["refused"].startswith("CheckpointError: ")
    assert "trained for 3 modules" in outcome["refused"]
    assert f"{name} ({shape})" in outcome["refused"]


def test_edit_dataset(case: Report) -> None:
    outcome = result(case, "edit_dataset")
    if case["version"] == "git":
        assert outcome == {"absent": True}
    else:
        assert outcome["changed"] == []
        assert len(outcome["post"]) == 1  # the wheel reports its last batch


def test_leaves_no_logs(case: Report) -> None:
    assert "logs" not in case["files"]
