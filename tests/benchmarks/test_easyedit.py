"""The harness beside EasyEdit itself, for both families, in processes of their own."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.easyedit.conftest import wheel_installed

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module", params=["gpt2", "llama"])
def report(
    request: pytest.FixtureRequest,
    tiny_models: dict[str, Path],
    tmp_path_factory: pytest.TempPathFactory,
) -> dict[str, Any]:
    if not wheel_installed() and not os.environ.get("EASYEDIT_HOME"):
        pytest.skip("no EasyEdit: pip install --no-deps easyeditor==0.0.1.dev0")
    folder = tmp_path_factory.mktemp(request.param)
    worker = Path(__file__).with_name("bench_worker.py")
    done = subprocess.run(
        [sys.executable, worker, request.param, tiny_models[request.param], folder],
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr[-4000:]
    found: dict[str, Any] = json.loads((folder / "report.json").read_text())
    return found


def test_labels_are_the_tokens_that_follow_the_prompt(report: dict[str, Any]) -> None:
    assert all(tokens == labels for tokens, labels in report["labels"]["repaired"])
    if (report["version"], report["family"]) == ("git", "gpt2"):
        return  # which has had the space put before the answer since
    # The fault that is repaired: once it is gone, the repair should go too.
    assert any(tokens != labels for tokens, labels in report["labels"]["as it is"])


def test_hyper_parameters_that_do_not_fit_are_named(report: dict[str, Any]) -> None:
    unknown, method = report["refusals"]
    assert "ft.yaml: 2 problem(s)" in unknown
    assert "num_stpes: unknown key (did you mean 'num_steps'?)" in unknown
    assert "num_steps: missing" in unknown
    assert "'FTT' is not in this EasyEdit" in method and "did you mean 'FT'" in method
