"""The auxiliary network: gradient signals of edits in, transformed signals and scales out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from dafnet_plugin.network.attention import scales_of_gates
from dafnet_plugin.network.config import NetworkConfig
from dafnet_plugin.network.layer import Layer, LayerState, ResidualLayer
from dafnet_plugin.network.normaliser import build_normaliser
from dafnet_plugin.network.segments import Layout, edit_of_token

NetworkState = tuple[LayerState, ...]

RECOMPUTED = 2**24
"""Numbers in the rows of a training step from which layers are computed again in the backward pass:
what a layer holds of each number for that otherwise takes some 40 bytes."""


@dataclass(frozen=True)
class NetworkOutput:
    """What the network says about the newest edits of one module.

    Attributes:
        normalised: [tokens, d_in + d_out], the rows that entered the first layer.
        x: [tokens, d_in], transformed module inputs.
        delta: [tokens, d_out], transformed loss gradients at the module's output.
        segment: [tokens], the edit of each row.
        update_scale: [new], the share of each new edit.
        past_update_scale: [], the share that everything before keeps.
        representations: one [new, d] a layer.
    """

    normalised: Tensor
    x: Tensor
    delta: Tensor
    segment: Tensor
    update_scale: Tensor
    past_update_scale: Tensor
    representations: tuple[Tensor, ...]

    def to(self, device: torch.device) -> NetworkOutput:
        """What becomes the update, on another device; representations stay."""
        return replace(
            self,
            normalised=self.normalised.to(device),
            x=self.x.to(device),
            delta=self.delta.to(device),
            segment=self.segment.to(device),
            update_scale=self.update_scale.to(device),
            past_update_scale=self.past_update_scale.to(device),
        )

    def full(self) -> NetworkOutput:
        """What becomes the update, in float32 at least; autocast may have left less."""
        return replace(
            self,
            normalised=_full(self.normalised),
            x=_full(self.x),
            delta=_full(self.delta),
            update_scale=_full(self.update_scale),
            past_update_scale=_full(self.past_update_scale),
        )


def _full(tensor: Tensor) -> Tensor:
    return tensor.float() if tensor.dtype in (torch.bfloat16, torch.float16) else tensor


class AuxiliaryNetwork(nn.Module):
    """Transforms the gradient signals of all edited modules of one shape.

    Args:
        d_in, d_out: input and output width of the edited modules.
        modules: how many modules of this shape share the network.
        config: sizes and variants.
    """

    def __init__(self, d_in: int, d_out: int, modules: int, config: NetworkConfig) -> None:
        super().__init__()
        self.d_in, self.d_out, self.config = d_in, d_out, config
        dim = d_in + d_out
        self.normaliser = build_normaliser(config.normaliser, dim)
        block = ResidualLayer if config.block == "residual" else Layer
        self.layers = nn.ModuleList(block(dim, modules, config) for _ in range(config.layers))

    def forward(
        self,
        z: Sequence[Tensor],
        tokens_per_edit: Sequence[Tensor],
        modules: Sequence[int],
        past: NetworkState | None = None,
    ) -> tuple[list[NetworkOutput], NetworkState]:
        """Transform the rows of new edits in the light of past ones, of several modules at once.

        Args:
            z: one [tokens, d_in + d_out] a module: rows ``[x; delta]``, grouped by edit, in
                sequence order. Modules do not see each other.
            tokens_per_edit: one [new] a module, rows of each edit; zeros are allowed.
            modules: indices of the modules among those of this shape.
            past: the state that the call before returned for the same modules, None at the start
                of a sequence.

        Returns:
            what it says, one a module; the state, to be passed with the next edits.
        """
        segments = [edit_of_token(lengths, len(rows)) for lengths, rows in zip(tokens_per_edit, z)]
        layout = Layout.of(segments, modules, len(tokens_per_edit[0]))
        # One after the other: some normalisers count rows in before they normalise them.
        normalised = [self.normaliser(rows) for rows in z]
        rows, outputs = torch.cat(normalised), []
        for depth, layer in enumerate(self.layers):
            given = (rows, layout, past[depth] if past else None)
            if rows.numel() >= RECOMPUTED and torch.is_grad_enabled():
                outputs.append(checkpoint(layer, *given, use_reentrant=False))
            else:
                outputs.append(layer(*given))
            rows = outputs[-1].rows
        update_scales, past_update_scales = self._scales([output.gates for output in outputs])
        found = [
            NetworkOutput(
                normalised[number],
                of_module[:, : self.d_in],
                of_module[:, self.d_in :],
                segments[number],
                update_scales[number],
                past_update_scales[number],
                tuple(output.representations[number] for output in outputs),
            )
            for number, of_module in enumerate(rows.split([len(one) for one in z]))
        ]
        return found, tuple(output.state for output in outputs)

    def _scales(self, gates: list[Tensor]) -> tuple[Tensor, Tensor]:
        stacked = torch.stack(gates)  # [layers, modules, new]
        if self.config.gate == "consistent":
            return scales_of_gates(stacked.mean(0))
        update_scale, past_update_scale = scales_of_gates(stacked)
        return update_scale.mean(0), past_update_scale.mean(0)
