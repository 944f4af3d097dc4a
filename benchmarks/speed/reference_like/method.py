"""Signals, editing and a step of meta-training, each the way the description has it."""

from __future__ import annotations

import copy
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from benchmarks.speed.reference_like.network import PlainNetwork, Rows
from dafnet_plugin.editing.dafnet import DAFNet
from dafnet_plugin.editing.modules import find_edit_modules
from dafnet_plugin.editing.objective import Question
from dafnet_plugin.errors import ConfigError
from dafnet_plugin.network import NetworkConfig
from dafnet_plugin.tokens import TokenBatch


@dataclass(frozen=True)
class Memory:
    """What is remembered of the edits so far.

    Attributes:
        representations: of each module, of each layer [edits, d].
        weights, biases: accumulated updates of each module, [d_in, d_out] and [d_out].
    """

    representations: list[list[Tensor]]
    weights: list[Tensor]
    biases: list[Tensor]


class ReferenceLike:
    """A model with a plain DAFNet beside it.

    Args:
        model: is edited; the copy that signals are taken from is made here.
        names: of the modules to be edited.
        dafnet: one of ours, as published; its values are copied.
        batch_size: edits of a forward pass for signals.

    Raises:
        ConfigError: ``dafnet`` is not as published.
    """

    def __init__(
        self, model: nn.Module, names: Sequence[str], dafnet: DAFNet, batch_size: int = 8
    ) -> None:
        self.model, self.original = model, copy.deepcopy(model)
        for parameter in model.parameters():
            parameter.requires_grad_(False)
        self.modules, self.sources = (find_edit_modules(m, names) for m in (model, self.original))
        shapes, self.edit_bias = dafnet.shapes, dafnet.edit_bias
        # The place of each module among those of its shape.
        self.indices = [shapes[:number].count(shape) for number, shape in enumerate(shapes)]
        self.batch_size = batch_size
        config = _published(dafnet)
        self.networks = nn.ModuleDict()
        for number, (d_in, d_out) in enumerate(dafnet.shapes):
            if (key := f"{d_in}x{d_out}") not in self.networks:
                count = dafnet.shapes.count((d_in, d_out))
                self.networks[key] = PlainNetwork(d_in + d_out, count, config)
                self.networks[key].load_state_dict(dafnet.network_of(number).state_dict())
        self.networks.train(dafnet.training)
        self.edit_lrs = nn.Parameter(dafnet.edit_lrs.detach().clone())
        self.memory: Memory | None = None

    def parameters(self) -> list[nn.Parameter]:
        """What is meta-trained."""
        return [*self.networks.parameters(), self.edit_lrs]

    # -- signals ------------------------------------------------------------------------------

    def signals(self, edits: TokenBatch) -> list[Rows]:
        """Rows of each module for a batch of edits, taken from the second copy of the model."""
        parts = [self._some(some) for some in _batches(edits, self.batch_size)]
        return [
            (torch.cat([rows for rows, _ in of]), torch.cat([counts for _, counts in of]))
            for of in zip(*parts, strict=True)
        ]

    def _some(self, edits: TokenBatch) -> list[Rows]:
        inputs: dict[int, Tensor] = {}
        deltas: dict[int, Tensor] = {}

        def keep(number: int, x: Tensor, output: Tensor) -> None:
            inputs[number] = x.detach()
            output.register_hook(lambda gradient: deltas.__setitem__(number, gradient))

        handles = [
            m.module.register_forward_hook(lambda _, x, out, n=n: keep(n, x[0], out))
            for n, m in enumerate(self.sources)
        ]
        with torch.enable_grad():
            nll = -_masked_sum(_log_likelihood(_logits(self.original, edits), edits.labels), edits)
            nll.backward()
        for handle in handles:
            handle.remove()
        self.original.zero_grad()  # computed, and of no use
        found = []
        for number in range(len(self.sources)):
            x, delta = inputs[number], deltas[number]
            kept = (x != 0).any(-1) & (delta != 0).any(-1) & edits.attention_mask.bool()
            found.append((torch.cat([x[kept], delta[kept]], 1), kept.sum(1)))
        return found

    # -- editing ------------------------------------------------------------------------------

    def fuse(self, signals: Sequence[Rows], past: Memory | None) -> Memory:
        """The running mean of the updates of past and new edits."""
        made = []
        for number, (edit_module, rows) in enumerate(zip(self.modules, signals, strict=True)):
            network = self.networks[f"{edit_module.d_in}x{edit_module.d_out}"]
            assert isinstance(network, PlainNetwork)  # nothing else is in there
            none = [rows[0].new_zeros(0, rows[0].shape[1])] * len(network.layers)
            before = past.representations[number] if past else none
            z, representations, update_scale, past_scale = network(
                rows, self.indices[number], before
            )
            x, delta = z.split([edit_module.d_in, edit_module.d_out], -1)
            share = (update_scale / rows[1].clamp_min(1))[:, None, None]
            weight = self.edit_lrs[number] * torch.einsum("eti,eto->io", x, delta * share)
            bias = self.edit_lrs[number] * (delta * share).sum((0, 1))
            if past is not None:
                weight = past_scale * past.weights[number] + weight
                bias = past_scale * past.biases[number] + bias
            made.append((representations, weight, bias))
        return Memory(*(list(part) for part in zip(*made)))

    @torch.no_grad()
    def edit(self, edits: TokenBatch) -> None:
        """Make edits on top of those so far; :meth:`edited` shows them."""
        self.memory = self.fuse(self.signals(edits), self.memory)

    @contextmanager
    def edited(self, memory: Memory) -> Iterator[None]:
        """Each edited module adds what its update makes of its input."""

        def add(number: int, x: Tensor, output: Tensor) -> Tensor:
            output = output + x @ memory.weights[number]
            return output + memory.biases[number] if self.edit_bias else output

        handles = [
            m.module.register_forward_hook(lambda _, x, out, n=n: add(n, x[0], out))
            for n, m in enumerate(self.modules)
        ]
        try:
            yield
        finally:
            for handle in handles:
                handle.remove()

    # -- meta-training ------------------------------------------------------------------------

    def training_step(self, edits: TokenBatch, questions: Sequence[Question]) -> dict[str, float]:
        """Accumulate the gradients of the weighted losses; returns these by name."""
        memory = self.fuse(self.signals(edits), None)
        tokens: dict[str, int] = {}
        for question in questions:
            scored = int(question.batch.scored.sum())
            tokens[question.name] = tokens.get(question.name, 0) + scored
        losses = dict.fromkeys(tokens, 0.0)
        with self.edited(memory):
            for question in questions:
                total = question_loss(self.model, self.original, question)
                loss = question.weight / tokens[question.name] * total
                loss.backward(retain_graph=True)  # through the network, every time
                losses[question.name] += loss.item()
        return losses


def question_loss(model: nn.Module, original: nn.Module, question: Question) -> Tensor:
    """Loss of the edited model summed over the positions that count, in nats."""
    after = _logits(model, question.batch)
    if question.compares:
        with torch.no_grad():
            before = _logits(original, question.batch)
        every = _divergence(before, after)
    else:
        every = -_log_likelihood(after, question.batch.labels)
    return _masked_sum(every, question.batch)


def _published(dafnet: DAFNet) -> NetworkConfig:
    config, kind = dafnet.network_of(0).config, dafnet.fusion.kind
    wanted = ("running_mean", "exact_batch_norm", "paper", "paper")
    if (given := (kind, config.normaliser, config.block, config.gate)) != wanted:
        raise ConfigError(
            f"fusion.kind, network.normaliser, network.block, network.gate: {given}; allowed in "
            f"the published algorithm: {wanted}"
        )
    return config


def _logits(model: Any, batch: TokenBatch) -> Tensor:
    """At every position: [texts, length, vocabulary]."""
    logits: Tensor = model(
        input_ids=batch.input_ids, attention_mask=batch.attention_mask, use_cache=False
    ).logits
    return logits.float()


def _log_likelihood(logits: Tensor, labels: Tensor) -> Tensor:
    """Of the label at every position [texts, length], in nats."""
    return logits.log_softmax(-1).gather(-1, labels.clamp_min(0)[..., None]).squeeze(-1)


def _divergence(before: Tensor, after: Tensor) -> Tensor:
    """KL(before || after) at every position [texts, length], in nats."""
    before, after = before.log_softmax(-1), after.log_softmax(-1)
    return (before.exp() * (before - after)).sum(-1)


def _masked_sum(every: Tensor, batch: TokenBatch) -> Tensor:
    """Sum of what is known of every position over those that count."""
    return (every * batch.scored).sum()


def _batches(batch: TokenBatch, size: int) -> Iterator[TokenBatch]:
    for start in range(0, len(batch.labels), size):
        part = slice(start, start + size)
        yield TokenBatch(batch.input_ids[part], batch.attention_mask[part], batch.labels[part])
