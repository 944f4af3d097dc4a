"""Find EasyEdit and say which shape it has."""

from __future__ import annotations

import importlib.metadata
import importlib.util
import os
import sys
from collections.abc import Iterable
from dataclasses import dataclass
from importlib.machinery import ModuleSpec, PathFinder
from pathlib import Path
from typing import Any, Literal

from dafnet_plugin.errors import EasyEditError

PACKAGE = "easyeditor"
HOME_VARIABLE = "EASYEDIT_HOME"
WHEEL = "easyeditor==0.0.1.dev0"
HOW_TO_GET = (
    f"Either run `pip install --no-deps {WHEEL}`, or set {HOME_VARIABLE} to a checkout of EasyEdit "
    f"(the folder that contains {PACKAGE}/)."
)
SUPPORTED = f"Supported are the wheel {WHEEL} and a recent checkout of EasyEdit's main branch."

Version = Literal["wheel", "git"]


@dataclass(frozen=True)
class Location:
    """Where EasyEdit is.

    Attributes:
        package: the folder ``easyeditor``.
        version: the shape of its code; a checkout from before 2024 has the shape of the wheel.
    """

    package: Path
    version: Version

    @property
    def home(self) -> Path:
        """The folder that contains ``easyeditor``."""
        return self.package.parent


def find_spec(finders: Iterable[Any] | None = None) -> ModuleSpec:
    """Return the spec of EasyEdit's top package, as EASYEDIT_HOME or ``finders`` give it.

    Args:
        finders: the meta-path finders to ask, ``sys.meta_path`` by default.

    Raises:
        EasyEditError: EASYEDIT_HOME is wrong, or there is no EasyEdit.
    """
    home = os.environ.get(HOME_VARIABLE)
    if home:
        if not (Path(home) / PACKAGE / "__init__.py").is_file():
            raise EasyEditError(
                f"{HOME_VARIABLE} is {home!r}, but {PACKAGE}/__init__.py is not there. Expected is "
                f"the folder of an EasyEdit checkout, the one that contains {PACKAGE}/ and "
                f"hparams/. Correct {HOME_VARIABLE}, or unset it to use an installed {PACKAGE}."
            )
        spec = PathFinder.find_spec(PACKAGE, [str(Path(home).resolve())])
    else:
        spec = None
        for finder in sys.meta_path if finders is None else finders:
            spec = finder.find_spec(PACKAGE, None)
            if spec is not None:
                break
    if spec is None:
        raise EasyEditError(f"EasyEdit (the package {PACKAGE!r}) was not found. {HOW_TO_GET}")
    if not spec.origin:
        places = ", ".join(map(str, spec.submodule_search_locations or ()))
        raise EasyEditError(
            f"The folder {PACKAGE!r} at {places} has no __init__.py, so it is not EasyEdit, yet it "
            f"hides a real one. Rename it or leave its folder. {HOW_TO_GET}"
        )
    return spec


def locate(origin: str) -> Location:
    """Return the location of the EasyEdit whose ``__init__.py`` is ``origin``.

    Raises:
        EasyEditError: the code has neither of the known shapes.
    """
    package = Path(origin).resolve().parent
    absent = [
        name
        for name in ("editors/editor.py", "util/alg_dict.py", "util/alg_train_dict.py")
        if not (package / name).is_file()
    ]
    if absent:
        raise EasyEditError(
            f"The {PACKAGE!r} at {package} is not an EasyEdit this plugin knows: "
            f"{', '.join(absent)} missing. {SUPPORTED} {HOW_TO_GET}"
        )
    # The helpers moved from the editor class to this file when `sequential_edit` came.
    version: Version = "git" if (package / "editors" / "utils.py").is_file() else "wheel"
    return Location(package, version)


def package_version(location: Location) -> str | None:
    """Return the installed version or the checkout's commit, None if neither is known."""
    if location.version == "wheel":
        for distribution in importlib.metadata.distributions(path=[str(location.home)]):
            if (distribution.metadata["Name"] or "").lower() == PACKAGE:
                return distribution.version
    return _commit(location.home / ".git")


def _commit(git: Path) -> str | None:
    try:
        if git.is_file():  # a work tree: "gitdir: <path>"
            git = (git.parent / git.read_text().partition(":")[2].strip()).resolve()
        head = (git / "HEAD").read_text().strip()
        if not head.startswith("ref:"):
            return head or None
        ref = head.partition(":")[2].strip()
        if (git / ref).is_file():
            return (git / ref).read_text().strip()
        for line in (git / "packed-refs").read_text().splitlines():
            if line.endswith(" " + ref):
                return line.split()[0]
    except OSError:
        pass  # knowing the commit is a convenience, never a condition
    return None
