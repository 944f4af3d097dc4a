"""The hypernetwork of KnowledgeEditor (paper section 3.3).

It reads an edit request (prompt, what the model says now, what it shall say) with a bidirectional
LSTM, and says for each edited matrix how its gradient G becomes an update:

    update = step * sigmoid(eta) * ((softmax(alpha) gamma^T) * G + softmax(beta) delta^T)

The mask and the shift have rank 1, so with ``G = sum over tokens of x delta^T`` the update has
one rank a token and one more. Softmax weights are scaled to have mean 1 (mask) or a norm of about
1 (shift), and G to have a norm of about 1 on training edits, so that widths do not matter. The
shift may be scaled by that norm, so that an update vanishes with the gradient: a model that is
right already is left alone.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn.utils.rnn import pack_padded_sequence, pad_sequence

from dafnet_plugin.editing.dafnet import SequenceState
from dafnet_plugin.editing.fusion import FusionState
from dafnet_plugin.editing.signals import Signal

PARTS = ("prompt", "old target", "new target")


@dataclass(frozen=True)
class HypernetworkConfig:
    """Sizes, see :class:`dafnet_plugin.methods.ke.hparams.HypernetworkSection`."""

    lstm_dim: int = 128
    summary_dim: int = 256
    step: float = 1.0
    shift: Literal["scaled", "free"] = "scaled"


class KnowledgeEditor(nn.Module):
    """The meta-trained part of the method.

    Args:
        shapes: (d_in, d_out) of each edited matrix.
        embedding_dim: width of the base model's token embeddings.
        config: sizes.

    Attributes:
        multiplier, margin, success: of the constraint in training, kept to go on from.
    """

    multiplier: Tensor
    margin: Tensor
    success: Tensor
    gradient_norms: Tensor

    def __init__(
        self, shapes: Sequence[tuple[int, int]], embedding_dim: int, config: HypernetworkConfig
    ) -> None:
        super().__init__()
        self.shapes, self.embedding_dim, self.config = tuple(shapes), embedding_dim, config
        self.part = nn.Embedding(len(PARTS), embedding_dim)
        nn.init.normal_(self.part.weight, std=0.02)
        self.lstm = nn.LSTM(embedding_dim, config.lstm_dim, batch_first=True, bidirectional=True)
        self.summary = nn.Sequential(nn.Linear(2 * config.lstm_dim, config.summary_dim), nn.Tanh())
        self.gates = nn.ModuleList(Gates(config.summary_dim, *shape) for shape in self.shapes)
        self.steps = nn.Parameter(torch.full((len(self.shapes),), config.step))
        self.register_buffer("gradient_norms", torch.ones(len(self.shapes)))
        for name in ("multiplier", "margin", "success"):
            self.register_buffer(name, torch.zeros(()))

    @torch.no_grad()
    def normalise_on(self, signals: Sequence[Signal]) -> None:
        """Fix the size of a typical gradient of each matrix from training signals."""
        for number, signal in enumerate(signals[: len(self.shapes)]):
            typical = _norms(signal).square().mean().sqrt() if len(signal.tokens_per_edit) else 0.0
            self.gradient_norms[number] = max(float(typical), 1e-12)

    def forward(self, signals: Sequence[Signal], past: None = None) -> SequenceState:
        """Updates for some requests, added up; each depends on its own request only.

        A model may be spread over devices: an update is where its signal is, the network may be
        elsewhere.

        Args:
            signals: one a matrix, and the requests as :func:`request_rows` gives them.
            past: there is no memory of earlier edits.

        Returns:
            a state whose ``updates`` [d_in, d_out], one a matrix, are differentiable.
        """
        here = self.steps.device
        *gradients, requests = (signal.to(here) for signal in signals)
        summary = self.summaries(requests)
        updates = []
        for number, (signal, gates) in enumerate(zip(gradients, self.gates, strict=True)):
            mask_in, mask_out, shift_in, shift_out, gate = gates(summary)
            edit = _edit_of(signal)
            x = signal.x * mask_in[edit]  # [tokens, d_in]
            delta = signal.delta * (gate * mask_out)[edit] / self.gradient_norms[number]
            shift = gate * shift_out  # [edits, d_out]
            if self.config.shift == "scaled":
                shift = shift * (_norms(signal) / self.gradient_norms[number])[:, None]
            # The step goes down the gradient; the shift has no sign of its own.
            update = -(x.T @ delta) + shift_in.T @ shift
            update = (self.steps[number] * update).to(signals[number].x.device)
            updates.append(FusionState(update, None, None))
        return SequenceState(len(requests.tokens_per_edit), (), tuple(updates))

    def summaries(self, requests: Signal) -> Tensor:
        """[edits, summary_dim] of requests, see :func:`request_rows`."""
        rows = requests.x + self.part(requests.delta[:, 0].long())
        lengths = requests.tokens_per_edit.tolist()
        padded = pad_sequence(rows.split(lengths), batch_first=True)
        packed = pack_padded_sequence(padded, lengths, batch_first=True, enforce_sorted=False)
        _, (last, _) = self.lstm(packed)  # [2, edits, lstm_dim], forwards and backwards
        return self.summary(torch.cat([last[0], last[1]], -1))


class Gates(nn.Module):
    """What a matrix [d_in, d_out] reads off the summary of a request.

    It begins as half a step of gradient descent: uniform masks, no shift, a gate of one half.
    """

    def __init__(self, summary_dim: int, d_in: int, d_out: int) -> None:
        super().__init__()
        self.mask_in, self.shift_in = nn.Linear(summary_dim, d_in), nn.Linear(summary_dim, d_in)
        self.mask_out, self.shift_out = nn.Linear(summary_dim, d_out), nn.Linear(summary_dim, d_out)
        self.gate = nn.Linear(summary_dim, 1)
        for linear in (self.mask_in, self.mask_out, self.shift_out, self.gate):
            nn.init.zeros_(linear.weight)
            nn.init.zeros_(linear.bias)
        nn.init.ones_(self.mask_out.bias)

    def forward(self, summary: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor]:
        """alpha [edits, d_in] and gamma [edits, d_out] of the mask, beta and delta of the shift,
        eta [edits, 1], those of the softmax and the sigmoid after these."""
        mask_in = self.mask_in(summary).softmax(-1) * self.mask_in.out_features
        shift_in = self.shift_in(summary).softmax(-1) * self.shift_in.out_features**0.5
        gate = self.gate(summary).sigmoid()
        return mask_in, self.mask_out(summary), shift_in, self.shift_out(summary), gate


def _edit_of(signal: Signal) -> Tensor:
    """[tokens]: the edit of each row."""
    lengths = signal.tokens_per_edit
    return torch.repeat_interleave(torch.arange(len(lengths), device=lengths.device), lengths)


def _norms(signal: Signal) -> Tensor:
    """[edits]: norm of each edit's gradient, as if its tokens were orthogonal.

    Only the order of magnitude matters, and that it is 0 where the gradient is.
    """
    rows = signal.x.square().sum(1) * signal.delta.square().sum(1)
    return rows.new_zeros(len(signal.tokens_per_edit)).index_add(0, _edit_of(signal), rows).sqrt()
