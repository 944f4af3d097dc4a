"""Processes in which one version of EasyEdit lives."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from importlib.machinery import PathFinder
from pathlib import Path
from typing import Any

import pytest

from dafnet_plugin.easyedit.compat import locate
from dafnet_plugin.errors import EasyEditError
from tests.conftest import SENTENCES, make_tiny_gpt2, make_tiny_llama

__all__ = ["SENTENCES", "make_tiny_gpt2", "make_tiny_llama", "require_easyedit", "wheel_installed"]

ROOT = Path(__file__).resolve().parents[2]


def wheel_installed() -> bool:
    """Say whether the wheel is what ``sys.path`` leads to when EASYEDIT_HOME is not set."""
    spec = PathFinder.find_spec("easyeditor")
    if spec is None or not spec.origin:
        return False
    try:
        return locate.locate(spec.origin).version == "wheel"
    except EasyEditError:
        return False


def require_easyedit(version: str) -> None:
    """Skip the test, with the reason, if this version of EasyEdit is not here."""
    if version == "git" and not os.environ.get("EASYEDIT_HOME"):
        pytest.skip("EASYEDIT_HOME is not set, so there is no EasyEdit checkout to test with")
    if version == "wheel" and not wheel_installed():
        pytest.skip("no easyeditor wheel: pip install --no-deps easyeditor==0.0.1.dev0")


RunPython = Callable[..., "subprocess.CompletedProcess[str]"]


@pytest.fixture(scope="session")
def run_python() -> RunPython:
    """``run_python(version, *args, cwd=...)``: a fresh Python in which ``version`` is EasyEdit.

    ``version`` is "wheel", "git", or a value for EASYEDIT_HOME.
    """

    def run(version: str, *args: str, cwd: Path, **env: str) -> subprocess.CompletedProcess[str]:
        variables = {**os.environ, "PYTHONPATH": str(ROOT), "PYTHONDONTWRITEBYTECODE": "1", **env}
        if version == "wheel":
            variables.pop("EASYEDIT_HOME", None)
        elif version != "git":
            variables["EASYEDIT_HOME"] = version
        command = [sys.executable, *args]
        return subprocess.run(
            command, cwd=cwd, env=variables, capture_output=True, text=True, timeout=600
        )

    return run


RunWorker = Callable[..., dict[str, Any]]


@pytest.fixture(scope="session")
def run_worker(
    run_python: RunPython,
    tiny_models: dict[str, Path],
    tmp_path_factory: pytest.TempPathFactory,
) -> RunWorker:
    """``run_worker(worker, version, family)``: the report that a script writes in such a Python.

    The script is given the family, the folder of a tiny model of it and the file for its report;
    it runs once a session for each version and family.
    """
    reports: dict[tuple[Path, str, str], dict[str, Any]] = {}

    def run(worker: Path, version: str, family: str, **env: str) -> dict[str, Any]:
        require_easyedit(version)
        key = worker, version, family
        if key not in reports:
            folder = tmp_path_factory.mktemp(f"{worker.stem}-{version}-{family}")
            file = folder / "report.json"
            arguments = (str(worker), family, str(tiny_models[family]), str(file))
            done = run_python(version, *arguments, cwd=folder, **env)
            assert done.returncode == 0, done.stderr[-4000:]
            files = [path.name for path in folder.iterdir()]
            facts = {"version": version, "family": family, "files": files}
            reports[key] = {**facts, **json.loads(file.read_text())}  # what it says itself counts
        return reports[key]

    return run
