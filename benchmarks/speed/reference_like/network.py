"""The auxiliary network on padded edits, every key and value projected in every call."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn

from dafnet_plugin.network import NetworkConfig

Rows = tuple[Tensor, Tensor]
"""Rows ``[x; delta]`` of one module [tokens, d], grouped by edit, and how many each edit has."""


class Normaliser(nn.Module):
    """Subtracts the mean of all rows seen in training, divides by their standard deviation."""

    mean: Tensor
    var: Tensor
    std: Tensor
    k: Tensor
    eps: Tensor

    def __init__(self, dim: int) -> None:
        super().__init__()
        for name, value in (("mean", 0.0), ("var", 0.0), ("std", 1.0)):
            self.register_buffer(name, torch.full((dim,), value))
        self.register_buffer("k", torch.tensor(0))
        self.register_buffer("eps", torch.tensor(1e-8))

    def forward(self, rows: Tensor) -> Tensor:
        """Normalise rows [tokens, d]; in training they count themselves."""
        if self.training:
            self._count(rows.detach())
        return (rows - self.mean) / (self.std + self.eps)

    def _count(self, rows: Tensor) -> None:
        seen, total = self.k, self.k + len(rows)
        mean = (self.mean * seen + rows.sum(0)) / total
        squares = self.var * (seen - 1).clamp_min(0) + seen * (self.mean - mean) ** 2
        squares = squares + ((rows - mean) ** 2).sum(0)
        self.mean, self.k = mean, total
        if total > 1:
            self.var = squares / (total - 1)
            self.std = self.var.sqrt()


class Attention(nn.Module):
    """Linear maps of one attention among edits; ``value`` and ``output`` where it gathers."""

    def __init__(self, dim: int, head_dim: int, heads: int, gathers: bool) -> None:
        super().__init__()
        self.heads, inner = heads, head_dim * heads
        self.query, self.key = nn.Linear(dim, inner), nn.Linear(dim, inner)
        if gathers:
            self.value, self.output = nn.Linear(dim, inner), nn.Linear(inner, dim)

    def split(self, rows: Tensor) -> Tensor:
        """[edits, heads * head_dim] to [heads, edits, head_dim]."""
        return rows.reshape(len(rows), self.heads, -1).permute(1, 0, 2)

    def weights(self, new: Tensor, everything: Tensor) -> Tensor:
        """How much each new edit [new, d] looks at each edit so far: [heads, new, all]."""
        query, key = self.split(self.query(new)), self.split(self.key(everything))
        scores = torch.einsum("hnd,had->hna", query, key) / math.sqrt(query.shape[-1])
        place = torch.arange(len(everything)) - (len(everything) - len(new))
        unseen = place[None, :] > torch.arange(len(new))[:, None]  # [new, all]
        return scores.masked_fill(unseen, -torch.inf).softmax(-1)

    def forward(self, new: Tensor, everything: Tensor) -> Tensor:
        """What each new edit gathers: [new, d]."""
        value = self.split(self.value(everything))
        gathered = torch.einsum("hna,had->nhd", self.weights(new, everything), value)
        return self.output(gathered.reshape(len(new), -1))


class Intra(nn.Module):
    """The two perceptrons of attention among the tokens of an edit."""

    def __init__(self, dim: int, hidden: int) -> None:
        super().__init__()
        self.transform, self.score = (
            nn.Sequential(nn.Linear(dim, hidden), nn.ReLU(), nn.Linear(hidden, width))
            for width in (dim, 1)
        )


class Layer(nn.Module):
    """One layer on padded rows."""

    def __init__(self, dim: int, modules: int, config: NetworkConfig) -> None:
        super().__init__()
        self.intra = Intra(dim, config.intra_dim)
        self.inter = Attention(dim, config.inter_dim, config.inter_heads, True)
        self.scale_attention = Attention(dim, config.gate_dim, config.gate_heads, False)
        self.ffn_in, self.ffn_out = nn.Linear(dim, config.ffn_dim), nn.Linear(config.ffn_dim, dim)
        self.norm_intra, self.norm_inter, self.norm_ffn = (nn.LayerNorm(dim) for _ in range(3))
        self.module_scale = nn.Embedding(modules, dim)
        self.module_shift = nn.Embedding(modules, dim)

    def forward(
        self, z: Tensor, there: Tensor, module_index: int, past: Tensor
    ) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Rows, representations of all edits so far, and the scales.

        Args:
            z: [edits, longest, d] rows of the new edits.
            there: [edits, longest, 1], which of them are rows and not padding.
            past: [past, d] representations.
        """
        a = self.intra.transform(z)
        scores = self.intra.score(a).masked_fill(~there, torch.finfo(z.dtype).min)
        weighted = scores.softmax(1) * there * a  # [edits, longest, d]
        r = weighted.sum(1)  # [edits, d]
        z = self.norm_intra(z + weighted)

        everything = torch.cat([past, r])
        z = self.norm_inter(z + self.inter(r, everything)[:, None])

        weights = self.scale_attention.weights(r, everything).mean(0)  # [edits, all]
        gates = weights[torch.arange(len(r)), torch.arange(len(past), len(everything))].detach()
        left = 1 - gates
        later = torch.ones(len(r), len(r), dtype=torch.bool).triu(1)
        update_scale = gates * left.expand_as(later).masked_fill(~later, 1.0).prod(1)

        z = self.norm_ffn(z + self.ffn_out(self.ffn_in(z).relu()))
        index = torch.tensor(module_index)
        h = z * self.module_scale(index) + self.module_shift(index)
        return h.relu() + z, everything, update_scale, left.prod()


class PlainNetwork(nn.Module):
    """The auxiliary network for the modules of one shape, see :class:`AuxiliaryNetwork`."""

    def __init__(self, dim: int, modules: int, config: NetworkConfig) -> None:
        super().__init__()
        self.normaliser = Normaliser(dim)
        self.layers = nn.ModuleList(Layer(dim, modules, config) for _ in range(config.layers))

    def forward(
        self, rows: Rows, module_index: int, past: Sequence[Tensor]
    ) -> tuple[Tensor, list[Tensor], Tensor, Tensor]:
        """Rows [edits, longest, d] with zeros for padding, representations, and the scales."""
        z, there = padded(self.normaliser(rows[0]), rows[1])
        representations, update_scales, past_scales = [], [], []
        for layer, before in zip(self.layers, past):
            z, everything, update_scale, past_scale = layer(z, there, module_index, before)
            representations.append(everything)
            update_scales.append(update_scale)
            past_scales.append(past_scale)
        scales = torch.stack(update_scales).mean(0), torch.stack(past_scales).mean()
        return z * there, representations, *scales


def padded(rows: Tensor, tokens_per_edit: Tensor) -> tuple[Tensor, Tensor]:
    """Rows [tokens, d] as [edits, longest, d], and which of those are rows [.., .., 1]."""
    parts = rows.split(tokens_per_edit.tolist())
    z = nn.utils.rnn.pad_sequence(list(parts), batch_first=True)
    there = torch.arange(z.shape[1])[None] < tokens_per_edit[:, None]
    return z, there[..., None]
