"""The three attentions of DAFNet: within an edit, between edits, and the scale attention."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from dafnet_plugin.network.segments import segment_softmax


class IntraEditingAttention(nn.Module):
    """Attention among the tokens of one edit (paper section 3.2, intra-editing attention).

    ``a = MLP1(z)``; score ``s = MLP2(a)``; weights are the softmax of s over the edit's tokens.
    """

    def __init__(self, dim: int, hidden: int) -> None:
        super().__init__()
        self.transform = nn.Sequential(nn.Linear(dim, hidden), nn.ReLU(), nn.Linear(hidden, dim))
        self.score = nn.Sequential(nn.Linear(dim, hidden), nn.ReLU(), nn.Linear(hidden, 1))

    def forward(self, z: Tensor, segment: Tensor, edits: int) -> tuple[Tensor, Tensor]:
        """Return the weights [tokens, 1] and the transformed rows ``a`` [tokens, d]."""
        transformed = self.transform(z)
        return segment_softmax(self.score(transformed), segment, edits), transformed


class CausalHeads(nn.Module):
    """Queries and keys of the edits of a sequence, split in heads, later edits unseen."""

    def __init__(self, dim: int, head_dim: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.query = nn.Linear(dim, head_dim * heads)
        self.key = nn.Linear(dim, head_dim * heads)

    def split(self, rows: Tensor) -> Tensor:
        """[..., edits, heads * head_dim] -> [..., heads, edits, head_dim]."""
        return rows.unflatten(-1, (self.heads, -1)).transpose(-3, -2)

    def keys(self, representations: Tensor) -> Tensor:
        """Keys [..., heads, new, head_dim] of representations [..., new, d]."""
        return self.split(self.key(representations))

    def weights(self, representations: Tensor, keys: Tensor) -> Tensor:
        """Attention weights of the newest edits over all edits.

        Args:
            representations: [..., new, d] of the newest edits.
            keys: [..., heads, past + new, head_dim].

        Returns:
            [..., heads, new, past + new]; row i is zero after column past + i.
        """
        query = self.split(self.query(representations))  # [..., heads, new, head_dim]
        logits = query @ keys.transpose(-1, -2) / math.sqrt(query.shape[-1])
        new, total = logits.shape[-2:]
        later = torch.ones(new, total, dtype=torch.bool, device=logits.device).triu(total - new + 1)
        return logits.masked_fill(later, -torch.inf).softmax(-1)


class InterEditingAttention(CausalHeads):
    """Causal multi-head attention among the edits of a sequence (inter-editing attention)."""

    def __init__(self, dim: int, head_dim: int, heads: int) -> None:
        super().__init__(dim, head_dim, heads)
        self.value = nn.Linear(dim, head_dim * heads)
        self.output = nn.Linear(head_dim * heads, dim)

    def values(self, representations: Tensor) -> Tensor:
        """Values [..., heads, new, head_dim] of representations [..., new, d]."""
        return self.split(self.value(representations))

    def forward(self, representations: Tensor, keys: Tensor, values: Tensor) -> Tensor:
        """Return what each new edit gathers: [..., new, d]; keys and values cover past and new."""
        gathered = self.weights(representations, keys) @ values  # [..., heads, new, head_dim]
        return self.output(gathered.transpose(-3, -2).flatten(-2))


class ScaleAttention(CausalHeads):
    """How much each edit counts: its own weight among itself and all edits before it."""

    def forward(self, representations: Tensor, keys: Tensor) -> Tensor:
        """Return the gates [..., new]: attention of each new edit to itself, mean over heads."""
        weights = self.weights(representations, keys).mean(-3)  # [..., new, past + new]
        new, total = weights.shape[-2:]
        return weights.diagonal(total - new, -2, -1)


def scales_of_gates(gates: Tensor) -> tuple[Tensor, Tensor]:
    """Turn gates into the share of each edit and of everything before.

    Args:
        gates: [..., edits] in [0, 1].

    Returns:
        update_scale [..., edits]: ``g_e * prod over later e' of (1 - g_e')``;
        past_update_scale [...]: product of ``1 - g_e`` over all edits.
    """
    kept = torch.cat([1 - gates, torch.ones_like(gates[..., :1])], dim=-1)
    suffix = kept.flip(-1).cumprod(-1).flip(-1)  # suffix[e] = prod of (1 - g) from e on
    return gates * suffix[..., 1:], suffix[..., 0]
