"""What importing the package costs, and what happens without EasyEdit."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from .conftest import RunPython, require_easyedit
from .dafnet_setup import settings, write_yaml

HEAVY = """
import json, sys
import dafnet_plugin
from dafnet_plugin import EditCase, EditRequest, Probe
loaded = [name for name in ("torch", "transformers", "easyeditor") if name in sys.modules]
listed = sorted(set(dafnet_plugin.__all__) - set(dir(dafnet_plugin)))
try:
    dafnet_plugin.DAFNetHparam
except AttributeError as error:
    unknown = str(error)
from dafnet_plugin import DAFNetHparams
later = [name for name in ("torch", "transformers", "easyeditor") if name in sys.modules]
print("REPORT" + json.dumps([loaded, listed, unknown, later]))
"""
READ = """
import sys
from dafnet_plugin import DAFNetHparams
from dafnet_plugin.errors import EasyEditError
try:
    DAFNetHparams.from_hparams(sys.argv[1])
except EasyEditError as error:
    print("REPORT" + str(error))
"""
FIRST = """
import sys
from dafnet_plugin import DAFNetHparams
DAFNetHparams.from_hparams(sys.argv[1])
from easyeditor import BaseEditor
from easyeditor.util.alg_dict import ALG_DICT
print("REPORT" + str("DAFNET" in ALG_DICT))
"""


def _report(stdout: str) -> str:
    return next(line[6:] for line in stdout.splitlines() if line.startswith("REPORT"))


def test_importing_the_package_is_cheap(run_python: RunPython, tmp_path: Path) -> None:
    done = run_python("wheel", "-c", HEAVY, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    loaded, unlisted, unknown, later = json.loads(_report(done.stdout))
    assert loaded == later == []
    assert unlisted == []
    assert "no attribute 'DAFNetHparam'" in unknown


def test_wrong_easyedit_is_one_clear_error(run_python: RunPython, tmp_path: Path) -> None:
    file = write_yaml(tmp_path / "dafnet.yaml", settings("gpt2"))
    done = run_python(str(tmp_path), "-c", READ, str(file), cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "EASYEDIT_HOME" in _report(done.stdout)


@pytest.mark.parametrize("version", ["wheel", "git"])
def test_hparams_may_come_before_easyedit(
    run_python: RunPython, tmp_path: Path, version: str
) -> None:
    require_easyedit(version)
    file = write_yaml(tmp_path / "dafnet.yaml", settings("gpt2"))
    # The file's ending may be left out, as in EasyEdit.
    done = run_python(version, "-c", FIRST, str(file.with_suffix("")), cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert _report(done.stdout) == "True"
