"""Entering this package's methods into EasyEdit's tables."""

from __future__ import annotations

import functools
from typing import Any

from dafnet_plugin.artifacts.edits import DAFNetEdits
from dafnet_plugin.easyedit import compat
from dafnet_plugin.easyedit.datasets import register_datasets
from dafnet_plugin.easyedit.executor import DAFNetExecutor
from dafnet_plugin.easyedit.methods import MethodExecutor
from dafnet_plugin.easyedit.trainer import DAFNetAlgorithm
from dafnet_plugin.errors import ConfigError, ModelError
from dafnet_plugin.hparams import DAFNetHparams
from dafnet_plugin.methods import METHODS, own_methods

ALG_NAME = "DAFNET"


def register() -> compat.EasyEdit:
    """Register editor, trainer, data sets, batch editing and restore; once, however often called.

    EasyEdit's tables are shared dictionaries, so they are changed in place.

    Raises:
        EasyEditError: EasyEdit is absent or unsupported.
    """
    easyedit = compat.load()
    if isinstance(easyedit.alg_train_dict.get(ALG_NAME), type):
        return easyedit
    # The wheel copies back whatever weights it is given, sequential or not; the checkout decides
    # by itself and always wants them.
    always = easyedit.version == "git"
    executor = DAFNetExecutor(always_return_weights=always)
    easyedit.alg_dict[ALG_NAME] = executor.apply_to_model
    easyedit.alg_train_dict[ALG_NAME] = DAFNetAlgorithm
    register_datasets(easyedit.ds_dict)
    for name, method in METHODS.items():
        easyedit.alg_dict[name] = MethodExecutor(name, method, always).apply_to_model
    if easyedit.callable_restore_algs is not None:
        adding = [name for name, method in METHODS.items() if method.adds_neurons]
        easyedit.callable_restore_algs.update([ALG_NAME, *adding])
    _make_batchable(easyedit.batch_editor)
    return easyedit


def edits_of(editor: Any, **settings: Any) -> DAFNetEdits:
    """See :func:`dafnet_plugin.easyedit.edits_of`."""
    executor = register().alg_dict[ALG_NAME].__self__
    hparams = getattr(editor, "hparams", None)
    if isinstance(hparams, DAFNetHparams):
        found = executor.editor_for(editor.model, editor.tok, hparams)
    else:
        found = executor.editor_of(editor) if hasattr(editor, "parameters") else None
    if found is None:
        raise ModelError(
            f"{type(editor).__name__}: no DAFNet edits are known of it; allowed: a BaseEditor with "
            "DAFNetHparams, or a model that one has edited"
        )
    if isinstance(found.keeper, DAFNetEdits):
        if settings:
            raise ConfigError(
                f"{', '.join(settings)}: the edits of this model are kept already; close() that "
                "DAFNetEdits first"
            )
        return found.keeper
    return DAFNetEdits(found, **settings)


def _make_batchable(batch_editor: Any) -> None:
    # An Enum cannot gain members, so its question is wrapped instead.
    original = batch_editor.is_batchable_method

    @functools.wraps(original)
    def is_batchable_method(alg_name: str) -> bool:
        return alg_name in own_methods() or bool(original(alg_name))

    batch_editor.is_batchable_method = staticmethod(is_batchable_method)
