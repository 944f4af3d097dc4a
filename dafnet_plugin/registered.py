"""Hyper-parameters whose first use makes this package's methods known to EasyEdit."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, TypeVar

from dafnet_plugin.schema import YamlConfig

R = TypeVar("R", bound="RegisteredConfig")


@dataclass
class RegisteredConfig(YamlConfig):
    """What the hyper-parameters of all methods have in common.

    Attributes:
        METHOD: what ``alg_name`` has to be, the method's name in EasyEdit's tables.
    """

    METHOD: ClassVar[str]

    def __post_init__(self) -> None:
        # Built without from_hparams, by someone who has imported EasyEdit to use it there.
        if "easyeditor" in sys.modules:
            from dafnet_plugin.easyedit import register

            register()

    @classmethod
    def from_hparams(cls: type[R], path: str | Path) -> R:
        """Read a YAML file and register this package's methods with EasyEdit.

        Args:
            path: the file; ``.yaml`` may be left out, as in EasyEdit.

        Raises:
            ConfigError: lists every problem of the file with key, value and what is allowed.
            EasyEditError: EasyEdit is absent or unsupported.
        """
        from dafnet_plugin.easyedit import register

        register()
        return cls.read(path)

    def other_method(self) -> list[str]:
        """The problem of a file that is of another method; none if it is of this one."""
        name: Any = getattr(self, "alg_name", None)
        return [] if name == self.METHOD else [f"alg_name: {name!r}; allowed: {self.METHOD!r}"]
