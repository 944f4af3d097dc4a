"""Transformer-Patcher: a neuron for each mistaken token, silent on all that came before.

An edit is looked at token by token. For every target token that the model (with the patches it
carries) gets wrong, a key, a bias and a value are added to the feed-forward module of the last
block and trained, the rest of the model frozen, until the token is right. The key begins as the
normalised query of its token, so that the patch fires there from the start.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from dafnet_plugin.cases import EditRequest
from dafnet_plugin.editing.modules import evaluation_mode, frozen, model_device
from dafnet_plugin.editing.scoring import scored_labels, scored_logits
from dafnet_plugin.errors import NumericalError
from dafnet_plugin.methods.editing import NeuronEditor, Snapshot
from dafnet_plugin.methods.memory import queries
from dafnet_plugin.methods.neurons import Neurons, joined, tried
from dafnet_plugin.methods.tpatcher.hparams import TPatcherHparams
from dafnet_plugin.methods.tpatcher.losses import activation_loss, memory_loss
from dafnet_plugin.tokens import Encoded, TokenBatch, collate, pad_id_of

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Remembered:
    """What later patches stay silent on.

    Attributes:
        prompt: of the edit; editing it again is no reason to stay silent.
        keys: [tokens, d], the queries of its prompt and target.
    """

    prompt: str
    keys: Tensor


def build_editor(hparams: TPatcherHparams, model: nn.Module, tokenizer: Any) -> TPatcherEditor:
    """See :class:`TPatcherEditor`."""
    return TPatcherEditor(hparams, model, tokenizer)


class TPatcherEditor(NeuronEditor[TPatcherHparams]):
    """Patches one model; editing several facts in a call equals editing them one by one."""

    def __init__(self, hparams: TPatcherHparams, model: nn.Module, tokenizer: Any) -> None:
        super().__init__(hparams, model, tokenizer)
        (self.path,) = self.paths
        keys = queries(model, self.path, self.sentences.encoded, tokenizer)
        self._sentence_keys = torch.cat([self._none.neurons[0].keys, *keys])
        self._sentence_of = torch.repeat_interleave(
            torch.tensor([len(k) for k in keys], dtype=torch.long)
        )

    def extended(
        self, snapshot: Snapshot, requests: Sequence[EditRequest], generator: torch.Generator
    ) -> Snapshot:
        """See :meth:`NeuronEditor.extended`; nothing is drawn."""
        for request in requests:
            snapshot = self._patched(snapshot, request)
            self.restore(snapshot)  # the next mistakes are those of the patched model
        return snapshot

    def pack(self, memory: Sequence[Remembered]) -> tuple[dict[str, Tensor], list[Any]]:
        """See :meth:`NeuronEditor.pack`."""
        keys = [item.keys for item in memory] or [self._none.neurons[0].keys]
        return {"keys": torch.cat(keys)}, [[item.prompt, len(item.keys)] for item in memory]

    def unpack(
        self, tensors: Mapping[str, Tensor], described: Sequence[Any]
    ) -> tuple[Remembered, ...]:
        """See :meth:`NeuronEditor.unpack`."""
        keys = tensors["keys"].split([length for _, length in described]) if described else []
        return tuple(Remembered(prompt, k) for (prompt, _), k in zip(described, keys, strict=True))

    def _patched(self, snapshot: Snapshot, request: EditRequest) -> Snapshot:
        text = self.encoded([(request.prompt, request.target_new)])[0]
        (found,) = queries(self.model, self.path, [text], self.tokenizer)  # [tokens, d]
        batch = collate([text], pad_id_of(self.tokenizer)).to(model_device(self.model))
        with torch.no_grad(), evaluation_mode(self.model):
            wrong = scored_logits(self.model, batch).argmax(-1) != scored_labels(batch)
        mistaken = torch.zeros(len(found), dtype=torch.bool, device=found.device)
        mistaken[text.target_start - 1 :] = wrong
        neurons = snapshot.neurons[0]
        if bool(mistaken.any()):
            kept = self.remembered(snapshot, request, found[~mistaken])
            neurons = joined(neurons, self._trained(batch, found[mistaken], kept, text))
        return Snapshot(
            (neurons,),
            (*snapshot.requests, request),
            (*snapshot.memory, Remembered(request.prompt, found)),
        )

    def remembered(self, snapshot: Snapshot, request: EditRequest, own: Tensor) -> Tensor:
        """[keys, d]: what the patches of a request stay silent on.

        The sentences that are not about its subject, the edits made before, and the other tokens
        of its own text.

        Args:
            own: [tokens, d], the queries of those.
        """
        about = self.sentences.about(request.subject)[self._sentence_of]
        earlier = [item.keys for item in snapshot.memory if item.prompt != request.prompt]
        return torch.cat([self._sentence_keys[~about.to(own.device)], *earlier, own])

    def _trained(self, batch: TokenBatch, own: Tensor, kept: Tensor, text: Encoded) -> Neurons:
        """New patches, one for each of the mistaken tokens' queries ``own`` [patches, d]."""
        hparams = self.hparams
        keys = own / own.square().sum(-1, keepdim=True).clamp_min(1e-12)  # fires with 1
        patches = Neurons(keys, own.new_zeros(len(own)), torch.zeros_like(own))
        patches = Neurons(*(tensor.requires_grad_() for tensor in patches.tensors))
        optimiser = torch.optim.Adam(patches.tensors, hparams.lr)
        labels = scored_labels(batch)
        mine = torch.eye(len(own), dtype=torch.bool, device=own.device)
        with (
            frozen(self.model),
            evaluation_mode(self.model),
            torch.enable_grad(),
            tried(self.model, {self.path: (patches, hparams.activation)}),
        ):
            for _ in range(hparams.steps):
                logits = scored_logits(self.model, batch)
                inputs = patches.inputs(own)  # [patches, patches]
                silent_on = patches.inputs(kept)  # [keys, patches]
                if len(own) > 1:  # each patch also leaves the tokens of the others alone
                    silent_on = torch.cat([silent_on, inputs.masked_fill(mine, -torch.inf)])
                fires = inputs.diagonal()
                if self._done(logits, labels, fires, silent_on):
                    break
                loss = (
                    F.cross_entropy(logits, labels)
                    + hparams.activation_weight * activation_loss(fires)
                    + hparams.memory_weight
                    * memory_loss(
                        silent_on,
                        fires,
                        hparams.memory_threshold,
                        hparams.memory_margin,
                        hparams.memory_top,
                    )
                )
                if not torch.isfinite(loss):
                    raise NumericalError(
                        f"patching token {text.ids[text.target_start :]} diverged: the loss is "
                        f"{loss.item()}; lower lr ({hparams.lr})"
                    )
                gradients = torch.autograd.grad(loss, patches.tensors)
                for tensor, gradient in zip(patches.tensors, gradients, strict=True):
                    tensor.grad = gradient
                optimiser.step()
            else:
                logger.warning(
                    "%d steps were not enough for every patch of %r to be right and silent on what "
                    "is remembered",
                    hparams.steps,
                    self.tokenizer.decode(text.ids),
                )
        return patches.detached()

    def _done(self, logits: Tensor, labels: Tensor, fires: Tensor, silent_on: Tensor) -> bool:
        """Whether every token is right, and patches fire for their own tokens only."""
        probabilities = logits.softmax(-1)
        right = (probabilities.argmax(-1) == labels).all()
        sure = probabilities.gather(-1, labels[:, None]).min() >= self.hparams.confidence
        silent = silent_on.max() <= 0 if silent_on.numel() else True
        return bool(right & sure & (fires > 0).all()) and bool(silent)
