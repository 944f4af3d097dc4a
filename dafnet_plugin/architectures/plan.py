"""How large a DAFNet for some model is, and the memory it takes: counted, not estimated.

Everything is built on the meta device and its tensors are counted. What depends on the length of
texts (activations, logits) and what consolidation works with are not in these numbers.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from dafnet_plugin.editing.dafnet import DAFNet
from dafnet_plugin.editing.modules import EditModule, linear_shape
from dafnet_plugin.training.build import fusion_config, network_config

FLOAT32 = 4
"""Bytes of a number of DAFNet, whatever the precision of the model is."""


@dataclass(frozen=True)
class Plan:
    """Sizes of a DAFNet and of what it keeps, in bytes unless said otherwise.

    Attributes:
        network_parameters: count, in the auxiliary networks.
        model: the base model's weights.
        network: the auxiliary networks' parameters and what their normalisers know.
        statistics: key moments and their whiteners (``least_squares`` only).
        originals: the unedited weights of the edited modules.
        updates: accumulated weight changes of one sequence of edits.
        covariances: what ``least_squares`` keeps beside them; not while training.
        edit: what the networks remember of each edit.
        optimiser: gradients and Adam's two moments while training.
        token: gradient signals of one token, all modules; training keeps those of every case.
    """

    network_parameters: int
    model: int
    network: int
    statistics: int
    originals: int
    updates: int
    covariances: int
    edit: int
    optimiser: int
    token: int

    def editing(self, edits: int) -> int:
        """Beside the model, while a sequence has so many edits: old and new state at once."""
        fixed = self.network + self.statistics + self.originals
        return fixed + 2 * (self.updates + self.covariances + edits * self.edit)

    def training(self, tokens: int) -> int:
        """Beside the model, with training requests of so many tokens together."""
        fixed = self.network + self.statistics + self.optimiser
        return fixed + 2 * self.updates + tokens * self.token  # updates and their gradients


def plan_for(hparams: Any, model: nn.Module, modules: Sequence[EditModule]) -> Plan:
    """Count what editing or training with these hyper-parameters needs.

    Args:
        hparams: of editing or of training.
        model: the base model, on any device; the meta device will do.
        modules: its modules to be edited.
    """
    network = network_config(hparams)
    with torch.device("meta"):
        dafnet = DAFNet(
            [m.shape for m in modules], network, fusion_config(hparams), hparams.edit_bias
        )
    squares = sum(m.d_in**2 for m in modules) if hparams.fusion.kind == "least_squares" else 0
    weights = sum(m.d_in * m.d_out for m in modules)
    biases = sum(m.d_out for m in modules) if hparams.edit_bias else 0
    kept = 2 * network.inter_heads * network.inter_dim + network.gate_heads * network.gate_dim
    return Plan(
        network_parameters=sum(p.numel() for p in dafnet.networks.parameters()),
        model=_model_bytes(hparams, model, weights),
        network=_bytes(dafnet) - FLOAT32 * squares,  # key moments are buffers of the DAFNet, too
        statistics=2 * FLOAT32 * squares,
        originals=(weights + biases) * (FLOAT32 if hparams.quantise else bytes_per_weight(hparams)),
        updates=FLOAT32 * (weights + biases),
        covariances=FLOAT32 * squares,
        edit=FLOAT32 * kept * network.layers * len(modules),
        optimiser=3 * FLOAT32 * _count(dafnet.parameters()),
        token=FLOAT32 * sum(m.d_in + m.d_out for m in modules),
    )


def bytes_per_weight(hparams: Any) -> int:
    """Bytes of a weight in the precision the base model is loaded in."""
    half = hparams.fp16 or hparams.dtype in ("bfloat16", "float16")
    return 2 if half else 4


def _model_bytes(hparams: Any, model: nn.Module, edited: int) -> int:
    """The base model's weights; of a quantised one with its scales and so many side weights."""
    plain = _count(model.parameters())
    if not hparams.quantise:
        return plain * bytes_per_weight(hparams)
    head = model.get_output_embeddings()  # type: ignore[operator]  # the only one not quantised
    shapes = [linear_shape(module) for module in model.modules() if module is not head]
    linear = [shape for shape in shapes if shape is not None]
    few_bits = sum(d_in * d_out for d_in, d_out in linear)
    if hparams.quantise == "8bit":  # one scale a row
        quantised = few_bits + FLOAT32 * sum(d_out for _, d_out in linear)
    else:  # one scale for each block of 64
        blocks = sum(-(-d_in * d_out // 64) for d_in, d_out in linear)
        quantised = few_bits // 2 + FLOAT32 * blocks
    return quantised + (plain - few_bits) * bytes_per_weight(hparams) + FLOAT32 * edited


def _count(tensors: Any) -> int:
    return sum(tensor.numel() for tensor in tensors)


def _bytes(module: nn.Module) -> int:
    tensors: list[Tensor] = [*module.parameters(), *module.buffers()]
    return sum(tensor.numel() * tensor.element_size() for tensor in tensors)


def readable(size: int) -> str:
    """A number of bytes with its unit: ``812 MiB``, ``1.3 GiB``."""
    for unit, step in (("GiB", 2**30), ("MiB", 2**20), ("KiB", 2**10)):
        if size >= step:
            value = size / step
            return f"{value:.1f} {unit}" if value < 10 else f"{value:.0f} {unit}"
    return f"{size} B"


def readable_count(count: int) -> str:
    """A number of parameters with its unit: ``30.7 M``."""
    for unit, step in (("G", 10**9), ("M", 10**6), ("k", 10**3)):
        if count >= step:
            value = count / step
            return f"{value:.2f} {unit}" if unit == "G" else f"{value:.1f} {unit}"
    return str(count)
