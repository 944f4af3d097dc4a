"""Processes in which one version of EasyEdit lives."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from importlib.machinery import PathFinder
from pathlib import Path

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
