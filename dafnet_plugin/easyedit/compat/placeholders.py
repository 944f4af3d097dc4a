"""Stand-ins for packages that EasyEdit imports and text editing does not need.

A placeholder is bound in the importing ``easyeditor`` module only. It never enters
``sys.modules``, so ``import cv2`` or ``importlib.util.find_spec("cv2")`` anywhere else says what
it always said.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NoReturn

# Where the name to install differs from the name to import.
_DISTRIBUTIONS = {
    "PIL": "pillow",
    "cv2": "opencv-python",
    "hydra": "hydra-core",
    "qwen_vl_utils": "qwen-vl-utils",
    "sentence_transformers": "sentence-transformers",
    "sklearn": "scikit-learn",
}


class Placeholder:
    """A name that could not be imported: harmless at import time, an ImportError when used.

    Attribute access, subclassing, use in annotations and, while an ``easyeditor`` module is being
    imported, decorating and calling all work. Afterwards calling, iterating, indexing, or creating
    an instance of a subclass raises ``ImportError``.
    """

    def __init__(self, name: str, reason: str, importing: Callable[[], bool]) -> None:
        """Make the placeholder of one name.

        Args:
            name: full dotted name, e.g. ``"timm.models.layers.DropPath"``.
            reason: the message of the ImportError, without the name.
            importing: says whether an ``easyeditor`` module is being imported right now.
        """
        self._name = name
        self._reason = reason
        self._importing = importing

    def _child(self, name: str) -> Placeholder:
        return Placeholder(f"{self._name}.{name}", self._reason, self._importing)

    def _refuse(self) -> NoReturn:
        raise ImportError(f"{self._name} is not available: {self._reason}", name=self._name)

    def __getattr__(self, name: str) -> Placeholder:
        if name.startswith("__") and name.endswith("__"):
            raise AttributeError(name)  # protocols such as copy or typing must not be fooled
        return self._child(name)

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        if not self._importing():
            self._refuse()
        if len(args) == 1 and not kwargs and callable(args[0]):
            return args[0]  # a decorator: what it decorates stays usable
        return self._child("()")

    def __mro_entries__(self, bases: tuple[object, ...]) -> tuple[type, ...]:
        placeholder = self

        def refuse(cls: type, *args: Any, **kwargs: Any) -> NoReturn:
            placeholder._refuse()

        return (type(self._name.rpartition(".")[2], (), {"__new__": refuse}),)

    def __getitem__(self, key: object) -> Any:
        if not self._importing():
            self._refuse()
        return self

    def __or__(self, other: object) -> Any:  # X | None in an annotation
        return self

    __ror__ = __or__

    def __instancecheck__(self, instance: object) -> bool:
        return False  # nothing is an instance of what does not exist

    def __subclasscheck__(self, subclass: type) -> bool:
        return False

    def __iter__(self) -> NoReturn:
        self._refuse()

    def __repr__(self) -> str:
        return f"<placeholder for {self._name}>"


def missing_package(name: str, importer: str, importing: Callable[[], bool]) -> Placeholder:
    """Return the placeholder for module ``name``, which ``importer`` asked for."""
    package = name.partition(".")[0]
    distribution = _DISTRIBUTIONS.get(package, package)
    reason = (
        f"EasyEdit's {importer} needs the package {package!r} here, which is not installed. "
        f"Text editing works without it; for this feature run `pip install {distribution}`."
    )
    return Placeholder(name, reason, importing)


def missing_name(
    module: str, name: str, importer: str, importing: Callable[[], bool], cause: Exception
) -> Placeholder:
    """Return the placeholder for ``from module import name``, which failed with ``cause``."""
    detail = (str(cause).strip().splitlines() or [type(cause).__name__])[-1]
    reason = (
        f"EasyEdit's {importer} needs it, and the installed {module.partition('.')[0]!r} does not "
        f"offer it ({detail[:200]})."
    )
    return Placeholder(f"{module}.{name}", reason, importing)
