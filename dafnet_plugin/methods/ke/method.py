"""Editing with KnowledgeEditor: one gradient, one pass through the hypernetwork, one update.

The gradient and the old target are those of the model as it is, earlier edits included; nothing
is remembered from edit to edit. Several requests in one call are edited at once: their updates,
each made on the model before the call, are added up.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from dafnet_plugin.cases import EditRequest, read_request
from dafnet_plugin.editing.modules import EditModule, check_in_memory, find_edit_modules
from dafnet_plugin.editing.signals import Signal, capture
from dafnet_plugin.errors import CheckpointError, ConfigError, NumericalError
from dafnet_plugin.methods.ke.checkpoint import load_checkpoint
from dafnet_plugin.methods.ke.hparams import KEHparams
from dafnet_plugin.methods.ke.network import KnowledgeEditor
from dafnet_plugin.methods.ke.requests import request_rows
from dafnet_plugin.methods.neurons import model_width
from dafnet_plugin.tokens import context_length, encode, pad_id_of


def build_editor(hparams: KEHparams, model: nn.Module, tokenizer: Any) -> KEEditor:
    """An editor with the KnowledgeEditor that ``archive`` names.

    Raises:
        ConfigError: no archive is named.
        CheckpointError: it is not there, or was trained for other modules.
    """
    if hparams.archive is None:
        raise ConfigError(
            "archive: null; a trained KnowledgeEditor is needed: train one with `dafnet train "
            "hparams/TRAINING/KE/<model>.yaml` and name its directory here"
        )
    checkpoint = load_checkpoint(hparams.archive)
    if list(checkpoint.edit_modules) != hparams.edit_modules:
        raise CheckpointError(
            f"{hparams.archive}: trained for the modules {list(checkpoint.edit_modules)}, "
            f"but edit_modules is {hparams.edit_modules}"
        )
    return KEEditor(model, tokenizer, checkpoint.network, hparams)


class KEEditor:
    """Edits one model in place with a trained hypernetwork.

    Raises:
        ModelError: a module is missing or not linear, or its weights are not in memory.
        CheckpointError: the hypernetwork was trained for other shapes.
    """

    def __init__(
        self, model: nn.Module, tokenizer: Any, network: KnowledgeEditor, hparams: KEHparams
    ) -> None:
        self.model, self.tokenizer, self.hparams = model, tokenizer, hparams
        self.modules = find_edit_modules(model, hparams.edit_modules)
        check_in_memory(self.modules)
        shapes = tuple(edit_module.shape for edit_module in self.modules)
        if (network.shapes, network.embedding_dim) != (shapes, model_width(model)):
            raise CheckpointError(
                f"the checkpoint does not fit the model: it was trained for the shapes (d_in, "
                f"d_out) {network.shapes} and embeddings of {network.embedding_dim}; the model has "
                f"{shapes} and {model_width(model)}"
            )
        self.network = network.eval().to(self.modules[0].weight.device)

    @property
    def requests(self) -> tuple[EditRequest, ...]:
        """None: the hypernetwork remembers no edit."""
        return ()

    def read(self, record: Mapping[str, Any]) -> EditRequest:
        """See :meth:`dafnet_plugin.methods.base.MethodEditor.read`."""
        return read_request(record)

    @torch.no_grad()
    def edit(self, requests: Sequence[EditRequest]) -> dict[str, Tensor]:
        """Edit on top of what the weights hold.

        Returns:
            the edited weights from before this call, by name.

        Raises:
            DataError: a request cannot be tokenised or is too long for the model.
            NumericalError: a gradient or an update is not finite; the model is unchanged.
        """
        before = {f"{m.path}.weight": m.weight.detach().clone() for m in self.modules}
        if not requests:
            return before
        updates = self.updates(requests)
        after = [
            (m.weight.float() + m.stored(update)).to(m.weight.dtype)
            for m, update in zip(self.modules, updates, strict=True)
        ]
        for edit_module, weight in zip(self.modules, after, strict=True):
            if not torch.isfinite(weight).all():
                raise NumericalError(
                    f"the update of {edit_module.name}.weight is not finite in {weight.dtype}; the "
                    "model is unchanged"
                )
        for edit_module, weight in zip(self.modules, after, strict=True):
            edit_module.weight.copy_(weight)
        return before

    @torch.no_grad()
    def updates(self, requests: Sequence[EditRequest]) -> list[Tensor]:
        """The update [d_in, d_out] of each edited matrix for some requests."""
        signals = gradients_and_requests(
            self.model,
            self.modules,
            [(request.prompt, request.target_new) for request in requests],
            self.tokenizer,
            self.hparams.signal_batch_size,
            chat=self.hparams.use_chat_template,
        )
        return [update.weight for update in self.network(signals).updates]

    def synchronise(self) -> None:
        """Nothing to do: nothing is remembered."""

    def fork(self, model: nn.Module) -> KEEditor:
        """See :meth:`dafnet_plugin.methods.base.MethodEditor.fork`."""
        return KEEditor(model, self.tokenizer, self.network, self.hparams)


def gradients_and_requests(
    model: nn.Module,
    modules: Sequence[EditModule],
    texts: Sequence[tuple[str, str]],
    tokenizer: Any,
    batch_size: int,
    *,
    chat: bool = False,
) -> list[Signal]:
    """What the hypernetwork reads of prompts and new targets, on the model as it is.

    Args:
        batch_size: edits per forward pass.
        chat: prompts are put into the tokenizer's chat template.
    """
    encoded = encode(tokenizer, texts, context_length(model), chat=chat)
    pad_id = pad_id_of(tokenizer)
    signals = capture(model, modules, encoded, pad_id=pad_id, batch_size=batch_size)
    return [*signals, request_rows(model, encoded, pad_id=pad_id, batch_size=batch_size)]
