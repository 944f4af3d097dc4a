"""Normalisers of the network's rows."""

from __future__ import annotations

import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.testing import assert_close

from dafnet_plugin.network.normaliser import (
    ExactBatchNorm,
    PlainBatchNorm,
    Standardiser,
    build_normaliser,
)


@settings(deadline=None)
@given(st.lists(st.integers(0, 7), min_size=1, max_size=6), st.integers(0, 99))
def test_exact_batch_norm_knows_all_rows_however_split(sizes: list[int], seed: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    rows = 3 + 5 * torch.randn(sum(sizes), 4, generator=generator, dtype=torch.float64)
    norm = ExactBatchNorm(4).double().train()
    for some in rows.split(sizes):
        norm(some)
    assert int(norm.k) == len(rows)
    if len(rows) == 0:
        assert norm.mean.tolist() == [0] * 4 and norm.std.tolist() == [1] * 4
        return
    assert_close(norm.mean, rows.mean(0))
    if len(rows) > 1:
        variance, mean = torch.var_mean(rows, 0)
        assert_close(norm.var, variance)
        norm.eval()
        assert_close(norm(rows), (rows - mean) / (variance.sqrt() + norm.eps))


def test_exact_batch_norm_counts_rows_only_in_training_and_before_normalising_them() -> None:
    norm = ExactBatchNorm(2)
    rows = torch.tensor([[1.0, 10.0], [3.0, 10.0]])
    norm.eval()
    assert torch.equal(norm(rows), rows) and int(norm.k) == 0
    norm.train()
    out = norm(rows)
    half = 2**-0.5  # deviation 1 from the mean, unbiased variance 2
    assert_close(out[:, 0], torch.tensor([-half, half]))
    assert out[:, 1].tolist() == [0.0, 0.0]


def test_standardiser_is_fixed_in_training_and_only_centres_dimensions_that_never_vary() -> None:
    norm = Standardiser(3).double()
    torch.manual_seed(0)
    rows = torch.randn(50, 3).double() * torch.tensor([2.0, 1e-6, 100.0]) + 1
    norm.observe(rows)
    norm.train()
    before = {name: value.clone() for name, value in norm.state_dict().items()}
    out = norm(rows)
    assert all(torch.equal(before[name], value) for name, value in norm.state_dict().items())
    assert_close(out[:, [0, 2]].std(0), torch.ones(2).double())
    assert out[:, 1].abs().max() < 1e-3, "noise in a constant dimension was blown up"


def test_plain_batch_norm_takes_a_single_row_in_training() -> None:
    norm = PlainBatchNorm(3, momentum=0.1).train()
    norm(torch.randn(8, 3))
    mean = norm.running_mean.clone()
    out = norm(torch.ones(1, 3))
    assert torch.isfinite(out).all()
    assert torch.equal(norm.running_mean, mean), "one row has no variance to learn from"


def test_each_kind_is_built() -> None:
    kinds = {
        "exact_batch_norm": ExactBatchNorm,
        "standardise": Standardiser,
        "batch_norm": PlainBatchNorm,
        "layer_norm": torch.nn.LayerNorm,
        "none": torch.nn.Identity,
    }
    for kind, expected in kinds.items():
        assert type(build_normaliser(kind, 4)) is expected  # type: ignore[arg-type]
