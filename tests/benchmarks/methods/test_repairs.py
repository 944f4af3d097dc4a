"""Each fault of EasyEdit in a sequence of edits, as it is and repaired."""

from __future__ import annotations

import json
from typing import Any

import pytest

from benchmarks.methods import get_adapter, repair_of
from benchmarks.methods.registry import ADAPTERS
from tests.benchmarks.methods.conftest import RunWorker


@pytest.fixture(scope="module", params=["wheel-gpt2", "wheel-llama", "git-gpt2", "git-llama"])
def report(request: pytest.FixtureRequest, run_worker: RunWorker) -> dict[str, Any]:
    version, family = request.param.split("-")
    work = run_worker(version, family)
    found: dict[str, Any] = json.loads((work / "repairs.json").read_text())
    return found | {"version": version, "family": family}


def both(report: dict[str, Any], check: str) -> tuple[dict[str, Any], dict[str, Any]]:
    """What a check found as it is, and repaired."""
    if check not in report:
        pytest.skip("EasyEdit's wheel does not have the method")
    found = report[check]
    assert "error" not in found, found["error"]
    return found["as is"], found["repaired"]


def test_serac_remembers_every_edit(report: dict[str, Any]) -> None:
    as_is, repaired = both(report, "SERAC")
    assert as_is["remembered"] == 1
    assert repaired["remembered"] == 2


@pytest.mark.parametrize("alg_name", ["LoRA", "DPO"])
def test_an_adapter_is_not_reset(alg_name: str, report: dict[str, Any]) -> None:
    as_is, repaired = both(report, alg_name)
    if alg_name == "DPO" or report["version"] == "wheel":
        assert as_is["after"] == pytest.approx(as_is["base"], abs=1e-5) != as_is["first"]
    else:
        assert as_is == repaired
    assert repaired["after"] == pytest.approx(repaired["first"], abs=1e-5)
    assert repaired["first"] < 0.5 * repaired["base"]


def test_lora_learns_the_first_token_of_the_answer(report: dict[str, Any]) -> None:
    as_is, repaired = both(report, "LoRA")  # the answer is one token
    assert (as_is["first"] > 0.5 * as_is["base"]) == (report["version"] == "wheel")
    assert repaired["first"] < 0.5 * repaired["base"]


def test_mend_keeps_the_statistics_of_meta_training(report: dict[str, Any]) -> None:
    as_is, repaired = both(report, "MEND")
    assert (as_is["moved"] > 0) == (report["version"] == "wheel")
    assert repaired["moved"] == 0


@pytest.mark.parametrize("alg_name", ["ULTRAEDIT", "MALMEN"])
def test_statistics_run_over_all_edits(alg_name: str, report: dict[str, Any]) -> None:
    as_is, repaired = both(report, alg_name)
    before = repaired["restored"]
    one = repaired["counts"][0] - before
    two = as_is["counts"][1] - before  # tokens of the second edit alone
    assert as_is["counts"][0] == repaired["counts"][0]
    assert repaired["counts"][1] == before + one + two


def test_grace_looks_at_the_end_of_each_prompt(report: dict[str, Any]) -> None:
    as_is, repaired = both(report, "GRACE position")
    assert as_is["after"] == pytest.approx(as_is["base"])
    assert repaired["after"] == pytest.approx(repaired["first"], abs=1e-4)
    assert repaired["first"] < 0.5 * repaired["base"]


def test_grace_edits_near_a_key(report: dict[str, Any]) -> None:
    as_is, repaired = both(report, "GRACE same key")
    assert "does not require grad" in as_is["error"]
    assert repaired["error"] is None


def test_melo_edits_on(report: dict[str, Any]) -> None:
    as_is, repaired = both(report, "MELO")
    if report["family"] == "gpt2":
        assert "shapes cannot be multiplied" in as_is["error"]
    else:
        assert as_is["after"] == pytest.approx(as_is["base"])
    assert repaired["after"] == pytest.approx(repaired["first"], abs=1e-4)
    assert repaired["first"] < 0.5 * repaired["base"]


def test_wise_edits_on(report: dict[str, Any]) -> None:
    as_is, repaired = both(report, "WISE sequence")
    assert (as_is["edits"], repaired["edits"]) == (1, 2)


def test_wise_reads_shards_of_a_gpt2(report: dict[str, Any]) -> None:
    as_is, repaired = both(report, "WISE shards")
    if report["family"] == "gpt2":
        assert "shapes cannot be multiplied" in as_is["error"]
    assert repaired["error"] is None


def test_wise_learns_the_answer_only(report: dict[str, Any]) -> None:
    as_is, repaired = both(report, "WISE labels")
    assert as_is["labels"] > as_is["answer"]
    assert repaired["labels"] == repaired["answer"]


@pytest.mark.parametrize("alg_name", ["MEMIT-FE", "PMET", "SimIE"])
def test_padding_is_where_the_method_expects_it(alg_name: str, report: dict[str, Any]) -> None:
    as_is, repaired = both(report, alg_name)
    assert (as_is["side"], repaired["side"]) == ("left", "right")
    if (alg_name, report["family"]) != ("PMET", "gpt2"):
        assert repaired["loss"] < as_is["loss"]


def test_every_repair_is_described() -> None:
    checked = {
        "DPO",
        "GRACE",
        "LoRA",
        "MALMEN",
        "MELO",
        "MEMIT-FE",
        "MEND",
        "PMET",
        "SERAC",
        "SimIE",
    }
    checked |= {"ULTRAEDIT", "WISE"}
    assert {name for name in ADAPTERS if repair_of(name)} == checked
    assert repair_of("FT") is None
    assert not get_adapter("SERAC", repaired=False).repaired
