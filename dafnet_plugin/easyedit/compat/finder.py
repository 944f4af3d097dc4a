"""The meta-path finder and the loader that apply the patches to ``easyeditor`` modules."""

from __future__ import annotations

import ast
import builtins
import contextlib
import importlib
import sys
import threading
import warnings
from collections.abc import Iterator, Mapping, Sequence
from importlib.machinery import ModuleSpec, PathFinder, SourceFileLoader
from types import CodeType, FrameType, ModuleType
from typing import Any

from . import locate, runtime
from .patches import PATCHES, Patch
from .placeholders import missing_name, missing_package

# Without these there is no text editing: if one is missing, its own error is the right one.
_REQUIRED = frozenset({"torch", "transformers", "numpy", "yaml", "omegaconf", "higher", "peft"})
# Of these, single names come and go between releases.
_CHANGING = frozenset({"transformers", "peft"})
# Names that EasyEdit's wheel looks for where they used to be.
_MOVED = {"transformers.modeling_utils": "transformers.pytorch_utils"}


class EasyEditFinder:
    """Finds ``easyeditor`` and everything below it; leaves all other imports alone.

    Attributes:
        location: where EasyEdit is, known once it was looked for.
        applied: (patch, module) pairs in the order they were applied.
    """

    def __init__(self) -> None:
        self.location: locate.Location | None = None
        self.applied: list[tuple[str, str]] = []
        self._running = threading.local()
        self.builtins = {**vars(builtins), "__import__": self._import}

    def find_spec(
        self, fullname: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        """See ``importlib.abc.MetaPathFinder.find_spec``.

        Raises:
            EasyEditError: ``easyeditor`` is asked for and is absent or of unknown shape.
        """
        if fullname == locate.PACKAGE:
            spec = locate.find_spec([f for f in sys.meta_path if f is not self])
            self.location = locate.locate(str(spec.origin))
        elif fullname.startswith(locate.PACKAGE + ".") and self.location is not None:
            found = PathFinder.find_spec(fullname, path, target)
            if found is None:
                return None
            spec = found
        else:
            return None
        if type(spec.loader) is SourceFileLoader:
            spec.loader = PatchingLoader(fullname, spec.loader.path, self)
        return spec

    def patches(self, fullname: str, source: bytes) -> list[Patch]:
        """Return the patches meant for module ``fullname`` with this source."""
        assert self.location is not None  # find_spec() set it before there was a loader
        return [p for p in PATCHES if p.concerns(self.location.version, fullname, source)]

    @contextlib.contextmanager
    def executing(self) -> Iterator[None]:
        """Mark that this thread is running the body of an ``easyeditor`` module."""
        self._running.depth = getattr(self._running, "depth", 0) + 1
        try:
            yield
        finally:
            self._running.depth -= 1

    def importing(self) -> bool:
        """Say whether this thread is running the body of an ``easyeditor`` module."""
        return getattr(self._running, "depth", 0) > 0

    def _import(
        self,
        name: str,
        globals: Mapping[str, object] | None = None,
        locals: Mapping[str, object] | None = None,
        fromlist: Sequence[str] | None = (),
        level: int = 0,
    ) -> Any:
        """``__import__`` as ``easyeditor`` modules see it: the real one, then placeholders."""
        importer = str((globals or {}).get("__name__", locate.PACKAGE))
        root = name.partition(".")[0]
        try:
            module = builtins.__import__(name, globals, locals, fromlist or (), level)
        except ModuleNotFoundError as error:
            missing = error.name or ""
            absent = missing == root and root not in _REQUIRED
            changed = missing.startswith(root + ".")  # the package is there, this part is not
            if level or not (absent or changed) or _guarded(sys._getframe(1)):
                raise
            return missing_package(name if fromlist else root, importer, self.importing)
        if level == 0 and fromlist and root in _CHANGING:
            return self._complete(module, fromlist, importer, sys._getframe(1))
        return module

    def _complete(
        self, module: ModuleType, names: Sequence[str], importer: str, frame: FrameType
    ) -> Any:
        """Return ``module``, or a stand-in with placeholders for those ``names`` it lacks."""
        extra: dict[str, Any] = {}
        moved = _MOVED.get(module.__name__)
        for name in names:
            try:
                if name != "*":
                    getattr(module, name)
            except (AttributeError, ImportError, RuntimeError) as error:
                if moved and hasattr(importlib.import_module(moved), name):
                    extra[name] = getattr(importlib.import_module(moved), name)
                elif _guarded(frame):
                    return module  # EasyEdit has its own answer to this ImportError
                else:
                    extra[name] = missing_name(
                        module.__name__, name, importer, self.importing, error
                    )
        return _Completed(module, extra) if extra else module


class _Completed(ModuleType):
    """A module seen through ``from module import ...``, with some names added."""

    def __init__(self, module: ModuleType, extra: dict[str, Any]) -> None:
        super().__init__(module.__name__)
        self.__dict__.update(extra)
        self.__dict__["_module"] = module

    def __getattr__(self, name: str) -> Any:
        return getattr(self.__dict__["_module"], name)


def _guarded(frame: FrameType) -> bool:
    """Say whether the import that ``frame`` is executing stands in the body of a ``try``."""
    try:
        with open(frame.f_code.co_filename, "rb") as file:
            tree = ast.parse(file.read())
    except (OSError, SyntaxError):
        return False
    return any(
        isinstance(node, ast.Try)
        and node.handlers
        and node.body[0].lineno <= frame.f_lineno <= (node.body[-1].end_lineno or 0)
        for node in ast.walk(tree)
    )


class PatchingLoader(SourceFileLoader):
    """Loads one ``easyeditor`` module with its patches.

    Modules with a source patch are compiled from source each time: their ``.pyc`` would hold
    unpatched code, and ours must not be left where a run without this plugin finds it.
    """

    def __init__(self, fullname: str, path: str, finder: EasyEditFinder) -> None:
        super().__init__(fullname, path)
        self._finder = finder

    def get_code(self, fullname: str) -> CodeType | None:
        """Return the module's code, patched where the table says so."""
        path = self.get_filename(fullname)
        source = self.get_data(path)
        rewrites = [p for p in self._finder.patches(fullname, source) if p.rewrite is not None]
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", SyntaxWarning)  # "\d" and the like; not ours to fix
            if not rewrites:
                return super().get_code(fullname)
            tree = ast.parse(source, filename=path)
            for patch in rewrites:
                if patch.rewrite is not None and patch.rewrite(tree):
                    self._finder.applied.append((patch.name, fullname))
            ast.fix_missing_locations(tree)
            return compile(tree, path, "exec", dont_inherit=True)

    def exec_module(self, module: ModuleType) -> None:
        """Run the module's body, then the patches that change the finished module."""
        module.__dict__["__builtins__"] = self._finder.builtins
        module.__dict__[runtime.NAME] = runtime
        with self._finder.executing():
            super().exec_module(module)
        source = self.get_data(self.get_filename(module.__name__))
        for patch in self._finder.patches(module.__name__, source):
            if patch.amend is not None:
                patch.amend(module)
                self._finder.applied.append((patch.name, module.__name__))
