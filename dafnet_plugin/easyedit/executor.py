"""DAFNet as an EasyEdit editing method."""

from __future__ import annotations

import copy as copying
import typing
import weakref
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Generic, Protocol, TypeVar

from torch import Tensor, nn

from dafnet_plugin.artifacts.checkpoint import WEIGHTS
from dafnet_plugin.cases import EditRequest, read_request
from dafnet_plugin.editing.editor import DAFNetEditor
from dafnet_plugin.editing.modules import find_edit_modules
from dafnet_plugin.errors import ModelError
from dafnet_plugin.hparams import DAFNetHparams
from dafnet_plugin.training.build import build_editor, consolidation_config

H = TypeVar("H", bound="Held")


class Editor(Protocol):
    """What :class:`Executor` asks of an editor."""

    def edit(self, requests: Sequence[Any], /) -> Mapping[str, Tensor]:
        """Add edits; returns what undoes this call."""

    def fork(self, model: nn.Module) -> Any:
        """An editor of the same edits for a copy of the model."""


class Held(Protocol):
    """A dataclass with the editor of one model and what that was built from."""

    @property
    def editor(self) -> Any:
        """It knows the model's original weights and its edits."""


class Executor(ABC, Generic[H]):
    """Applies edits to whatever model it is given; what it holds for a model ends with it.

    Args:
        always_return_weights: return what restores the model even when edits accumulate.
    """

    def __init__(self, always_return_weights: bool) -> None:
        self._always_return_weights = always_return_weights
        self._held: weakref.WeakKeyDictionary[nn.Module, H] = weakref.WeakKeyDictionary()

    @abstractmethod
    def prepare(
        self, model: nn.Module, tok: Any, requests: Sequence[Mapping[str, Any]], hparams: Any
    ) -> tuple[Editor, list[Any]]:
        """The editor that will make a model's next edits, and EasyEdit's requests as it wants them.

        Raises:
            DataError, ModelError, CheckpointError, ConfigError: as :meth:`apply_to_model`.
        """

    def apply_to_model(
        self,
        model: nn.Module,
        tok: Any,
        requests: Sequence[Mapping[str, Any]] | Mapping[str, Any],
        hparams: Any,
        copy: bool = False,
        return_orig_weights: bool = True,
        keep_original_weight: bool = False,
        **_: Any,
    ) -> tuple[nn.Module, Mapping[str, Tensor]]:
        """Edit a model, as EasyEdit calls every method.

        Args:
            requests: dictionaries with ``prompt`` and ``target_new``; all are edited in one call.
            copy: edit a copy of the model.
            return_orig_weights: return what restores the model.
            keep_original_weight: the caller will restore after this call (the wheel's flag).

        Returns:
            the edited model, and what undoes this call when called: the weights before it by
            parameter name, or, of a method that adds neurons, no weights. Empty where edits shall
            accumulate.

        Raises:
            DataError, NumericalError, ModelError, CheckpointError: the model is unchanged.
        """
        editor, edits = self.prepare(model, tok, as_list(requests), hparams)
        if copy:
            held = self._held[model]
            model = copying.deepcopy(model)
            editor = editor.fork(weak(model))
            self._held[model] = replace(held, editor=editor)  # type: ignore[type-var]
        before = editor.edit(edits)
        wanted = return_orig_weights and (keep_original_weight or self._always_return_weights)
        return model, before if wanted else {}


@dataclass(frozen=True)
class _Held:
    """The edit memory of one model.

    Attributes:
        source: archive and edited modules.
        stamp: tells a rewritten archive, or one read with other settings, from the one in use.
        editor: knows the model's original weights and its edits.
    """

    source: tuple[str | None, tuple[str, ...]]
    stamp: tuple[object, ...]
    editor: DAFNetEditor


class DAFNetExecutor(Executor[_Held]):
    """Applies edits to whatever model it is given and remembers, per model, what it carries.

    The memory belongs to the model whose weights hold the edits: it ends with the model, two
    models never share it, and it follows when EasyEdit copies saved weights back.
    """

    def prepare(
        self,
        model: nn.Module,
        tok: Any,
        requests: Sequence[Mapping[str, Any]],
        hparams: DAFNetHparams,
    ) -> tuple[DAFNetEditor, list[EditRequest]]:
        """See :meth:`Executor.prepare`."""
        edits = list(map(read_request, requests))
        return self.editor_for(model, tok, hparams), edits

    def editor_of(self, model: nn.Module) -> DAFNetEditor | None:
        """The editor that knows a model's edits, None for a model that was never edited."""
        held = self._held.get(model)
        return held.editor if held is not None else None

    def editor_for(self, model: nn.Module, tok: Any, hparams: DAFNetHparams) -> DAFNetEditor:
        """The editor that will make a model's next edits.

        Raises:
            ModelError, CheckpointError, ConfigError: as :meth:`apply_to_model`.
        """
        editor = self._holding(model, tok, hparams).editor
        editor.tokenizer, editor.batch_size = tok, hparams.signal_batch_size
        editor.use_chat_template = hparams.use_chat_template
        if editor.consolidation is not None:
            config = consolidation_config(hparams)
            editor.consolidation = replace(editor.consolidation, config=config)
        return editor

    def _holding(self, model: nn.Module, tok: Any, hparams: DAFNetHparams) -> _Held:
        """The memory of a model, begun anew if the model carries no edits and something changed."""
        source = (hparams.archive, tuple(hparams.edit_modules))
        held = self._held.get(model)
        known = held is not None and _recognised(held.editor)
        if held is not None and held.editor.requests:
            if held.source == source:
                return held
            raise ModelError(
                f"this model carries {len(held.editor.requests)} DAFNet edits made with archive "
                f"{held.source[0]} on {list(held.source[1])}; restore it, or load it anew, before "
                f"editing with archive {source[0]} on {list(source[1])}"
            )
        stamp = _stamp(hparams)
        if held is not None and known and (held.source, held.stamp) == (source, stamp):
            return held
        if held is not None and held.editor.keeper is not None:
            raise ModelError(
                "the model or the archive has changed since its edits began to be kept; close() "
                "the DAFNetEdits of before"
            )
        find_edit_modules(model, hparams.edit_modules)  # what does not exist is told first
        editor = build_editor(hparams, weak(model), tok)
        self._held[model] = _Held(source, stamp, editor)
        return self._held[model]


def as_list(
    requests: Sequence[Mapping[str, Any]] | Mapping[str, Any],
) -> Sequence[Mapping[str, Any]]:
    """EasyEdit's requests, of which some callers give one by itself."""
    return [requests] if isinstance(requests, Mapping) else requests


def weak(model: nn.Module) -> nn.Module:
    """The model under a name that does not keep it alive; its memory must not."""
    return typing.cast(nn.Module, weakref.proxy(model))


def _recognised(editor: DAFNetEditor) -> bool:
    """Whether the weights are those the editor knows; only a model without edits may differ."""
    try:
        editor.synchronise()
    except ModelError as error:
        if editor.requests:
            raise ModelError(f"{error}, or load the model anew") from error
        return False  # trained further, say: these are its original weights now
    return True


def _stamp(hparams: DAFNetHparams) -> tuple[object, ...]:
    """What else decides which DAFNet is loaded; None for a file that is not there."""
    path = Path(hparams.archive or "")
    try:
        state = (path / WEIGHTS if path.is_dir() else path).stat()
    except OSError:
        return (None,)
    settings = repr((hparams.network, hparams.fusion, hparams.consolidation, hparams.edit_bias))
    return state.st_mtime_ns, state.st_size, settings
