"""Editing a model in place: signals, fusion, folding the update into the weights, undoing."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor, nn

from dafnet_plugin.cases import EditRequest
from dafnet_plugin.editing.consolidation import Consolidation, consolidate
from dafnet_plugin.editing.dafnet import DAFNet, SequenceState
from dafnet_plugin.editing.fusion import loosen
from dafnet_plugin.editing.modules import (
    check_in_memory,
    find_edit_modules,
    swapped_weights,
)
from dafnet_plugin.editing.record import (
    Call,
    Calls,
    Keeper,
    Settings,
    Snapshot,
    begins,
    latest,
    named,
)
from dafnet_plugin.editing.signals import Signal, capture
from dafnet_plugin.editing.weights import EditedWeights, check_shapes
from dafnet_plugin.editing.weights_copy import WeightsCopy
from dafnet_plugin.errors import ConfigError, ModelError
from dafnet_plugin.tokens import Encoded, context_length, encode, pad_id_of


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

    Attributes:
        keeper: who is told of every change of the edits; None for nobody.

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
        self.weights = EditedWeights(self.modules, dafnet.edit_bias)
        self.keeper: Keeper | None = None
        self._now = Snapshot(None)
        self._lent: Snapshot | None = None

    @property
    def requests(self) -> tuple[EditRequest, ...]:
        """The edits the model carries, in the order they were made."""
        return self._now.requests

    @property
    def parameter_names(self) -> list[str]:
        """Names of the parameters that edits change."""
        return self.weights.names

    @property
    def settings(self) -> Settings:
        """What the next call is made with."""
        config = self.consolidation.config if self.consolidation else None
        return Settings(self.batch_size, self.use_chat_template, config)

    # -- editing ------------------------------------------------------------------------------

    @torch.no_grad()
    def edit(
        self, requests: Sequence[EditRequest], case_ids: Sequence[str] | None = None
    ) -> WeightsCopy:
        """Add edits to the sequence and fold them into the model's weights.

        Args:
            case_ids: names that the edits go by from now on; None to number them on.

        Returns:
            what is needed to undo this call: see :class:`WeightsCopy`.

        Raises:
            DataError: a request cannot be tokenised or is too long for the model, or a name is
                there already.
            NumericalError: a signal or an update is not finite.
            ModelError: something else changed the edited weights since the last edit.
            In each case the model and the edits it carries stay as they were.
        """
        self.synchronise()
        before = WeightsCopy(self, self._now)
        edits = named(self._now.calls, requests, case_ids)
        if edits:
            self._replace(self._extended(self._now, Call(edits, self.settings)))
        # Only now: after a failed edit, weights read before it are still to be recognised.
        self._lent = None
        return before

    @torch.no_grad()
    def remake(self, calls: Calls) -> WeightsCopy:
        """Let the model carry these calls and no others, as if no other had ever been made.

        What comes after the first call that differs is made anew, starting from the latest
        snapshot there is: later edits look at earlier ones, so nothing less would be exact.

        Returns:
            what is needed to go back.

        Raises:
            DataError, NumericalError, ModelError: as :meth:`edit`; nothing was changed.
        """
        self.synchronise()
        before = WeightsCopy(self, self._now)
        known = [self._now, self.keeper.known(calls) if self.keeper else None]
        fitting = [one for one in known if one is not None and begins(calls, one.calls)]
        snapshot = latest(fitting) or Snapshot(None)
        for call in calls[len(snapshot.calls) :]:
            snapshot = self._extended(snapshot, call)
        self._replace(snapshot)
        self._lent = None
        return before

    def _extended(self, snapshot: Snapshot, call: Call) -> Snapshot:
        """A snapshot with one more call, consolidated wherever the sequence becomes due."""
        consolidation = self._consolidation_of(call.settings)
        state, requests = snapshot.state, snapshot.requests
        rest = [edit.request for edit in call.edits]
        while rest:
            due = consolidation.until(len(requests)) if consolidation else None
            part = rest[:due]
            rest = rest[len(part) :]
            state = self.dafnet(self._signals(part, call.settings), state)
            requests = (*requests, *part)
            if consolidation and len(part) == due:
                state = self._consolidated(state, requests, consolidation, call.settings)
        return Snapshot(state, (*snapshot.calls, call))

    def _consolidation_of(self, settings: Settings) -> Consolidation | None:
        if settings.consolidation is None:
            return None
        if self.consolidation is None:
            raise ConfigError(
                "these edits were made with consolidation, which this editor has no text for; "
                "load the same archive as then"
            )
        return replace(self.consolidation, config=settings.consolidation)

    def _consolidated(
        self,
        state: SequenceState,
        requests: Sequence[EditRequest],
        consolidation: Consolidation,
        settings: Settings,
    ) -> SequenceState:
        # A prompt that was edited again has its last target.
        last = {request.prompt: request for request in requests}
        with swapped_weights(self.weights.parameters, self.weights.originals):
            changes = consolidate(
                self.model,
                self.modules,
                [update.weight for update in state.updates],
                self._encoded(list(last.values()), settings),
                self.dafnet.key_moments,
                consolidation,
                pad_id=pad_id_of(self.tokenizer),
            )
        updates = tuple(
            loosen(update, change, self.dafnet.prior(number), consolidation.config.room)
            for number, (update, change) in enumerate(zip(state.updates, changes, strict=True))
        )
        return replace(state, updates=updates)

    def signals(self, requests: Sequence[EditRequest]) -> list[Signal]:
        """Gradient signals of requests on the unedited model, one a module."""
        return self._signals(requests, self.settings)

    def _signals(self, requests: Sequence[EditRequest], settings: Settings) -> list[Signal]:
        with swapped_weights(self.weights.parameters, self.weights.originals):
            return capture(
                self.model,
                self.modules,
                self._encoded(requests, settings),
                pad_id=pad_id_of(self.tokenizer),
                batch_size=settings.batch_size,
            )

    def _encoded(self, requests: Sequence[EditRequest], settings: Settings) -> list[Encoded]:
        return encode(
            self.tokenizer,
            [(request.prompt, request.target_new) for request in requests],
            context_length(self.model),
            chat=settings.use_chat_template,
        )

    # -- going back ---------------------------------------------------------------------------

    def snapshot(self) -> Snapshot:
        """The present edits, to be restored later."""
        return self._now

    @torch.no_grad()
    def restore(self, snapshot: Snapshot) -> None:
        """Give the model the edits of a snapshot, bit for bit as they were."""
        self._replace(snapshot)

    def reset(self) -> None:
        """Undo every edit, bit for bit."""
        self.restore(Snapshot(None))

    def weights_of(self, snapshot: Snapshot) -> dict[str, Tensor]:
        """Copies of the edited parameters, by name, as they are with a snapshot's edits."""
        values = self.weights.values(snapshot.state)
        return {name: value.clone() for name, value in zip(self.weights.names, values, strict=True)}

    def fork(self, model: nn.Module) -> DAFNetEditor:
        """An editor of the same edits for a copy of the model; nobody is told of its edits."""
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
        twin.weights.originals, twin._now = self.weights.originals, self._now
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
        self.weights.refresh()
        if self.weights.hold(self.weights.values(self._now.state)):
            return
        for snapshot in (self._lent, Snapshot(None)):
            if snapshot is not None and self.weights.hold(self.weights.values(snapshot.state)):
                self._replace(snapshot)
                return
        raise ModelError(
            "the weights of the edited modules were changed by something else since the last "
            "DAFNet edit; restore them, or make a new DAFNetEditor that takes them as original"
        )

    def _replace(self, snapshot: Snapshot) -> None:
        values = self.weights.values(snapshot.state)
        self.weights.check_finite(values)
        if self.keeper is not None:  # first: what is on disk must never lag behind the model
            self.keeper.keep(self._now, snapshot, values)
        self.weights.give(values)
        self._now = snapshot
