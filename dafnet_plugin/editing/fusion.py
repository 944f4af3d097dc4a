"""How the updates of a sequence of edits become one change of a weight.

``running_mean`` is the paper's: what came before fades as later edits claim their share.
``sum`` adds the updates. ``least_squares`` treats the network's output as proposed changes of
the module's *output* at the edits' own inputs and solves for the one weight change that
realises all of them while moving preserved keys least (a ridge regression, as MEMIT and MALMEN
aggregate), kept up to date recursively.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from dafnet_plugin.network import NetworkOutput

ROUNDING = 1e-6
"""Of float32, relative to the mean diagonal of a matrix that was updated many times."""

FusionKind = Literal["running_mean", "sum", "least_squares"]


@dataclass(frozen=True)
class FusionConfig:
    """Settings of the fusion.

    Attributes:
        kind: see the module's text.
        edit_lr: initial learning rate of every module (learned from there). The update is
            *added*, so descent needs a negative one.
        ridge: initial ridge of ``least_squares``, relative to a typical squared key.
        preserve_shrinkage: share of its mean diagonal that is added to the second moment of
            preserved keys, so that it can be inverted.
        chunk: rows solved at once when edits are added.
    """

    kind: FusionKind = "least_squares"
    edit_lr: float = -0.3
    ridge: float = 0.1
    preserve_shrinkage: float = 0.01
    chunk: int = 512


@dataclass(frozen=True)
class FusionState:
    """The accumulated update of one module.

    Attributes:
        weight: [d_in, d_out] change of the weight.
        bias: [d_out] change of the bias, or None when biases are not edited.
        covariance: [d_in, d_in] of ``least_squares``: inverse of preserved plus edited key
            moments; None otherwise.
        loosened: [d_in, d_in] what new edits are solved with instead since :func:`loosen`.
    """

    weight: Tensor
    bias: Tensor | None
    covariance: Tensor | None
    loosened: Tensor | None = None


def outer_product_update(out: NetworkOutput, scale: Tensor) -> tuple[Tensor, Tensor]:
    """Sum over tokens of ``x' (delta' * scale_e)^T``: weight [d_in, d_out], bias [d_out].

    Args:
        scale: [new], weight of each edit.
    """
    delta = out.delta * scale.index_select(0, out.segment)[:, None]
    return out.x.T @ delta, delta.sum(0)


def proposed_changes(out: NetworkOutput, edit_lr: Tensor) -> Tensor:
    """Change of the module's output that the network proposes at each token: [tokens, d_out].

    ``lr * <x', x_hat> / d_in * delta'``: what the update ``lr * x' delta'^T / d_in`` of the
    token itself would do to its own (normalised) input ``x_hat``.
    """
    d_in = out.x.shape[1]
    agreement = (out.x * out.normalised[:, :d_in]).sum(1, keepdim=True) / d_in
    return edit_lr * agreement * out.delta


def solve(keys: Tensor, changes: Tensor, ridge: Tensor) -> Tensor:
    """Ridge regression of changes [tokens, d_out] on keys [tokens, d_in]: [d_in, d_out].

    Takes the primal or the dual form, whichever matrix is smaller; differentiable.
    """
    tokens, d_in = keys.shape
    if tokens <= d_in:
        gram = keys @ keys.T
        return keys.T @ _ridge_solve(gram, changes, ridge)
    return _ridge_solve(keys.T @ keys, keys.T @ changes, ridge)


def _ridge_solve(matrix: Tensor, right: Tensor, ridge: Tensor) -> Tensor:
    eye = torch.eye(matrix.shape[0], dtype=matrix.dtype, device=matrix.device)
    return torch.cholesky_solve(right, torch.linalg.cholesky(matrix + ridge * eye))


def extend(state: FusionState, keys: Tensor, changes: Tensor, chunk: int) -> FusionState:
    """Add rows to a least-squares solution (recursive least squares, Woodbury's identity).

    Cost depends on the number of new rows and on d_in, not on how much came before.

    Args:
        keys: [tokens, d_in] module inputs of the new edits.
        changes: [tokens, d_out] proposed changes of the module's output there.
    """
    weight, covariance, loosened = state.weight, state.covariance, state.loosened
    assert covariance is not None  # a least-squares state always has one
    for start in range(0, keys.shape[0], chunk):
        x = keys[start : start + chunk].to(covariance.dtype)  # [t, d_in]
        gain, covariance = _downdate(covariance, x)
        if loosened is not None:
            gain, loosened = _downdate(loosened, x)
        weight = weight + gain @ (changes[start : start + chunk].to(x.dtype) - x @ weight)
    return FusionState(weight, state.bias, covariance, loosened)


def _downdate(covariance: Tensor, x: Tensor) -> tuple[Tensor, Tensor]:
    """Gain [d_in, t] of new keys x [t, d_in], and the covariance that knows them."""
    spread = x @ covariance  # [t, d_in]
    factor = torch.linalg.cholesky(spread @ x.T + torch.eye(len(x), dtype=x.dtype, device=x.device))
    half = torch.linalg.solve_triangular(factor, spread, upper=False)
    gain = torch.linalg.solve_triangular(factor.T, half, upper=True).T
    # A product of a matrix with itself: what is symmetric stays so but for rounding.
    return gain, torch.addmm(covariance, half.T, half, alpha=-1)


def loosen(state: FusionState, weight: Tensor, prior: Tensor, room: float) -> FusionState:
    """A least-squares state whose weight was improved by other means.

    What the edits so far need is in the weight now, better than their keys can say; insisting on
    these as before would leave no room for the next edits, which shall hold at once. So until the
    next time these count ``room`` times as much as the edits before. Preserved keys count as ever.

    Args:
        weight: [d_in, d_out].
        prior: [d_in, d_in], covariance before the first edit.
        room: 1 for none.
    """
    assert state.covariance is not None  # a least-squares state always has one
    information = (1 - 1 / room) * _inverse(prior) + _inverse(state.covariance) / room
    loosened = _inverse(information).to(state.covariance)
    # LAPACK's order of memory is by columns. Products round by the order, and one that is loaded
    # from a file is by rows.
    return FusionState(weight.contiguous(), state.bias, state.covariance, loosened.contiguous())


def _inverse(matrix: Tensor) -> Tensor:
    """Of a symmetric positive definite matrix, in float64 on the CPU as not all devices have it."""
    exact = matrix.cpu().double()
    # Float32 cannot tell smaller eigenvalues from none, or from negative ones.
    exact.diagonal().add_(ROUNDING * exact.diagonal().mean())
    return torch.cholesky_inverse(torch.linalg.cholesky(exact))


def whitener(key_moment: Tensor, shrinkage: float) -> Tensor:
    """Return W [d_in, d_in] such that keys ``x @ W`` of preserved text have squared length 1.

    ``W = C^(-1/2) / sqrt(d_in)`` with C the shrunk second moment of the keys to be preserved;
    regression on ``x @ W`` with a plain ridge is regression on x in the metric of C.

    Args:
        key_moment: [d_in, d_in], mean of ``x x^T`` over preserved text.
        shrinkage: share of the mean diagonal added to the diagonal.
    """
    moment = key_moment.cpu().double()  # not every device has float64
    d_in = moment.shape[0]
    moment = moment + shrinkage * moment.diagonal().mean() * torch.eye(d_in, device=moment.device)
    values, vectors = torch.linalg.eigh(moment)
    inverse_root = vectors @ (values.clamp_min(1e-12).rsqrt()[:, None] * vectors.T)
    return (inverse_root / d_in**0.5).to(key_moment)
