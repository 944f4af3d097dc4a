"""How updates become one: goldens by hand, and the identities least squares rests on."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor
from torch.testing import assert_close

from dafnet_plugin.editing.dafnet import DAFNet
from dafnet_plugin.editing.fusion import (
    FusionConfig,
    FusionState,
    extend,
    loosen,
    outer_product_update,
    proposed_changes,
    solve,
    whitener,
)
from dafnet_plugin.editing.signals import Signal
from dafnet_plugin.network import NetworkOutput
from tests.helpers import IDENTITY, random_dafnet, random_signal


def rows(count: int, d_in: int, d_out: int, seed: int = 0) -> tuple[Tensor, Tensor]:
    signal = random_signal([count], d_in, d_out, seed)
    return signal.x, signal.delta


def start(d_in: int, d_out: int, ridge: float, dtype: torch.dtype = torch.float64) -> FusionState:
    return FusionState(
        torch.zeros(d_in, d_out, dtype=dtype), None, torch.eye(d_in, dtype=dtype) / ridge
    )


# -- goldens ----------------------------------------------------------------------------------


def output(x: list[list[float]], delta: list[list[float]], normalised: list[list[float]]):  # type: ignore[no-untyped-def]
    return NetworkOutput(
        *(torch.tensor(rows, dtype=torch.float) for rows in (normalised, x, delta)),
        torch.tensor([0, 0, 1]),
        torch.tensor([]),
        torch.tensor(1.0),
        (),
    )


def test_outer_products_by_hand() -> None:
    out = output([[1, 2], [0, 1], [3, 0]], [[1], [10], [100]], [[0, 0, 0]] * 3)
    weight, bias = outer_product_update(out, torch.tensor([2.0, 0.5]))
    # Edit 0 counts twice: [1, 2] * 1 + [0, 1] * 10; edit 1 half: [3, 0] * 100.
    assert weight.tolist() == [[2 * 1 + 0.5 * 300], [2 * 12 + 0.0]]
    assert bias.tolist() == [2 * 11 + 50]


def test_proposed_changes_by_hand() -> None:
    out = output([[1, 2], [0, 1], [3, 0]], [[1], [10], [100]], [[2, 1, 9], [5, -2, 9], [0, 1, 9]])
    changes = proposed_changes(out, torch.tensor(-0.5))
    # -0.5 * <x', x_hat> / 2 * delta': <..> is 4, -2 and 0.
    assert changes.tolist() == [[-1.0], [5.0], [0.0]]


def test_ridge_by_hand() -> None:
    one_key = solve(torch.tensor([[2.0, 0.0]]), torch.tensor([[5.0]]), torch.tensor(1.0))
    assert_close(one_key, torch.tensor([[2.0], [0.0]]))  # 2 * 5 / (2 * 2 + 1)
    same_key_twice = solve(
        torch.tensor([[1.0], [1.0]]), torch.tensor([[3.0], [6.0]]), torch.tensor(1.0)
    )
    assert_close(same_key_twice, torch.tensor([[3.0]]))  # (3 + 6) / (1 + 1 + 1)


def test_recursion_by_hand() -> None:
    state = extend(start(1, 1, 1.0), *torch.tensor([[[1.0]], [[3.0]]]).double(), chunk=1)
    assert_close(state.weight.item(), 1.5)
    assert_close(state.covariance.item(), 0.5)  # type: ignore[union-attr]
    state = extend(state, *torch.tensor([[[1.0]], [[6.0]]]).double(), chunk=1)
    assert_close(state.weight.item(), 3.0)
    assert_close(state.covariance.item(), 1 / 3)  # type: ignore[union-attr]


@pytest.mark.parametrize("kind", ["running_mean", "sum"])
def test_a_single_edit_of_one_token_by_hand(kind: str) -> None:
    config = FusionConfig(kind=kind, edit_lr=-0.5)  # type: ignore[arg-type]
    dafnet = DAFNet([(2, 1)], IDENTITY, config, edit_bias=True).eval()
    signal = Signal(torch.tensor([[1.0, 3.0]]), torch.tensor([[4.0]]), torch.tensor([1]))
    with torch.no_grad():
        (update,) = dafnet([signal]).updates
    # The first edit's share is 1 and it has one token: -0.5 * x^T delta.
    assert update.weight.tolist() == [[-2.0], [-6.0]]
    assert update.bias is not None and update.bias.tolist() == [-2.0]


def test_a_running_mean_divides_by_tokens_and_shares_between_edits() -> None:
    dafnet = DAFNet([(1, 1)], IDENTITY, FusionConfig(kind="running_mean", edit_lr=1.0)).eval()
    for layer in dafnet.network_of(0).layers:
        torch.nn.init.zeros_(layer.scale_attention.query.weight)  # type: ignore[union-attr, arg-type]
        torch.nn.init.zeros_(layer.scale_attention.query.bias)  # type: ignore[union-attr, arg-type]
    signal = Signal(torch.tensor([[1.0], [3.0], [5.0]]), torch.ones(3, 1), torch.tensor([2, 1]))
    with torch.no_grad():
        (update,) = dafnet([signal]).updates
    assert_close(update.weight, torch.tensor([[((1 + 3) / 2 + 5) / 2]]))


# -- identities -------------------------------------------------------------------------------


@settings(max_examples=40, deadline=None)
@given(
    st.integers(1, 12),
    st.integers(1, 6),
    st.integers(1, 4),
    st.floats(1e-2, 10),
    st.integers(0, 99),
)
def test_ridge_is_the_minimum_in_primal_and_dual_form(
    tokens: int, d_in: int, d_out: int, ridge: float, seed: int
) -> None:
    keys, changes = rows(tokens, d_in, d_out, seed)
    eye = torch.eye
    primal = torch.linalg.solve(
        keys.T @ keys + ridge * eye(d_in, dtype=keys.dtype), keys.T @ changes
    )
    dual = keys.T @ torch.linalg.solve(
        keys @ keys.T + ridge * eye(tokens, dtype=keys.dtype), changes
    )
    assert_close(primal, dual)
    assert_close(solve(keys, changes, torch.tensor(ridge, dtype=keys.dtype)), primal)


@pytest.mark.parametrize(("tokens", "size"), [(3, 3), (10, 10), (50, 10)])
def test_the_smaller_matrix_is_the_one_factorised(
    monkeypatch: pytest.MonkeyPatch, tokens: int, size: int
) -> None:
    sizes, cholesky = [], torch.linalg.cholesky

    def noted(matrix: Tensor) -> Tensor:
        sizes.append(len(matrix))
        return cholesky(matrix)

    monkeypatch.setattr(torch.linalg, "cholesky", noted)
    solve(*rows(tokens, 10, 2), torch.tensor(0.1, dtype=torch.float64))
    assert sizes == [size]


@settings(max_examples=40, deadline=None)
@given(st.lists(st.integers(0, 6), min_size=1, max_size=6), st.integers(1, 5), st.integers(0, 99))
def test_extending_piece_by_piece_solves_for_all_rows(
    pieces: list[int], chunk: int, seed: int
) -> None:
    keys, changes = rows(sum(pieces), 4, 3, seed)
    state = start(4, 3, 0.3)
    for x, d in zip(keys.split(pieces), changes.split(pieces)):
        state = extend(state, x, d, chunk)
    if sum(pieces):
        assert_close(state.weight, solve(keys, changes, torch.tensor(0.3, dtype=torch.float64)))
    inverse = torch.linalg.inv(keys.T @ keys + 0.3 * torch.eye(4, dtype=torch.float64))
    assert_close(state.covariance, inverse)


@settings(max_examples=30, deadline=None)
@given(st.floats(0.5, 50), st.lists(st.integers(0, 4), max_size=4), st.integers(0, 99))
def test_what_comes_after_loosening_counts_that_much_more(
    room: float, lengths: list[int], seed: int
) -> None:
    keys, changes = rows(6, 5, 3, seed)
    state = extend(start(5, 3, 0.5, keys.dtype), keys, changes, chunk=4)
    weight = torch.randn(5, 3, generator=torch.Generator().manual_seed(seed)).to(keys)
    state = loosen(state, weight, torch.eye(5, dtype=keys.dtype) / 0.5, room)
    x, y = rows(sum(lengths), 5, 3, seed + 100)
    for part in torch.arange(len(x)).split([*lengths] or [0]):
        state = extend(state, x[part], y[part], chunk=2)
    # The minimum of |x W - y|^2 + tr (W - weight)^T (keys^T keys / room + ridge) (W - weight).
    known, ridge = keys.T @ keys, 0.5 * torch.eye(5, dtype=keys.dtype)
    moved = torch.linalg.solve(known / room + ridge + x.T @ x, x.T @ (y - x @ weight))
    assert_close(state.weight, weight + moved, rtol=1e-3, atol=1e-4)
    # The memory of all keys is what it would be without, so loosening does not add up.
    assert state.covariance is not None
    assert_close(state.covariance, torch.linalg.inv(known + ridge + x.T @ x), rtol=1e-3, atol=1e-4)


def test_ten_thousand_edits_in_float32_stay_within_a_thousandth() -> None:
    keys, changes = rows(30_000, 24, 8)
    state = start(24, 8, 0.1, torch.float32)
    for x, d in zip(keys.float().split(3), changes.float().split(3)):
        state = extend(state, x, d, chunk=512)
    exact = solve(keys, changes, torch.tensor(0.1, dtype=torch.float64))
    assert (state.weight.double() - exact).norm() / exact.norm() < 1e-3
    assert state.covariance is not None
    assert_close(state.covariance, state.covariance.T, rtol=1e-5, atol=1e-9)
    assert torch.linalg.eigvalsh(state.covariance).min() > 0


@settings(max_examples=20, deadline=None)
@given(st.integers(1, 12), st.floats(0.01, 1), st.integers(0, 99))
def test_whitened_ridge_is_regression_in_the_metric_of_preserved_keys(
    tokens: int, shrinkage: float, seed: int
) -> None:
    preserved, _ = rows(30, 5, 1, seed + 1)
    keys, changes = rows(tokens, 5, 3, seed)
    moment = preserved.T @ preserved / 30
    ridge = torch.tensor(0.2, dtype=torch.float64)
    root = whitener(moment, shrinkage)
    ours = root @ solve(keys @ root, changes, ridge)
    # argmin ||X D - C||^2 + ridge * d_in * tr(D^T M D), written out.
    metric = moment + shrinkage * moment.diagonal().mean() * torch.eye(5, dtype=torch.float64)
    expected = torch.linalg.solve(keys.T @ keys + 0.2 * 5 * metric, keys.T @ changes)
    assert_close(ours, expected, rtol=1e-4, atol=1e-7)


def test_whitened_keys_have_squared_length_one_on_average() -> None:
    preserved, _ = rows(200, 6, 1)
    root = whitener(preserved.T @ preserved / 200, 1e-9)
    assert_close((preserved @ root).square().sum(1).mean().item(), 1.0, rtol=1e-4, atol=0)


def test_training_and_editing_take_the_same_least_squares() -> None:
    """One is differentiable and solves at once, the other is recursive."""
    dafnet = random_dafnet([(5, 3)], kind="least_squares", normaliser="layer_norm").double()
    preserved, _ = rows(40, 5, 1, 7)
    dafnet.preserve([preserved.T @ preserved / 40])
    signal = random_signal([3, 0, 2, 6], 5, 3)
    trained = dafnet([signal]).updates[0].weight
    with torch.no_grad():
        edited = dafnet([signal]).updates[0].weight
    assert trained.requires_grad
    assert_close(trained.detach(), edited, rtol=1e-4, atol=1e-7)


def test_preserving_a_direction_keeps_updates_out_of_it() -> None:
    sizes = []
    for weight in (1.0, 1000.0):
        dafnet = random_dafnet([(3, 2)], kind="least_squares", normaliser="layer_norm")
        dafnet.preserve([torch.diag(torch.tensor([weight, 1.0, 1.0]))])
        with torch.no_grad():
            update = dafnet([random_signal([4], 3, 2, dtype=torch.float32)]).updates[0].weight
        sizes.append(float(update[0].norm() / update.norm()))
    assert sizes[1] < 0.05 * sizes[0]


def test_statistics_loaded_from_a_state_dict_are_used_at_once() -> None:
    signal = random_signal([4], 3, 2, dtype=torch.float32)
    one, other = (random_dafnet([(3, 2)], kind="least_squares") for _ in range(2))
    one.preserve([torch.diag(torch.tensor([100.0, 1.0, 1.0]))])
    with torch.no_grad():
        before = other([signal]).updates[0].weight
        expected = one([signal]).updates[0].weight
        other.load_state_dict(one.state_dict())
        after = other([signal]).updates[0].weight
    assert not torch.allclose(before, expected)
    assert torch.equal(after, expected)
