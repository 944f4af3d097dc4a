"""Segment softmax and sum against loops over the edits."""

from __future__ import annotations

import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.testing import assert_close

from dafnet_plugin.network.segments import edit_of_token, segment_softmax, segment_sum

LENGTHS = st.lists(st.integers(0, 5), min_size=1, max_size=6)


@settings(deadline=None)
@given(LENGTHS)
def test_edit_of_token_names_each_row(lengths: list[int]) -> None:
    segment = edit_of_token(torch.tensor(lengths), sum(lengths))
    assert segment.tolist() == [e for e, length in enumerate(lengths) for _ in range(length)]


@settings(deadline=None)
@given(LENGTHS, st.integers(0, 99), st.sampled_from([1.0, 1e4]))
def test_softmax_is_that_of_each_edit_alone(lengths: list[int], seed: int, spread: float) -> None:
    generator = torch.Generator().manual_seed(seed)
    scores = spread * torch.randn(sum(lengths), 1, generator=generator, dtype=torch.float64)
    segment = edit_of_token(torch.tensor(lengths), sum(lengths))
    expected = [part.softmax(0) for part in scores.split(lengths)]
    assert_close(segment_softmax(scores, segment, len(lengths)), torch.cat(expected))


@settings(deadline=None)
@given(LENGTHS, st.integers(0, 99))
def test_sum_is_that_of_each_edit_alone(lengths: list[int], seed: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    rows = torch.randn(sum(lengths), 3, generator=generator, dtype=torch.float64)
    segment = edit_of_token(torch.tensor(lengths), sum(lengths))
    expected = torch.stack([part.sum(0) for part in rows.split(lengths)])
    total = segment_sum(rows, segment, len(lengths))
    assert_close(total, expected)
    assert not total[torch.tensor(lengths) == 0].any()


def test_softmax_gradient_is_that_of_each_edit_alone() -> None:
    lengths = [3, 0, 1, 4]
    segment = edit_of_token(torch.tensor(lengths), 8)
    torch.manual_seed(0)
    scores = torch.randn(8, 1, dtype=torch.float64, requires_grad=True)
    pull = torch.randn(8, 1, dtype=torch.float64)
    (ours,) = torch.autograd.grad((segment_softmax(scores, segment, 4) * pull).sum(), scores)
    naive = torch.cat([part.softmax(0) for part in scores.split(lengths)])
    (expected,) = torch.autograd.grad((naive * pull).sum(), scores)
    assert_close(ours, expected)
