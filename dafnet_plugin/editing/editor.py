"""Editing a model in place: signals, fusion, folding the update into the weights, undoing."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor, nn

from dafnet_plugin.cases import EditRequest
from dafnet_plugin.editing.consolidation import Consolidation, consolidate
from dafnet_plugin.editing.dafnet import DAFNet, SequenceState
from dafnet_plugin.editing.fusion import loosen
from dafnet_plugin.editing.modules import (
    EditModule,
    check_in_memory,
    find_edit_modules,
    swapped_weights,
)
from dafnet_plugin.editing.signals import Signal, capture
from dafnet_plugin.errors import CheckpointError, ConfigError, ModelError, NumericalError
from dafnet_plugin.tokens import Encoded, context_length, encode, pad_id_of


@dataclass(frozen=True)
class Snapshot:
    """What an editor had done at some moment; cheap, since states are immutable.

    Attributes:
        state: the sequence state, None before the first edit.
        requests: the edits made so far.
    """

    state: SequenceState | None
    requests: tuple[EditRequest, ...]


class WeightsCopy(Mapping[str, Tensor]):
    """Weights before an edit by parameter name, and the edit memory that goes with them.

    A mapping to whoever copies the weights back (each tensor is computed when asked for, bit for
    bit what the model held); calling it restores weights and memory together.
    """

    def __init__(self, editor: DAFNetEditor, snapshot: Snapshot) -> None:
        self._editor = editor
        self.snapshot = snapshot

    def __getitem__(self, name: str) -> Tensor:
        # Whoever reads may copy back, even when this object is gone.
        self._editor._lent = self.snapshot
        return self._editor.weights_of(self.snapshot)[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._editor.parameter_names)

    def __len__(self) -> int:
        return len(self._editor.parameter_names)

    def __call__(self) -> None:
        """Put weights and edit memory back as they were."""
        self._editor.restore(self.snapshot)


class DAFNetEditor:
    """Edits one model in place, fact after fact.

    The model stays an ordinary transformers model: the accumulated update is folded into the
    weights of the edited modules, whose original values are kept here. Signals are always taken
    on the original weights.

    Args:
        model: a causal language model whose output has ``.logits``.
        tokenizer: its tokenizer.
        dafnet: a trained DAFNet.
        edit_modules: names of the modules that DAFNet was trained for, in order.
        batch_size: edits per forward pass when signals are taken.
        consolidation: how to go over a growing sequence again; None for never.
        use_chat_template: edit requests inside the tokenizer's chat template.

    Raises:
        ModelError: a module is missing or not linear, or its weights are not in memory.
        CheckpointError: a module's shape is not the one DAFNet was trained for.
        ConfigError: consolidation of anything but least squares.
        NumericalError: a weight to be edited is not finite.
    """

    def __init__(
        self,
        model: nn.Module,
        tokenizer: Any,
        dafnet: DAFNet,
        edit_modules: Sequence[str],
        *,
        batch_size: int = 8,
        consolidation: Consolidation | None = None,
        use_chat_template: bool = False,
    ) -> None:
        self.model = model
        self.tokenizer = tokenizer
        self.modules = find_edit_modules(model, edit_modules)
        check_in_memory(self.modules)
        check_shapes(self.modules, dafnet)
        if consolidation is not None and dafnet.fusion.kind != "least_squares":
            raise ConfigError(
                f"fusion.kind: {dafnet.fusion.kind!r}; allowed with consolidation: 'least_squares'"
            )
        self.dafnet = dafnet.eval().place([m.weight.device for m in self.modules])
        self.batch_size = batch_size
        self.consolidation = consolidation
        self.use_chat_template = use_chat_template
        self.parameter_names, self._parameters = self._edited_parameters()
        self._originals = [parameter.detach().clone() for parameter in self._parameters]
        for name, original in zip(self.parameter_names, self._originals, strict=True):
            if not torch.isfinite(original).all():
                raise NumericalError(f"{name} holds NaN or infinity: the model cannot be edited")
        self._now = Snapshot(None, ())
        self._lent: Snapshot | None = None

    @property
    def requests(self) -> tuple[EditRequest, ...]:
        """The edits the model carries, in the order they were made."""
        return self._now.requests

    # -- editing ------------------------------------------------------------------------------

    @torch.no_grad()
    def edit(self, requests: Sequence[EditRequest]) -> WeightsCopy:
        """Add edits to the sequence and fold them into the model's weights.

        Returns:
            what is needed to undo this call: see :class:`WeightsCopy`.

        Raises:
            DataError: a request cannot be tokenised or is too long for the model.
            NumericalError: a signal or an update is not finite.
            ModelError: something else changed the edited weights since the last edit.
            In each case the model and the edits it carries stay as they were.
        """
        self.synchronise()
        before = WeightsCopy(self, self._now)
        if requests:
            after = self._extended(self._now, requests)
            self._check_finite(after)
            self._set(after)
        # Only now: after a failed edit, weights read before it are still to be recognised.
        self._lent = None
        return before

    def _extended(self, snapshot: Snapshot, requests: Sequence[EditRequest]) -> Snapshot:
        """A snapshot with more edits, consolidated wherever the sequence becomes due."""
        rest = list(requests)
        while rest:
            made = len(snapshot.requests)
            due = self.consolidation.until(made) if self.consolidation else None
            part = rest[:due]
            rest = rest[len(part) :]
            state = self.dafnet(self.signals(part), snapshot.state)
            snapshot = Snapshot(state, (*snapshot.requests, *part))
            if self.consolidation and len(part) == due:
                snapshot = self._consolidated(snapshot, self.consolidation)
        return snapshot

    def _consolidated(self, snapshot: Snapshot, consolidation: Consolidation) -> Snapshot:
        state = snapshot.state
        assert state is not None  # there is at least one edit
        # A prompt that was edited again has its last target.
        last = {request.prompt: request for request in snapshot.requests}
        with swapped_weights(self._parameters, self._originals):
            changes = consolidate(
                self.model,
                self.modules,
                [update.weight for update in state.updates],
                self._encoded(list(last.values())),
                self.dafnet.key_moments,
                consolidation,
                pad_id=pad_id_of(self.tokenizer),
            )
        updates = tuple(
            loosen(update, change, self.dafnet.prior(number), consolidation.config.room)
            for number, (update, change) in enumerate(zip(state.updates, changes, strict=True))
        )
        return replace(snapshot, state=replace(state, updates=updates))

    def signals(self, requests: Sequence[EditRequest]) -> list[Signal]:
        """Gradient signals of requests on the unedited model, one a module."""
        with swapped_weights(self._parameters, self._originals):
            return capture(
                self.model,
                self.modules,
                self._encoded(requests),
                pad_id=pad_id_of(self.tokenizer),
                batch_size=self.batch_size,
            )

    def _encoded(self, requests: Sequence[EditRequest]) -> list[Encoded]:
        return encode(
            self.tokenizer,
            [(request.prompt, request.target_new) for request in requests],
            context_length(self.model),
            chat=self.use_chat_template,
        )

    # -- going back ---------------------------------------------------------------------------

    def snapshot(self) -> Snapshot:
        """The present edits, to be restored later."""
        return self._now

    @torch.no_grad()
    def restore(self, snapshot: Snapshot) -> None:
        """Give the model the edits of a snapshot, bit for bit as they were."""
        self._set(snapshot)

    def reset(self) -> None:
        """Undo every edit, bit for bit."""
        self.restore(Snapshot(None, ()))

    def weights_of(self, snapshot: Snapshot) -> dict[str, Tensor]:
        """Copies of the edited parameters, by name, as they are with a snapshot's edits."""
        values = self._weights_of(snapshot)
        return {
            name: value.clone() for name, value in zip(self.parameter_names, values, strict=True)
        }

    def fork(self, model: nn.Module) -> DAFNetEditor:
        """An editor of the same edits for a copy of the model."""
        names = [edit_module.name for edit_module in self.modules]
        twin = DAFNetEditor(
            model,
            self.tokenizer,
            self.dafnet,
            names,
            batch_size=self.batch_size,
            consolidation=self.consolidation,
            use_chat_template=self.use_chat_template,
        )
        twin._originals, twin._now = self._originals, self._now
        return twin

    @torch.no_grad()
    def synchronise(self) -> None:
        """Let the edit memory follow weights that somebody copied back.

        EasyEdit restores by writing the saved weights into the model itself. Weights that are
        the original ones, or those last read from a :class:`WeightsCopy` since the last edit,
        tell which edits the model carries.

        Raises:
            ModelError: the weights are none of these.
        """
        _, self._parameters = self._edited_parameters()  # they may have been replaced
        if self._holds(self._weights_of(self._now)):
            return
        for snapshot in (self._lent, Snapshot(None, ())):
            if snapshot is not None and self._holds(self._weights_of(snapshot)):
                self._now = snapshot
                return
        raise ModelError(
            "the weights of the edited modules were changed by something else since the last "
            "DAFNet edit; restore them, or make a new DAFNetEditor that takes them as original"
        )

    # -- weights ------------------------------------------------------------------------------

    def _edited_parameters(self) -> tuple[list[str], list[nn.Parameter]]:
        names, parameters = [], []
        for edit_module in self.modules:
            names.append(f"{edit_module.path}.weight")
            parameters.append(edit_module.weight)
            if self.dafnet.edit_bias:
                if edit_module.bias is None:
                    raise ConfigError(
                        f"edit_bias is true, but module {edit_module.name!r} has no bias"
                    )
                names.append(f"{edit_module.path}.bias")
                parameters.append(edit_module.bias)
        return names, parameters

    def _weights_of(self, snapshot: Snapshot) -> list[Tensor]:
        """Values of the edited parameters with the edits of a snapshot, in their own dtype."""
        if snapshot.state is None:
            return self._originals
        changes: list[Tensor] = []
        for edit_module, update in zip(self.modules, snapshot.state.updates, strict=True):
            changes.append(edit_module.stored(update.weight))
            if update.bias is not None:
                changes.append(update.bias)
        return [
            (original.to(change.dtype) + change).to(original.dtype)
            for original, change in zip(self._originals, changes, strict=True)
        ]

    def _holds(self, values: Sequence[Tensor]) -> bool:
        return all(
            parameter.device == value.device
            and parameter.dtype == value.dtype
            and torch.equal(parameter, value)
            for parameter, value in zip(self._parameters, values, strict=True)
        )

    def _set(self, snapshot: Snapshot) -> None:
        for parameter, value in zip(self._parameters, self._weights_of(snapshot), strict=True):
            parameter.copy_(value)
        self._now = snapshot

    def _check_finite(self, snapshot: Snapshot) -> None:
        for name, value in zip(self.parameter_names, self._weights_of(snapshot), strict=True):
            if not torch.isfinite(value).all():
                raise NumericalError(
                    f"the update of {name} is not finite in {value.dtype}; the model is unchanged"
                )


def check_shapes(modules: Sequence[EditModule], dafnet: DAFNet) -> None:
    """Check that modules have the shapes a DAFNet was made for.

    Raises:
        CheckpointError: names each module that differs, with both shapes.
    """
    if len(modules) != len(dafnet.shapes):
        raise CheckpointError(
            f"DAFNet was trained for {len(dafnet.shapes)} modules, {len(modules)} are named"
        )
    problems = [
        f"{edit_module.name} is {edit_module.shape}, the checkpoint has {shape}"
        for edit_module, shape in zip(modules, dafnet.shapes, strict=True)
        if edit_module.shape != shape
    ]
    if problems:
        raise CheckpointError(
            "the checkpoint does not fit the model (d_in, d_out): " + "; ".join(problems)
        )
