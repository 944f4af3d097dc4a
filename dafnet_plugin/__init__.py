"""DAFNet for EasyEdit: sequential model editing with a meta-trained auxiliary network.

Importing this package is cheap: torch, transformers and EasyEdit are imported when one of the
names below is first used. Touching :class:`DAFNetHparams` also makes ``import easyeditor``
work (see :mod:`dafnet_plugin.easyedit.compat`).
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from dafnet_plugin.artifacts.edits import DAFNetEdits
    from dafnet_plugin.cases import EditCase, EditRequest, Probe
    from dafnet_plugin.data.dafset import DAFSetDataset
    from dafnet_plugin.easyedit import edits_of, register
    from dafnet_plugin.editing.editor import DAFNetEditor
    from dafnet_plugin.hparams import DAFNetHparams, DAFNetHyperParams, DAFNetTrainingHparams
    from dafnet_plugin.methods.calinet.hparams import CaliNetHparams
    from dafnet_plugin.methods.ke.hparams import KEHparams, KETrainingHparams
    from dafnet_plugin.methods.ke.training import KETrainer
    from dafnet_plugin.methods.tpatcher.hparams import TPatcherHparams
    from dafnet_plugin.training.trainer import DAFNetTrainer

__version__ = "0.1.0"

__all__ = [
    "CaliNetHparams",
    "DAFNetEditor",
    "DAFNetEdits",
    "DAFNetHparams",
    "DAFNetHyperParams",
    "DAFNetTrainer",
    "DAFNetTrainingHparams",
    "DAFSetDataset",
    "EditCase",
    "EditRequest",
    "KEHparams",
    "KETrainer",
    "KETrainingHparams",
    "Probe",
    "TPatcherHparams",
    "edits_of",
    "register",
]

_HOME = {
    "CaliNetHparams": "dafnet_plugin.methods.calinet.hparams",
    "DAFNetEditor": "dafnet_plugin.editing.editor",
    "DAFNetEdits": "dafnet_plugin.artifacts.edits",
    "DAFNetHparams": "dafnet_plugin.hparams",
    "DAFNetHyperParams": "dafnet_plugin.hparams",
    "DAFNetTrainer": "dafnet_plugin.training.trainer",
    "DAFNetTrainingHparams": "dafnet_plugin.hparams",
    "DAFSetDataset": "dafnet_plugin.data.dafset",
    "EditCase": "dafnet_plugin.cases",
    "EditRequest": "dafnet_plugin.cases",
    "KEHparams": "dafnet_plugin.methods.ke.hparams",
    "KETrainer": "dafnet_plugin.methods.ke.training",
    "KETrainingHparams": "dafnet_plugin.methods.ke.hparams",
    "Probe": "dafnet_plugin.cases",
    "TPatcherHparams": "dafnet_plugin.methods.tpatcher.hparams",
    "edits_of": "dafnet_plugin.easyedit",
    "register": "dafnet_plugin.easyedit",
}
# The names an EasyEdit user starts from: from then on `import easyeditor` has to work.
_BRINGS_EASYEDIT = {
    name for name in __all__ if name.endswith(("Hparams", "HyperParams", "Trainer"))
}


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module 'dafnet_plugin' has no attribute {name!r}")
    if name in _BRINGS_EASYEDIT:
        importlib.import_module("dafnet_plugin.easyedit.compat").install()
    return getattr(importlib.import_module(_HOME[name]), name)


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__])
