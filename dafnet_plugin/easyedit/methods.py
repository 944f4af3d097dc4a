"""The methods beside DAFNet as EasyEdit editing methods."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from torch import nn

from dafnet_plugin.easyedit.executor import Executor, weak
from dafnet_plugin.errors import ModelError
from dafnet_plugin.methods import Method
from dafnet_plugin.methods.base import MethodEditor
from dafnet_plugin.registered import RegisteredConfig

PASSING = (
    *("device", "model_name", "model_parallel", "fp16", "dtype"),
    *("batch_size", "max_length", "signal_batch_size"),
)
"""Settings that do not decide what an editor does."""


@dataclass(frozen=True)
class _Held:
    """The editor of one model.

    Attributes:
        modules: that it edits; ``settings``: all that it was built with.
    """

    modules: tuple[str, ...]
    settings: tuple[object, ...]
    editor: MethodEditor


class MethodExecutor(Executor[_Held]):
    """Applies one method to whatever model it is given; an editor ends with its model.

    Args:
        name: the method's, in EasyEdit's tables.
        always_return_weights: as of every executor.
    """

    def __init__(self, name: str, method: Method, always_return_weights: bool) -> None:
        super().__init__(always_return_weights)
        self.name, self.method = name, method

    def prepare(
        self, model: nn.Module, tok: Any, requests: Sequence[Mapping[str, Any]], hparams: Any
    ) -> tuple[MethodEditor, list[Any]]:
        """See :meth:`Executor.prepare`."""
        editor = self.editor_of(model, tok, hparams)
        return editor, [editor.read(request) for request in requests]

    def editor_of(self, model: nn.Module, tok: Any, hparams: RegisteredConfig) -> MethodEditor:
        """The editor of a model, made anew if the model carries no edits and settings changed.

        Raises:
            ModelError: the model carries edits in other modules, or was changed by something else.
        """
        modules = tuple(getattr(hparams, "edit_modules", ()))
        settings, held = _settings(hparams), self._held.get(model)
        if held is not None:
            held.editor.synchronise()
            carried = held.editor.requests
            if carried and held.modules != modules:
                raise ModelError(
                    f"this model carries {len(carried)} {self.name} edits in {list(held.modules)}; "
                    f"restore it, or load it anew, before editing {list(modules)}"
                )
            if carried or held.settings == settings:
                held.editor.tokenizer = tok
                held.editor.hparams = hparams
                return held.editor
        editor = self.method.builder()(hparams, weak(model), tok)
        self._held[model] = _Held(modules, settings, editor)
        return editor


def _settings(hparams: RegisteredConfig) -> tuple[object, ...]:
    """What an editor is built with, the archive as it is on the disk included."""
    values = {k: repr(v) for k, v in hparams.to_dict().items() if k not in PASSING}
    archive = Path(getattr(hparams, "archive", None) or "")
    files = sorted(archive.iterdir()) if archive.name and archive.is_dir() else []
    states = [(file.name, file.stat().st_mtime_ns, file.stat().st_size) for file in files]
    return (*sorted(values.items()), *states)
