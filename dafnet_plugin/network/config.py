"""The shape of the auxiliary network."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Normaliser = Literal["exact_batch_norm", "batch_norm", "layer_norm", "standardise", "none"]
Block = Literal["paper", "residual"]
Gate = Literal["paper", "consistent"]


@dataclass(frozen=True)
class NetworkConfig:
    """Sizes and variants of the auxiliary network.

    Attributes:
        layers: number of layers, L in the paper.
        intra_dim: hidden width of the two MLPs of intra-editing attention.
        inter_dim: width of one head of inter-editing attention.
        inter_heads: heads of inter-editing attention.
        gate_dim: width of one head of the scale attention.
        gate_heads: heads of the scale attention.
        ffn_dim: hidden width of the feed-forward branch.
        normaliser: how rows ``[x; delta]`` are normalised. ``exact_batch_norm``,
            ``batch_norm`` and ``layer_norm`` are the paper's; ``standardise`` takes mean and
            standard deviation once from the training signals; ``none`` leaves them.
        block: ``paper`` normalises after each branch; ``residual`` before each branch and
            starts with every branch at zero, so that the untrained network is the identity.
        gate: ``paper`` turns each layer's gates into scales, averages the scales and cuts
            the gradient; ``consistent`` averages the gates first and lets them learn, so that
            one call with n edits equals n calls with one.
    """

    layers: int = 2
    intra_dim: int = 1024
    inter_dim: int = 1024
    inter_heads: int = 2
    gate_dim: int = 256
    gate_heads: int = 2
    ffn_dim: int = 1536
    normaliser: Normaliser = "exact_batch_norm"
    block: Block = "paper"
    gate: Gate = "paper"
