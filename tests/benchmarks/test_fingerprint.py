"""Which code counts: all that a worker imports from this repository, or it is said why not."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

import benchmarks.fingerprint as fingerprint
from benchmarks.config import ROOT
from benchmarks.fingerprint import check_unchanged, editing_code, meaning, training_code
from benchmarks.jobs import CellJob
from dafnet_plugin.errors import ConfigError

NO_SCORE_DEPENDS_ON = {
    "benchmarks/__init__.py": "empty",
    "benchmarks/apart.py": "data count by their bytes",
    "benchmarks/data.py": "data count by their bytes",
    "benchmarks/dafset_source.py": "data count by their bytes",
    "benchmarks/mixing.py": "used in meta-training only, where it counts",
    "benchmarks/source.py": "data count by their bytes",
    "benchmarks/sources.py": "data count by their bytes",
    "benchmarks/consistency/__init__.py": "names what is in the package",
    "benchmarks/consistency/config.py": "settings count by their values",
    "benchmarks/config.py": "what was configured counts by the hyper-parameters and the files",
    "benchmarks/entries.py": "likewise",
    "benchmarks/jobs.py": "a job counts by what is in it",
    "benchmarks/results.py": "says how results are written down",
    "benchmarks/targets.py": "what was to be reached is only shown",
    "dafnet_plugin/__init__.py": "the version",
    "dafnet_plugin/devices.py": "the device counts by its name",
    "dafnet_plugin/errors.py": "messages",
    "dafnet_plugin/files.py": "files count by their bytes",
    "dafnet_plugin/locks.py": "who waits for whom",
    "dafnet_plugin/registered.py": "registers methods, and checks names",
    "dafnet_plugin/schema.py": "what is read from YAML counts by its values",
    "dafnet_plugin/versions.py": "says what made an artefact",
    "dafnet_plugin/data/__init__.py": "data count by their bytes",
    "dafnet_plugin/easyedit/datasets.py": "used in meta-training only, where it counts",
    "dafnet_plugin/easyedit/trainer.py": "not used: the harness trains DAFNet itself",
}
# Packages that are imported for the interface to EasyEdit, and used by DAFNet only.
OF_DAFNET = ("dafnet_plugin/artifacts/", "dafnet_plugin/editing/", "dafnet_plugin/network/",
             "dafnet_plugin/training/", "dafnet_plugin/hparams.py")  # fmt: skip
# Likewise, used by the other methods of this repository only, each of which counts its own.
OF_METHODS = ("dafnet_plugin/methods/", "dafnet_plugin/easyedit/methods.py")
# Loaders: what they have loaded counts by its bytes.
OF_DATA = ("dafnet_plugin/data/",)


def imports(path: Path) -> set[Path]:
    """The files of this repository that a file imports, inside functions too."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.module:
            names = [node.module, *(f"{node.module}.{alias.name}" for alias in node.names)]
        else:
            continue
        for name in names:
            place = ROOT / Path(*name.split("."))
            found |= {p for p in (place.with_suffix(".py"), place / "__init__.py") if p.is_file()}
    return found


def closure(*starts: str) -> set[str]:
    waiting, found = [ROOT / start for start in starts], set[Path]()
    while waiting:
        path = waiting.pop()
        if path not in found:
            found.add(path)
            waiting += imports(path)
    return {path.relative_to(ROOT).as_posix() for path in found}


def counted(*groups: tuple[str, ...]) -> set[str]:
    files = fingerprint._files([path for group in groups for path in group])
    return {path.relative_to(ROOT).as_posix() for path in files}


@pytest.mark.parametrize(
    ("start", "groups"),
    [
        ("benchmarks/editing.py", (fingerprint.EDITING, fingerprint.DAFNET)),
        (
            "benchmarks/consistency/bench.py",
            (fingerprint.EDITING, fingerprint.DAFNET, fingerprint.CONSISTENCY),
        ),
        (
            "benchmarks/meta_training.py",
            (
                fingerprint.TRAINING,
                fingerprint.EASYEDIT_TRAINING,
                fingerprint.DAFNET_TRAINING,
                fingerprint.EDITING,
            ),
        ),
    ],
)
def test_no_file_is_forgotten(start: str, groups: tuple[tuple[str, ...], ...]) -> None:
    known = counted(*groups, (fingerprint.ADAPTERS,)) | NO_SCORE_DEPENDS_ON.keys()
    forgotten = {
        path
        for path in closure(start) - known
        if not path.startswith((*OF_DAFNET, *OF_METHODS, *OF_DATA))
    }
    assert not forgotten, "add them to benchmarks/fingerprint.py, or say here why they do not count"


@pytest.fixture(autouse=True)
def nothing_is_remembered() -> Iterator[None]:
    """Hashes of a copy of the code are not for the tests that come after."""
    yield
    for code in ("data_code", "pairs_code", "editing_code", "training_code"):
        getattr(fingerprint, code).cache_clear()


def test_facts_depend_on_the_code_that_makes_them() -> None:
    made = {path for path in closure("benchmarks/data.py") if path.startswith("benchmarks/")}
    assert made - {"benchmarks/__init__.py"} <= counted(fingerprint.DATA)
    assert "dafnet_plugin/data/base_model.py" in counted(fingerprint.DATA)


def test_only_what_has_an_effect_counts(tmp_path: Path) -> None:
    path = tmp_path / "a.py"
    path.write_text(
        '"""Says something."""\nx = 1  # why\n\n\ndef f():\n    """Doc."""\n    return x\n'
    )
    before = meaning(path)
    path.write_text('"""Something else."""\nx = (\n    1\n)\ndef f():\n    return x\n')
    assert meaning(path) == before
    path.write_text('"""Something else."""\nx = 2\ndef f():\n    return x\n')
    assert meaning(path) != before


def test_every_listed_file_is_there() -> None:
    for name in (
        *("DATA", "EASYEDIT", "EDITING", "TRAINING", "DAFNET", "DAFNET_TRAINING", "METHOD"),
        *("PAIRS", "CONSISTENCY"),
    ):
        for path in getattr(fingerprint, name):
            assert (ROOT / path).exists(), f"{name}: {path}"


def copied(folder: Path) -> Path:
    """The code that counts, to be changed."""
    for package in ("benchmarks", "dafnet_plugin"):
        for path in (ROOT / package).rglob("*.py"):
            target = folder / path.relative_to(ROOT)
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(path.read_bytes())
    return folder


@pytest.mark.parametrize(
    ("changed", "methods"),
    [
        ("benchmarks/cli/run.py", set()),
        ("benchmarks/results.py", set()),
        ("benchmarks/consistency/measure.py", set()),
        ("dafnet_plugin/data/consistency/templates.py", set()),
        ("dafnet_plugin/network/layer.py", {"DAFNET"}),
        ("benchmarks/editing.py", {"DAFNET", "FT", "GRACE", "TPATCHER"}),
        ("dafnet_plugin/methods/tpatcher/losses.py", {"TPATCHER"}),
        ("dafnet_plugin/methods/neurons.py", {"TPATCHER"}),
        ("dafnet_plugin/methods/calinet/method.py", set()),
        ("dafnet_plugin/base_models.py", {"DAFNET", "TPATCHER"}),
        ("benchmarks/methods/memory.py", {"GRACE"}),
        ("benchmarks/methods/registry.py", set()),
    ],
)
def test_a_change_concerns_the_methods_that_depend_on_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, changed: str, methods: set[str]
) -> None:
    root = copied(tmp_path)
    monkeypatch.setattr(fingerprint, "ROOT", root)
    monkeypatch.setattr(
        fingerprint,
        "_file_of",
        lambda kind, real=fingerprint._file_of: (
            root / path.relative_to(ROOT)
            if (path := real(kind)) is not None and path.is_relative_to(ROOT)
            else path
        ),
    )
    code = editing_code.__wrapped__  # type: ignore[attr-defined]
    before = {name: code(name) for name in ("DAFNET", "FT", "GRACE", "TPATCHER")}
    with open(root / changed, "a") as file:
        file.write("\nADDED = 1\n")
    assert {name for name, value in before.items() if code(name) != value} == methods


def test_pairs_and_their_scores_count_where_they_are_asked_for_only(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = copied(tmp_path)
    monkeypatch.setattr(fingerprint, "ROOT", root)
    asked = {
        "facts": fingerprint.data_code.__wrapped__,  # type: ignore[attr-defined]
        "pairs": fingerprint.pairs_code.__wrapped__,  # type: ignore[attr-defined]
        "cells": lambda: fingerprint.cell_code("FT"),
        "consistent cells": lambda: fingerprint.cell_code("FT", consistency=True),
    }
    before = {name: ask() for name, ask in asked.items()}

    def changed(path: str, old: str, new: str) -> set[str]:
        text = (root / path).read_text()
        assert old in text
        (root / path).write_text(text.replace(old, new))
        found = {name for name, ask in asked.items() if ask() != before[name]}
        (root / path).write_text(text)
        return found

    templates = "dafnet_plugin/data/consistency/templates.py"
    assert changed(templates, "sentences < 2", "sentences < 3") == {"pairs"}
    own = "task.seed, self.config()), [case.case_id"
    assert changed("benchmarks/sources.py", own, own.replace("seed", "seed + 1")) == {"pairs"}
    facts = "made.train, evaluation, statements"
    assert changed("benchmarks/sources.py", facts, "made.train, [], statements") == {
        "facts",
        "pairs",
    }
    assert changed("benchmarks/consistency/measure.py", "most < 2", "most < 1") == {
        "consistent cells"
    }
    assert fingerprint.cell_code("FT") == editing_code("FT") != before["consistent cells"]


def test_names_that_do_not_count_are_left_out_wherever_they_are(tmp_path: Path) -> None:
    path = tmp_path / "a.py"
    path.write_text("from a import b\n\n\nclass C:\n    def f(self):\n        pass\n")
    before = meaning(path)
    path.write_text(
        "from a import b, pairs\nfrom c import pairs\n\n\nclass C:\n    def f(self):\n"
        "        pass\n\n    @classmethod\n    def pairs(cls):\n        return 1\n"
    )
    assert meaning(path) != before
    assert meaning(path, {"pairs"}) == before


def test_a_worker_refuses_a_job_that_was_made_of_other_code() -> None:
    job = CellJob(
        alg_name="FT", label="FT", hparams="", model="", cases="", train_cases="", texts="",
        bystanders=None, lines="", details="", threads=1, result={}, overrides={},
        code=editing_code("FT"),
    )  # fmt: skip
    check_unchanged(job)
    assert training_code("MEND") != training_code("DAFNET")
    with pytest.raises(ConfigError, match=r"code that FT depends on has changed"):
        check_unchanged(CellJob(**vars(job) | {"code": "another"}))
    with pytest.raises(ConfigError, match=r"code that FT depends on has changed"):
        check_unchanged(CellJob(**vars(job) | {"consistency": {}}))
