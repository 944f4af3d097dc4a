"""``install`` and ``load``: the two calls the rest of the plugin makes."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Mapping, MutableMapping
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

from dafnet_plugin.errors import EasyEditError

from . import locate
from .finder import EasyEditFinder


@dataclass(frozen=True)
class EasyEdit:
    """The EasyEdit of this process and the places where a method is registered with it.

    Attributes:
        version: the shape of its code, ``"wheel"`` or ``"git"``.
        home: the folder that contains ``easyeditor``.
        package_version: installed version or commit; None if neither is known.
        alg_dict: method name -> apply function.
        alg_train_dict: upper-case method name -> trainer class.
        ds_dict: data set name -> class.
        batch_editor: the class whose ``is_batchable_method`` admits methods to ``batch_edit``.
        base_editor: ``BaseEditor``.
        callable_restore_algs: methods whose weights_copy is called to restore, where EasyEdit
            keeps such a set; None on the wheel, where the type of weights_copy decides.
        patches: patch name -> modules it was applied to; empty if EasyEdit was imported before
            ``install``.
    """

    version: locate.Version
    home: Path
    package_version: str | None
    alg_dict: MutableMapping[str, Any]
    alg_train_dict: MutableMapping[str, Any]
    ds_dict: MutableMapping[str, Any]
    batch_editor: Any
    base_editor: Any
    callable_restore_algs: set[str] | None
    patches: Mapping[str, tuple[str, ...]]

    def module(self, name: str) -> ModuleType:
        """Return the module ``easyeditor.<name>``."""
        return importlib.import_module(f"{locate.PACKAGE}.{name}")


def _finder() -> EasyEditFinder | None:
    # Found by looking, so that there is no second record of what sys.meta_path already says.
    return next((f for f in sys.meta_path if isinstance(f, EasyEditFinder)), None)


def install() -> None:
    """Make a later ``import easyeditor`` work; cheap, and harmless when repeated.

    An ``easyeditor`` that is already imported is left as it is.
    """
    if _finder() is None and locate.PACKAGE not in sys.modules:
        sys.meta_path.insert(0, EasyEditFinder())


def load() -> EasyEdit:
    """Import EasyEdit and return its handles.

    Raises:
        EasyEditError: EasyEdit is absent, of unknown shape, or was imported unpatched where it
            cannot run without patches.
    """
    install()
    importlib.import_module(locate.PACKAGE)
    finder = _finder()
    package = sys.modules[locate.PACKAGE]
    location = locate.locate(str(getattr(package, "__file__", None) or ""))
    if finder is None or finder.location is None:
        _check_unpatched(location)
    applied: dict[str, tuple[str, ...]] = {}
    for patch, module in finder.applied if finder else ():
        applied[patch] = (*applied.get(patch, ()), module)
    return EasyEdit(
        version=location.version,
        home=location.home,
        package_version=locate.package_version(location),
        alg_dict=_get(location, "util.alg_dict", "ALG_DICT"),
        alg_train_dict=_get(location, "util.alg_train_dict", "ALG_TRAIN_DICT"),
        ds_dict=_get(location, "util.alg_dict", "DS_DICT"),
        batch_editor=_get(location, "editors.batch_editor", "BatchEditor"),
        base_editor=_get(location, "editors.editor", "BaseEditor"),
        callable_restore_algs=(
            _get(location, "editors.utils", "CALLABLE_RESTORE_ALGS")
            if location.version == "git"
            else None
        ),
        patches=applied,
    )


def _check_unpatched(location: locate.Location) -> None:
    if location.version == "wheel":
        raise EasyEditError(
            f"{locate.PACKAGE} was imported before dafnet_plugin, and this version of it "
            f"({locate.WHEEL}) runs as documented only if the plugin adapts it at import. "
            "Put `from dafnet_plugin import DAFNetHparams` before the first import of it."
        )


def _get(location: locate.Location, module: str, name: str) -> Any:
    full = f"{locate.PACKAGE}.{module}"
    try:
        return getattr(importlib.import_module(full), name)
    except (AttributeError, ModuleNotFoundError) as error:
        raise EasyEditError(
            f"The EasyEdit at {location.home} has no {full}.{name}, which the plugin registers "
            f"with. {locate.SUPPORTED} {locate.HOW_TO_GET}"
        ) from error
