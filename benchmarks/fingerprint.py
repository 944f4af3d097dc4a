"""Which code a result depends on, as a hash.

Comments, docstrings and layout do not count, nor does code that only plans, runs, shows or
compares: hours of results shall not be thrown away for a better message. What counts is listed
here; data, base models and archives count by the bytes of their files instead of by the code
that made them.
"""

from __future__ import annotations

import ast
import functools
import hashlib
import sys
from collections.abc import Iterable, Set
from pathlib import Path

from benchmarks.config import ROOT
from benchmarks.jobs import CellJob, TrainingJob, digest
from dafnet_plugin.errors import ConfigError
from dafnet_plugin.methods import METHODS, own_methods

DATA = (
    "benchmarks/apart.py",
    "benchmarks/dafset_source.py",
    "benchmarks/data.py",
    "benchmarks/mixing.py",
    "benchmarks/source.py",
    "benchmarks/sources.py",
    "dafnet_plugin/cases.py",
    "dafnet_plugin/data",
)
"""What facts and base models are made with, but for :data:`PAIRS`."""

PAIRS = ("dafnet_plugin/data/consistency",)
"""What consistency pairs are made with, beside :data:`DATA`."""

NAMES_OF_PAIRS = frozenset(
    ("ConsistencyPair", "can_pair", "pairs", "pararel_pairs", "tinyworld_pairs")
)
"""What :data:`DATA` has for pairs only: the functions and imports of these names make no facts."""

CONSISTENCY = (
    "benchmarks/consistency/bench.py",
    "benchmarks/consistency/generation.py",
    "benchmarks/consistency/likelihood.py",
    "benchmarks/consistency/measure.py",
    "dafnet_plugin/data/consistency/pairs.py",
)
"""What consistency is measured with, where it is, beside :data:`EDITING`."""

EASYEDIT = (
    "dafnet_plugin/easyedit/__init__.py",
    "dafnet_plugin/easyedit/compat",
    "dafnet_plugin/easyedit/registration.py",
)

EDITING = (
    *EASYEDIT,
    "benchmarks/editing.py",
    "benchmarks/resources.py",
    "benchmarks/scoring",
    "benchmarks/side_effects.py",
    "dafnet_plugin/cases.py",
    "dafnet_plugin/easyedit/second_moments.py",
    "dafnet_plugin/easyedit/statistics.py",
    "dafnet_plugin/editing/scoring.py",
    "dafnet_plugin/tokens.py",
)
"""What every method is edited and scored with, beside :data:`ADAPTERS`."""

TRAINING = (
    "benchmarks/meta_training.py",
    "benchmarks/methods/hparams.py",
    "benchmarks/mixing.py",
    "dafnet_plugin/cases.py",
    "dafnet_plugin/tokens.py",
)
"""What every method is meta-trained with."""

EASYEDIT_TRAINING = (*EASYEDIT, "dafnet_plugin/easyedit/datasets.py")
"""What the methods that EasyEdit itself trains depend on besides."""

DAFNET = (
    "dafnet_plugin/artifacts/checkpoint.py",
    "dafnet_plugin/artifacts/weights.py",
    "dafnet_plugin/base_models.py",
    "dafnet_plugin/easyedit/executor.py",
    "dafnet_plugin/editing",
    "dafnet_plugin/hparams.py",
    "dafnet_plugin/network",
)
"""What DAFNet consists of: no other method depends on it."""

DAFNET_TRAINING = (*DAFNET, "dafnet_plugin/training")

METHOD = (
    "dafnet_plugin/artifacts/weights.py",
    "dafnet_plugin/base_models.py",
    "dafnet_plugin/easyedit/executor.py",
    "dafnet_plugin/easyedit/methods.py",
    "dafnet_plugin/editing",
    "dafnet_plugin/methods/base.py",
    "dafnet_plugin/methods/editing.py",
    "dafnet_plugin/methods/hparams.py",
    "dafnet_plugin/methods/memory.py",
    "dafnet_plugin/methods/neurons.py",
    "dafnet_plugin/training/text.py",
)
"""What the other methods of this repository have in common; each has a folder besides."""

ADAPTERS = "benchmarks/methods"
"""How each method is driven: a method depends on the files of its own adapter only."""

WITHOUT_EFFECT = ("__init__.py", "registry.py")
"""Of :data:`ADAPTERS`: which adapter a method has counts by the adapter itself."""


@functools.cache
def data_code() -> str:
    """Hash of what makes facts and base models, as it is when this is first asked for."""
    files = set(_files(DATA)) - set(_files(PAIRS))
    return digest({_name(path): meaning(path, NAMES_OF_PAIRS) for path in sorted(files)})


@functools.cache
def pairs_code() -> str:
    """Hash of what makes consistency pairs, likewise."""
    return _hash(_files(DATA + PAIRS))


@functools.cache
def editing_code(alg_name: str) -> str:
    """Hash of what a method is edited and scored with, likewise."""
    paths = EDITING + (DAFNET if alg_name == "DAFNET" else _own_code(alg_name))
    return digest({"files": _hash(_files(paths)), "adapter": _adapter_code(alg_name)})


def cell_code(alg_name: str, consistency: bool = False) -> str:
    """Hash of what a cell depends on: a method's, and what measures consistency if it does."""
    code = editing_code(alg_name)
    if not consistency:
        return code
    return digest({"editing": code, "consistency": _hash(_files(CONSISTENCY))})


@functools.cache
def training_code(alg_name: str) -> str:
    """Hash of what a method is meta-trained with, likewise."""
    own: tuple[str, ...] = DAFNET_TRAINING if alg_name in own_methods() else EASYEDIT_TRAINING
    own = own + _own_code(alg_name)
    if alg_name == "SERAC":
        own = (*own, "benchmarks/methods/serac.py")
    return _hash(_files(TRAINING + own))


def _own_code(alg_name: str) -> tuple[str, ...]:
    """What a method of this repository other than DAFNet consists of; nothing for any other."""
    method = METHODS.get(alg_name)
    return () if method is None else (*METHOD, f"dafnet_plugin/methods/{method.folder}")


class ChangedCodeError(ConfigError):
    """The code is not what it was when a job was made."""


def check_unchanged(job: TrainingJob | CellJob) -> None:
    """Refuse a job that was made when the code was another: its results would bear a wrong hash.

    Raises:
        ChangedCodeError: says what to do.
    """
    if isinstance(job, CellJob):
        now = cell_code(job.alg_name, job.consistency is not None)
    else:
        now = training_code(job.alg_name)
    if now != job.code:
        raise ChangedCodeError(
            f"code that {job.alg_name} depends on has changed since the run began; give the same "
            "command again, and what depends on it is computed anew"
        )


def _files(paths: Iterable[str]) -> list[Path]:
    found: set[Path] = set()
    for path in paths:
        found |= set((ROOT / path).rglob("*.py")) or {ROOT / path}
    return sorted(path for path in found if path.is_file())


def _adapter_code(alg_name: str) -> str:
    from benchmarks.methods import get_adapter
    from benchmarks.methods.registry import ADAPTERS as KINDS

    own = type(get_adapter(alg_name))
    folder = ROOT / ADAPTERS
    adapters = {_file_of(kind) for other in KINDS.values() for kind in other.__mro__}
    used = {_file_of(kind) for kind in own.__mro__}
    common = set(folder.glob("*.py")) - adapters - {folder / name for name in WITHOUT_EFFECT}
    files = common | {path for path in used if path is not None and path.parent == folder}
    return digest({"kind": own.__qualname__, "files": _hash(sorted(files))})


def _file_of(kind: type) -> Path | None:
    file = getattr(sys.modules.get(kind.__module__), "__file__", None)
    return None if file is None else Path(file).resolve()


def _hash(files: Iterable[Path]) -> str:
    return digest({_name(path): meaning(path) for path in files})


def _name(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


def meaning(path: Path, without: Set[str] = frozenset()) -> str:
    """Hash of a file's code without comments, docstrings and layout.

    Args:
        without: names whose functions, methods and imports do not count either.
    """
    tree = ast.parse(path.read_bytes(), filename=str(path))
    for node in ast.walk(tree):
        if isinstance(node, ast.Module | ast.ClassDef):
            _drop_named(node, without)
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            _drop_docstring(node)
    return hashlib.sha256(ast.dump(tree).encode()).hexdigest()


def _drop_named(node: ast.Module | ast.ClassDef, names: Set[str]) -> None:
    """Take functions of some names away, and what is imported under them."""
    kept: list[ast.stmt] = []
    for part in node.body:
        if isinstance(part, ast.FunctionDef) and part.name in names:
            continue
        if isinstance(part, ast.ImportFrom):
            part.names = [alias for alias in part.names if alias.name not in names]
            if not part.names:
                continue
        kept.append(part)
    node.body = kept


def _drop_docstring(
    node: ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef,
) -> None:
    # Texts after an assignment (attribute docstrings) are expressions without effect as well.
    node.body = [
        part
        for part in node.body
        if not (
            isinstance(part, ast.Expr)
            and isinstance(part.value, ast.Constant)
            and isinstance(part.value.value, str)
        )
    ]
