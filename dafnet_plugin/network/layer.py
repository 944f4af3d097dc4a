"""One layer of the auxiliary network: as published, and a form that starts as the identity."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from dafnet_plugin.network.attention import (
    InterEditingAttention,
    IntraEditingAttention,
    ScaleAttention,
)
from dafnet_plugin.network.config import NetworkConfig
from dafnet_plugin.network.segments import Layout, segment_sum


@dataclass(frozen=True)
class LayerState:
    """What a layer remembers of past edits: projected once, never recomputed.

    Attributes:
        keys, values: [modules, inter_heads, edits, inter_dim] of inter-editing attention.
        gate_keys: [modules, gate_heads, edits, gate_dim] of the scale attention.
    """

    keys: Tensor
    values: Tensor
    gate_keys: Tensor


@dataclass(frozen=True)
class LayerOutput:
    """Rows [tokens, d], gates [modules, new], representations [modules, new, d], grown state."""

    rows: Tensor
    gates: Tensor
    representations: Tensor
    state: LayerState


class Layer(nn.Module):
    """The published layer: layer norm after each branch, ReLU of the affine added at the end."""

    def __init__(self, dim: int, modules: int, config: NetworkConfig) -> None:
        super().__init__()
        self.detach_gates = config.gate == "paper"
        self.intra = IntraEditingAttention(dim, config.intra_dim)
        self.inter = InterEditingAttention(dim, config.inter_dim, config.inter_heads)
        self.scale_attention = ScaleAttention(dim, config.gate_dim, config.gate_heads)
        self.ffn_in, self.ffn_out = nn.Linear(dim, config.ffn_dim), nn.Linear(config.ffn_dim, dim)
        self.norm_intra, self.norm_inter, self.norm_ffn = (nn.LayerNorm(dim) for _ in range(3))
        self.module_scale = nn.Embedding(modules, dim)
        self.module_shift = nn.Embedding(modules, dim)
        nn.init.ones_(self.module_scale.weight)
        nn.init.zeros_(self.module_shift.weight)

    def forward(self, z: Tensor, layout: Layout, past: LayerState | None) -> LayerOutput:
        """Let the tokens of each edit, then the edits of each module's sequence, interact.

        Args:
            z: rows [tokens, d], grouped by module and edit.
            layout: which module and edit each row is of.
            past: state after the edits before, or None.
        """
        weights, transformed = self.intra(z, layout.segment, layout.segments)
        attended = weights * transformed
        new = layout.by_module(segment_sum(attended, layout.segment, layout.segments))
        z = self.norm_intra(z + attended)

        gathered, gates, state = self.among_edits(new, past)
        z = self.norm_inter(z + gathered.flatten(0, 1).index_select(0, layout.segment))

        z = self.norm_ffn(z + self.feed_forward(z))
        return LayerOutput(self.affine(z, layout).relu() + z, gates, new, state)

    def among_edits(
        self, new: Tensor, past: LayerState | None
    ) -> tuple[Tensor, Tensor, LayerState]:
        """Inter-editing and scale attention of representations [modules, new, d].

        Returns:
            what each edit gathers [modules, new, d], its gate [modules, new], the grown state.
        """
        state = LayerState(
            self.inter.keys(new), self.inter.values(new), self.scale_attention.keys(new)
        )
        if past is not None:
            state = LayerState(
                torch.cat([past.keys, state.keys], -2),
                torch.cat([past.values, state.values], -2),
                torch.cat([past.gate_keys, state.gate_keys], -2),
            )
        gates = self.scale_attention(new, state.gate_keys)
        if self.detach_gates:
            gates = gates.detach()
        return self.inter(new, state.keys, state.values), gates, state

    def feed_forward(self, z: Tensor) -> Tensor:
        """Two-layer perceptron on rows [tokens, d]."""
        return self.ffn_out(self.ffn_in(z).relu())

    def affine(self, z: Tensor, layout: Layout) -> Tensor:
        """Scale and shift rows [tokens, d] by what is learned for the module of each."""
        scale, shift = self.module_scale(layout.modules), self.module_shift(layout.modules)
        if len(layout.modules) > 1:
            scale, shift = (one.index_select(0, layout.module) for one in (scale, shift))
        return z * scale + shift


class ResidualLayer(Layer):
    """The same branches with the norm before each, all starting at zero: the identity at first.

    A departure from the paper. A layer that begins as the identity makes an untrained network
    equal to gradient descent in normalised coordinates, from where training is short.
    """

    def __init__(self, dim: int, modules: int, config: NetworkConfig) -> None:
        super().__init__(dim, modules, config)
        last_of_transform = self.intra.transform[2]
        for last in (last_of_transform, self.inter.output, self.ffn_out):
            for parameter in last.parameters():
                nn.init.zeros_(parameter)

    def forward(self, z: Tensor, layout: Layout, past: LayerState | None) -> LayerOutput:
        """As :meth:`Layer.forward`; representations pool the normalised rows as well."""
        normed = self.norm_intra(z)
        weights, transformed = self.intra(normed, layout.segment, layout.segments)
        pooled = segment_sum(weights * (normed + transformed), layout.segment, layout.segments)
        new = layout.by_module(pooled)
        z = z + weights * transformed

        gathered, gates, state = self.among_edits(self.norm_inter(new), past)
        z = z + gathered.flatten(0, 1).index_select(0, layout.segment)

        z = z + self.feed_forward(self.norm_ffn(z))
        return LayerOutput(self.affine(z, layout), gates, new, state)
