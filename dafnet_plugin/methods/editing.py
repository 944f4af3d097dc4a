"""Editing by added neurons: what is remembered, undone and followed, whatever the method."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

import torch
from torch import Tensor, nn

from dafnet_plugin.cases import EditRequest, read_request
from dafnet_plugin.editing.modules import check_devices
from dafnet_plugin.errors import ModelError, NumericalError
from dafnet_plugin.methods.base import Undo
from dafnet_plugin.methods.hparams import NeuronHparams
from dafnet_plugin.methods.memory import Sentences, draw_sentences
from dafnet_plugin.methods.neurons import (
    Neurons,
    added_to,
    device_of,
    find_feed_forwards,
    model_width,
    no_neurons,
    set_neurons,
)
from dafnet_plugin.tokens import Encoded, context_length, encode

P = TypeVar("P", bound=NeuronHparams)
E = TypeVar("E", bound="NeuronEditor[Any]")


@dataclass(frozen=True)
class Snapshot:
    """What a model carries at some moment; immutable, so undoing is keeping.

    Attributes:
        neurons: those beside each of the edited modules, in order.
        requests: the edits made so far.
        memory: what the method remembers of each of them, in order.
    """

    neurons: tuple[Neurons, ...]
    requests: tuple[EditRequest, ...] = ()
    memory: tuple[Any, ...] = ()


class NeuronEditor(Generic[P]):
    """Edits one model by neurons beside its feed-forward modules.

    Args:
        hparams: may be replaced between edits, but for ``edit_modules``.
        model: a causal language model whose output has ``.logits``; it carries no added neurons.
        tokenizer: its tokenizer.

    Raises:
        ModelError: a module is missing, not a feed-forward module or not in memory, or the model
            carries neurons that another editor has added.
        DataError: ``memory_path`` cannot be read.
    """

    def __init__(self, hparams: P, model: nn.Module, tokenizer: Any) -> None:
        self.hparams, self.model, self.tokenizer = hparams, model, tokenizer
        self.names = tuple(hparams.edit_modules)
        self.paths = tuple(find_feed_forwards(model, self.names))
        if any(added_to(model, path) for path in self.paths):
            raise ModelError(
                f"{', '.join(self.names)}: the model carries neurons that another editor added; "
                "undo its edits, or load the model anew"
            )
        devices = [device_of(model.get_submodule(path)) for path in self.paths]
        check_devices(dict(zip(self.names, devices, strict=True)))
        width = model_width(model)
        self._none = Snapshot(tuple(no_neurons(width, device) for device in devices))
        self._now = self._none
        self.sentences: Sentences = draw_sentences(hparams, model, tokenizer)

    @property
    def requests(self) -> tuple[EditRequest, ...]:
        """The edits the model carries, in the order they were made."""
        return self._now.requests

    # -- editing ------------------------------------------------------------------------------

    def read(self, record: Mapping[str, Any]) -> Any:
        """See :meth:`dafnet_plugin.methods.base.MethodEditor.read`."""
        return read_request(record)

    def edit(self, requests: Sequence[Any]) -> Undo:
        """Add edits to those the model carries.

        Returns:
            what undoes this call when called.

        Raises:
            DataError: a request cannot be tokenised or is too long for the model.
            NumericalError: training diverged.
            ModelError: something else changed the added neurons since the last edit.
            In each case the model and the edits it carries stay as they were.
        """
        self.synchronise()
        before = self._now
        # The same edits of the same model are the same, whatever was drawn elsewhere.
        generator = torch.Generator().manual_seed(self.hparams.seed + len(before.requests))
        try:
            if requests:
                after = self.extended(before, requests, generator)
                self._check_finite(after)
                self.restore(after)
        except BaseException:
            self.restore(before)
            raise
        return Undo(lambda: self.restore(before))

    def extended(
        self, snapshot: Snapshot, requests: Sequence[Any], generator: torch.Generator
    ) -> Snapshot:
        """A snapshot with more edits; the model may be left with any of them.

        Args:
            snapshot: what the model carries now.
        """
        raise NotImplementedError

    def encoded(self, texts: Sequence[tuple[str, str]]) -> list[Encoded]:
        """Prompts and targets as tokens."""
        chat = self.hparams.use_chat_template
        return encode(self.tokenizer, texts, context_length(self.model), chat=chat)

    def pack(self, memory: Sequence[Any]) -> tuple[dict[str, Tensor], list[Any]]:
        """What is remembered as tensors by name and plain data, to be saved."""
        raise NotImplementedError

    def unpack(self, tensors: Mapping[str, Tensor], described: Sequence[Any]) -> tuple[Any, ...]:
        """The inverse of :meth:`pack`.

        Raises:
            KeyError, TypeError, ValueError, RuntimeError: damaged.
        """
        raise NotImplementedError

    # -- going back ---------------------------------------------------------------------------

    def snapshot(self) -> Snapshot:
        """What the model carries, to be restored later."""
        return self._now

    def restore(self, snapshot: Snapshot) -> None:
        """Give the model the edits of a snapshot, bit for bit as they were."""
        for path, neurons in zip(self.paths, snapshot.neurons, strict=True):
            set_neurons(self.model, path, neurons, self.hparams.activation)
        self._now = snapshot

    def reset(self) -> None:
        """Undo every edit, bit for bit."""
        self.restore(self._none)

    def fork(self: E, model: nn.Module) -> E:
        """An editor of the same edits for a copy of the model, neurons included."""
        twin = type(self).__new__(type(self))
        twin.__dict__.update(self.__dict__)
        twin.model = model
        return twin

    def synchronise(self) -> None:
        """Take note if somebody has put the model's own modules back.

        Raises:
            ModelError: the neurons are not those that this editor has added.
        """
        found = [added_to(self.model, path) for path in self.paths]
        if all(
            (holder is None and not len(neurons))
            or (holder is not None and neurons.equal(holder.neurons.detached()))
            for holder, neurons in zip(found, self._now.neurons, strict=True)
        ):
            return
        if any(holder is not None for holder in found):
            raise ModelError(
                f"the neurons beside {', '.join(self.names)} were changed by something else since "
                "the last edit; restore them, or load the model anew"
            )
        self._now = self._none

    def _check_finite(self, snapshot: Snapshot) -> None:
        for name, neurons in zip(self.names, snapshot.neurons, strict=True):
            if not all(bool(torch.isfinite(tensor).all()) for tensor in neurons.tensors):
                raise NumericalError(
                    f"the neurons beside {name} are not finite; the model is unchanged; lower lr "
                    f"({self.hparams.lr})"
                )
