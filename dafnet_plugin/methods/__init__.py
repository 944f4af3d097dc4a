"""Editing methods beside DAFNet, one folder each: hyper-parameters, method, training if any.

The line of work that DAFNet comes from, written from the papers: Transformer-Patcher
(``TPATCHER``), KnowledgeEditor (``KE``) and CaliNet (``CALINET``). Nothing is imported until a
method is asked for.
"""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from dafnet_plugin.methods.base import BuildEditor
    from dafnet_plugin.registered import RegisteredConfig


@dataclass(frozen=True)
class Method:
    """Where a method is found.

    Attributes:
        folder: of this package.
        hparams: name of its hyper-parameters for editing, in ``hparams.py``.
        training: name of those for meta-training, in the same file; None for a method without.
        adds_neurons: it leaves the weights alone and adds some of its own, so that only calling
            what it returns restores the model.
    """

    folder: str
    hparams: str
    training: str | None = None
    adds_neurons: bool = False

    def hparams_class(self) -> type[RegisteredConfig]:
        """The hyper-parameters for editing."""
        found: type[RegisteredConfig] = getattr(self._module("hparams"), self.hparams)
        return found

    def training_class(self) -> type[RegisteredConfig] | None:
        """The hyper-parameters for meta-training, if there is any."""
        return None if self.training is None else getattr(self._module("hparams"), self.training)

    def builder(self) -> BuildEditor:
        """What makes an editor of a model; every ``method.py`` has a ``build_editor``."""
        build: BuildEditor = self._module("method").build_editor
        return build

    def _module(self, name: str):  # type: ignore[no-untyped-def]
        return importlib.import_module(f"{__name__}.{self.folder}.{name}")


METHODS: Mapping[str, Method] = {
    "TPATCHER": Method("tpatcher", "TPatcherHparams", adds_neurons=True),
    "KE": Method("ke", "KEHparams", training="KETrainingHparams"),
    "CALINET": Method("calinet", "CaliNetHparams", adds_neurons=True),
}
"""By their names in EasyEdit's tables."""


def own_methods() -> set[str]:
    """Names of all methods of this package, DAFNet's included."""
    return {"DAFNET", *METHODS}


def hparams_class(alg_name: str, *, training: bool = False) -> type[RegisteredConfig] | None:
    """The hyper-parameters of a method of this package.

    Args:
        training: those for meta-training.

    Returns:
        None for a method of somebody else, or one that is not meta-trained.
    """
    if alg_name == "DAFNET":
        from dafnet_plugin.hparams import DAFNetHparams, DAFNetTrainingHparams

        return DAFNetTrainingHparams if training else DAFNetHparams
    method = METHODS.get(alg_name)
    if method is None:
        return None
    return method.training_class() if training else method.hparams_class()
