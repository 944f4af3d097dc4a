"""Finding and importing EasyEdit, in fresh processes."""

from __future__ import annotations

import json
import textwrap
from pathlib import Path

import pytest

from dafnet_plugin.easyedit.compat.patches import PATCHES

from .conftest import RunPython, require_easyedit

IMPORT = """
import importlib.util, json, logging, os, random, sys
from dafnet_plugin.easyedit import compat
from dafnet_plugin.easyedit.compat.finder import EasyEditFinder

compat.install(), compat.install()
report = {
    "heavy": [m for m in ("torch", "transformers", "easyeditor") if m in sys.modules],
    "finders": sum(isinstance(f, EasyEditFinder) for f in sys.meta_path),
}
import numpy, torch, transformers
random.seed(7), torch.manual_seed(7), numpy.random.seed(7)
before = random.getstate(), torch.get_rng_state(), numpy.random.get_state()[1].tolist()
from easyeditor import BaseEditor, EditTrainer, MENDHyperParams
after = random.getstate(), torch.get_rng_state(), numpy.random.get_state()[1].tolist()
report["same_rng"] = (
    before[0] == after[0] and torch.equal(before[1], after[1]) and before[2] == after[2]
)
report["root_handlers"] = len(logging.getLogger().handlers)
report["logs"] = os.path.exists("logs")

ee, again = compat.load(), compat.load()
report["same"] = ee.alg_dict is again.alg_dict and ee.base_editor is BaseEditor
report["version"], report["patches"] = ee.version, ee.patches
report["restore_set"] = ee.callable_restore_algs is not None
report["batchable"] = ee.batch_editor.is_batchable_method("MEND")
report["train"], report["data"] = sorted(ee.alg_train_dict), sorted(ee.ds_dict)
report["module"] = ee.module("util.alg_dict").ALG_DICT is ee.alg_dict

hydra = ee.module("models.mend.mend_main").hydra  # imported by EasyEdit, used by nobody
report["placeholder"] = type(hydra).__name__
try:
    hydra.main()
except ImportError as error:
    report["message"] = str(error)
report["spec"] = importlib.util.find_spec("hydra") is not None
try:
    import hydra
    report["elsewhere"] = "imported"
except ImportError:
    report["elsewhere"] = "refused"
print("REPORT" + json.dumps(report))
"""


@pytest.mark.parametrize("version", ["wheel", "git"])
def test_import(version: str, run_python: RunPython, tmp_path: Path) -> None:
    require_easyedit(version)
    done = run_python(version, "-c", IMPORT, cwd=tmp_path)
    assert "REPORT" in done.stdout, done.stderr[-4000:]
    report = json.loads(done.stdout.partition("REPORT")[2])
    assert report["heavy"] == []
    assert report["finders"] == 1
    assert report["same_rng"]
    assert report["root_handlers"] == 0
    assert not report["logs"]
    assert report["same"] and report["module"] and report["batchable"]
    assert report["version"] == version
    assert report["restore_set"] == (version == "git")
    assert {"MEND", "SERAC"} <= set(report["train"])
    assert {"zsre", "cf"} <= set(report["data"])
    meant = {patch.name for patch in PATCHES if version in patch.versions}
    assert set(report["patches"]) == meant
    for patch, modules in report["patches"].items():
        assert len(modules) == len(set(modules)), patch
    if not report["spec"]:  # hydra is not installed here
        assert report["placeholder"] == "Placeholder"
        assert "hydra-core" in report["message"] and "mend_main" in report["message"]
        assert report["elsewhere"] == "refused"


def fake_easyedit(home: Path, **files: str) -> Path:
    """Write an ``easyeditor`` that has the wheel's shape but for what ``files`` replaces."""
    content = {
        "__init__": "",
        "editors/__init__": "",
        "editors/editor": "class BaseEditor: pass",
        "editors/batch_editor": "class BatchEditor: pass",
        "util/__init__": "",
        "util/alg_dict": "ALG_DICT = {}; DS_DICT = {}",
        "util/alg_train_dict": "ALG_TRAIN_DICT = {}",
        **files,
    }
    for name, text in content.items():
        file = home / "easyeditor" / f"{name}.py"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
    return home


LOAD = "from dafnet_plugin.easyedit import compat; compat.load()"


@pytest.mark.parametrize(
    "statement", [LOAD, LOAD.replace("load()", "install(); import easyeditor")]
)
def test_wrong_home(statement: str, run_python: RunPython, tmp_path: Path) -> None:
    done = run_python(str(tmp_path / "nowhere"), "-c", statement, cwd=tmp_path)
    assert "EasyEditError: EASYEDIT_HOME is '" in done.stderr
    assert "nowhere" in done.stderr


def test_install_alone_never_fails(run_python: RunPython, tmp_path: Path) -> None:
    statement = LOAD.replace("load", "install")
    done = run_python(str(tmp_path / "nowhere"), "-c", statement, cwd=tmp_path)
    assert done.returncode == 0, done.stderr


def test_unknown_shape(run_python: RunPython, tmp_path: Path) -> None:
    home = tmp_path / "home"
    (home / "easyeditor").mkdir(parents=True)
    (home / "easyeditor" / "__init__.py").touch()
    done = run_python(str(home), "-c", LOAD, cwd=tmp_path)
    assert "is not an EasyEdit this plugin knows: editors/editor.py" in done.stderr
    assert "Supported are" in done.stderr


def test_missing_registry(run_python: RunPython, tmp_path: Path) -> None:
    bare = "class BaseEditor:\n    edit = edit_requests = lambda self: None"
    home = fake_easyedit(
        tmp_path / "home", **{"editors/editor": bare, "util/alg_train_dict": "OTHER = {}"}
    )
    done = run_python(str(home), "-c", LOAD, cwd=tmp_path)
    assert "has no easyeditor.util.alg_train_dict.ALG_TRAIN_DICT" in done.stderr


def test_not_a_package(run_python: RunPython, tmp_path: Path) -> None:
    (tmp_path / "easyeditor").mkdir()
    code = f"""
        import sys
        from dafnet_plugin.easyedit import compat
        sys.path[:] = [{str(tmp_path)!r}] + [p for p in sys.path if "site-packages" not in p]
        compat.install()
        import easyeditor
    """
    done = run_python("wheel", "-c", textwrap.dedent(code), cwd=tmp_path)
    assert "has no __init__.py" in done.stderr


def test_absent(run_python: RunPython, tmp_path: Path) -> None:
    code = """
        import sys
        from dafnet_plugin.easyedit import compat
        sys.path[:] = [p for p in sys.path if "site-packages" not in p]
        compat.load()
    """
    done = run_python("wheel", "-c", textwrap.dedent(code), cwd=tmp_path)
    assert "pip install --no-deps easyeditor==0.0.1.dev0" in done.stderr
    assert "EASYEDIT_HOME" in done.stderr


@pytest.mark.parametrize("cuda", [False, True])
def test_imported_before(cuda: bool, run_python: RunPython, tmp_path: Path) -> None:
    fake_easyedit(tmp_path)
    stub = f"class cuda:\n    is_available = staticmethod(lambda: {cuda})"
    (tmp_path / "torch.py").write_text(stub)
    code = f"import easyeditor; {LOAD}; import sys; print(len(compat.load().patches))"
    done = run_python("wheel", "-c", code, cwd=tmp_path)
    assert "Put `from dafnet_plugin import DAFNetHparams` before" in done.stderr
