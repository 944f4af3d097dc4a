"""Models for the methods, like those that the harness trains, but random; and processes."""

from __future__ import annotations

import functools
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.benchmarks.methods.models import tie
from tests.easyedit.conftest import require_easyedit

ROOT = Path(__file__).resolve().parents[3]

RunWorker = Callable[[str, str], Path]


@pytest.fixture(scope="session")
def models(
    tiny_models: dict[str, Path], tmp_path_factory: pytest.TempPathFactory
) -> dict[str, Path]:
    """Folders of tiny random models by family; the Llama's head is its embedding."""
    tied = tie(tiny_models["llama"], tmp_path_factory.mktemp("tied") / "tiny-llama")
    return {"gpt2": tiny_models["gpt2"], "llama": tied}


@pytest.fixture(scope="session")
def run_worker(models: dict[str, Path], tmp_path_factory: pytest.TempPathFactory) -> RunWorker:
    """``run_worker(version, family)``: the folder with its reports, after it ran once."""

    @functools.cache
    def run(version: str, family: str) -> Path:
        work = tmp_path_factory.mktemp(f"{version}-{family}")
        variables = {
            **os.environ,
            "PYTHONPATH": os.pathsep.join(filter(None, [str(ROOT), os.environ.get("PYTHONPATH")])),
            "OMP_NUM_THREADS": "1",
        }
        if version == "wheel":
            variables.pop("EASYEDIT_HOME", None)
        done = subprocess.run(
            [
                sys.executable,
                Path(__file__).with_name("method_worker.py"),
                family,
                models[family],
                work,
            ],
            env=variables,
            cwd=work,
            capture_output=True,
            text=True,
            timeout=600,
        )
        assert done.returncode == 0, done.stderr[-4000:]
        return work

    def run_or_skip(version: str, family: str) -> Path:
        require_easyedit(version)
        return run(version, family)

    return run_or_skip
