"""Counters count what they say."""

from __future__ import annotations

import gc
from collections.abc import Iterator

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from benchmarks.speed.counting import (
    Allocations,
    Operations,
    backward_passes,
    calls_of,
    gradients_reaching,
    operations,
)


@pytest.fixture(autouse=True)
def _collected() -> Iterator[None]:
    gc.collect()
    yield


def test_memory_counts_until_the_last_view_of_it_is_gone() -> None:
    with Allocations() as seen:
        a = torch.zeros(100)
        view = a[:1]
        b = a + 1
        assert (seen.live, seen.total, seen.largest) == (800, 800, 400)
        del a
        assert seen.live == 800
        del view
        assert seen.live == 400
        c = b * 2
        del b, c
    assert (seen.live, seen.peak, seen.total, seen.calls) == (0, 800, 1200, 3)


def test_reading_and_writing_count_once_and_only_what_was_there_before() -> None:
    x, w, target = torch.ones(4, 8), torch.ones(8, 8), torch.zeros(4, 8)
    with Allocations() as seen:
        y = x @ w
        target.copy_((y + 1) @ w)
    assert (seen.read, seen.written) == (4 * (32 + 64), 4 * 32)


def test_a_gather_reads_what_it_gives() -> None:
    table = torch.ones(1000, 4)
    with Allocations() as seen:
        torch.embedding(table, torch.tensor([1, 2]))
    assert seen.read == 2 * 4 * 4 + 2 * 8


def test_what_autograd_keeps_is_there_until_it_is_used() -> None:
    w = torch.ones(16, 16, requires_grad=True)
    x = torch.ones(16, 16)
    with Allocations() as seen:
        loss = ((x @ w).relu() @ w).sum()
        kept = seen.live
        loss.backward()
        w.grad = None
    assert kept >= 4 * 256 + 4  # the rectified rows are needed again
    assert seen.live == 4


@given(*[st.integers(1, 5)] * 3)
def test_operations_of_products_and_solvers(n: int, k: int, m: int) -> None:
    a, b = torch.ones(n, k), torch.ones(k, m, requires_grad=True)
    assert operations(lambda: a @ b) == 2 * n * k * m
    assert operations(lambda: (a @ b).sum().backward()) == 4 * n * k * m
    spd = torch.eye(n) * 2
    factor = torch.linalg.cholesky(spd)
    assert operations(lambda: torch.linalg.cholesky(spd)) == n**3 // 3
    assert operations(lambda: torch.cholesky_solve(torch.ones(n, m), factor)) == 2 * n * n * m


def test_operations_of_attention_are_those_of_its_products() -> None:
    q, k, v = (torch.rand(2, 3, 5, 4, requires_grad=True) for _ in range(3))
    with Operations() as seen:
        out = nn.functional.scaled_dot_product_attention(q, k, v)
        forward = seen.count
        out.sum().backward()
    assert forward == 2 * 2 * (2 * 3 * 5 * 5 * 4)
    assert seen.count >= 3 * forward


def test_backward_passes_are_counted_and_counting_ends() -> None:
    original = torch.autograd.grad
    w = torch.ones(3, requires_grad=True)
    with backward_passes() as count, gradients_reaching(nn.Parameter(w)) as reached:
        w.sum().backward()
        torch.autograd.grad((w * w).sum(), w)
    assert count == [2] and reached == [0]
    assert torch.autograd.grad is original


def test_rows_and_tokens_that_go_through_a_module() -> None:
    model = nn.Sequential(nn.Embedding(9, 4), nn.Linear(4, 2))
    with calls_of(model) as seen:
        model(torch.zeros(2, 5, dtype=torch.long))
        model(torch.zeros(1, 3, dtype=torch.long))
    assert seen == {"calls": 2, "tokens": 13, "1": 13}
    assert not model._forward_pre_hooks and not model[1]._forward_pre_hooks
