"""Normalisers of the rows ``[x; delta]`` that enter the auxiliary network."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from dafnet_plugin.network.config import Normaliser


class ExactBatchNorm(nn.Module):
    """Batch norm with the exact mean and variance of every row seen in training.

    Rows seen in training count before they are normalised themselves. Until any were seen,
    mean is 0 and standard deviation 1. (FINDINGS of the reference method; no affine part.)
    """

    mean: Tensor
    var: Tensor
    std: Tensor
    k: Tensor
    eps: Tensor

    def __init__(self, dim: int, eps: float = 1e-8) -> None:
        super().__init__()
        self.register_buffer("mean", torch.zeros(dim))
        self.register_buffer("var", torch.zeros(dim))
        self.register_buffer("std", torch.ones(dim))
        self.register_buffer("k", torch.tensor(0))
        self.register_buffer("eps", torch.tensor(eps))

    @torch.no_grad()
    def observe(self, rows: Tensor) -> None:
        """Count rows [tokens, dim] in: parallel update of mean and unbiased variance."""
        new = rows.shape[0]
        if new == 0:
            return
        seen = int(self.k)
        total = seen + new
        mean = rows.mean(0)
        squares = (rows - mean).square().sum(0)
        gap = mean - self.mean
        if seen:
            squares = squares + self.var * (seen - 1) + gap.square() * (seen * new / total)
        self.mean += gap * (new / total)
        if total > 1:
            self.var.copy_(squares / (total - 1))
            self.std.copy_(self.var.sqrt())
        self.k += new

    def forward(self, rows: Tensor) -> Tensor:
        """Normalise rows [tokens, dim]; in train mode they are counted in first."""
        if self.training:
            self.observe(rows)
        return (rows - self.mean) / (self.std + self.eps)


class Standardiser(ExactBatchNorm):
    """Mean and standard deviation set once from the training signals, then fixed.

    Dimensions that never vary in the training signals are only centred: dividing by a standard
    deviation of almost zero would let noise dominate.
    """

    def forward(self, rows: Tensor) -> Tensor:
        """Normalise rows [tokens, dim] with the fixed statistics, in train mode too."""
        floor = self.std.mean() * 1e-3
        return (rows - self.mean) / torch.maximum(self.std, floor + self.eps)


class PlainBatchNorm(nn.BatchNorm1d):
    """``nn.BatchNorm1d`` that falls back to the running statistics for a single row."""

    def forward(self, input: Tensor) -> Tensor:
        """Normalise rows [tokens, dim]."""
        if self.training and input.shape[0] < 2:
            return nn.functional.batch_norm(
                input, self.running_mean, self.running_var, self.weight, self.bias, eps=self.eps
            )
        return super().forward(input)


def build_normaliser(kind: Normaliser, dim: int) -> nn.Module:
    """Return the normaliser for rows of ``dim`` numbers."""
    if kind == "exact_batch_norm":
        return ExactBatchNorm(dim)
    if kind == "standardise":
        return Standardiser(dim)
    if kind == "batch_norm":
        return PlainBatchNorm(dim, momentum=0.1)
    if kind == "layer_norm":
        return nn.LayerNorm(dim)
    return nn.Identity()
