"""Every method through ``BaseEditor.apply_algo``, a sequence of edits, on both families."""

from __future__ import annotations

import json
import math
from typing import Any

import pytest

from benchmarks.methods import get_adapter
from tests.benchmarks.methods.conftest import RunWorker
from tests.benchmarks.methods.names import GIT, WHEEL

UNTRAINED = {"MEND", "SERAC", "MALMEN", "KE", "KN"}
"""Methods that a few steps of training, or a random model, leave at any result."""

ROUNDING = 1e-4
"""Largest difference of logits that the order of sums in a batch makes."""


@pytest.fixture(scope="module", params=["wheel-gpt2", "wheel-llama", "git-gpt2", "git-llama"])
def report(request: pytest.FixtureRequest, run_worker: RunWorker) -> dict[str, Any]:
    version, family = request.param.split("-")
    work = run_worker(version, family)
    found: dict[str, Any] = json.loads((work / "methods.json").read_text())
    return found | {"version": version}


@pytest.mark.parametrize("alg_name", [*WHEEL, *GIT])
def test_method(alg_name: str, report: dict[str, Any]) -> None:
    if report["version"] == "wheel" and alg_name in GIT:
        pytest.skip("EasyEdit's wheel does not have it")
    if alg_name == "KN" and alg_name not in report:
        pytest.skip("EasyEdit's KN needs einops")
    found = report[alg_name]
    assert "error" not in found, found["error"]
    assert all(map(math.isfinite, [*found["base"], found["first"], *found["final"]]))
    if alg_name not in UNTRAINED:
        assert found["first"] < found["base"][0]
    assert found["final"] != found["base"]
    # Padding side and company change nothing, and EasyEdit would see the same.
    assert found["batching"] < ROUNDING
    assert found.get("easyedit", 0.0) < ROUNDING
    assert found["greedy"] == [3] * 5
    assert get_adapter(alg_name).sees_target or all(found["greedy agrees"])
    assert found["stored"] > 0
    assert found["restored"] and found["same answers"]
    assert found["again"] == pytest.approx(found["first"], abs=1e-5)
