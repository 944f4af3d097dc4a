"""Editing n facts in one call equals editing them one by one."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.testing import assert_close

from dafnet_plugin.editing.dafnet import DAFNet, SequenceState
from dafnet_plugin.editing.signals import Signal
from tests.helpers import FAMILIES, editor, part, random_dafnet, random_signal, requests

SHAPES = [(3, 4), (4, 3), (3, 4)]
# Which settings promise it: fusion, gate, layers.
CONSISTENT = [
    ("running_mean", "consistent", 2),
    ("running_mean", "paper", 1),
    ("sum", "consistent", 2),
    ("sum", "paper", 2),
    ("least_squares", "consistent", 2),
    ("least_squares", "paper", 2),
]


def make(kind: str, gate: str, layers: int, block: str = "residual", bias: bool = False) -> DAFNet:
    dafnet = random_dafnet(
        SHAPES,
        kind=kind,
        gate=gate,
        layers=layers,
        block=block,
        normaliser="layer_norm",
        edit_bias=bias,
        edit_lr=-0.7,
    ).double()
    if kind == "least_squares":
        torch.manual_seed(1)
        keys = [torch.randn(20, d_in, dtype=torch.float64) for d_in, _ in SHAPES]
        dafnet.preserve([k.T @ k / 20 for k in keys])
    return dafnet


def signals(lengths: list[int], seed: int) -> list[Signal]:
    return [random_signal(lengths, *shape, seed + i) for i, shape in enumerate(SHAPES)]


@torch.no_grad()
def in_parts(dafnet: DAFNet, whole: list[Signal], sizes: list[int]) -> SequenceState:
    state, start = dafnet.start(), 0
    for size in sizes:
        state = dafnet([part(signal, start, start + size) for signal in whole], state)
        start += size
    assert state is not None
    return state


def compare(ours: SequenceState, expected: SequenceState) -> None:
    assert ours.edits == expected.edits
    for mine, theirs in zip(ours.updates, expected.updates, strict=True):
        for name in ("weight", "bias", "covariance"):
            one, other = getattr(mine, name), getattr(theirs, name)
            assert (one is None) == (other is None)
            if one is not None:
                assert_close(one, other, rtol=1e-7, atol=1e-9)


@pytest.mark.parametrize("block", ["paper", "residual"])
@pytest.mark.parametrize(("kind", "gate", "layers"), CONSISTENT)
@settings(max_examples=12, deadline=None)
@given(
    sizes=st.lists(st.integers(1, 3), min_size=1, max_size=4),
    lengths=st.lists(st.integers(0, 3), min_size=12, max_size=12),
    seed=st.integers(0, 99),
)
def test_a_sequence_in_any_parts_equals_one_call(
    kind: str, gate: str, layers: int, block: str, sizes: list[int], lengths: list[int], seed: int
) -> None:
    dafnet = make(kind, gate, layers, block, bias=kind != "least_squares")
    whole = signals(lengths[: sum(sizes)], seed)
    compare(in_parts(dafnet, whole, sizes), in_parts(dafnet, whole, [sum(sizes)]))


def test_the_published_gate_differs_with_two_layers() -> None:
    """Mean over layers and product over edits do not commute: documented, kept for parity."""
    dafnet = make("running_mean", "paper", 2)
    whole = signals([2, 3, 1, 2], 0)
    one_call, one_by_one = (in_parts(dafnet, whole, sizes) for sizes in ([4], [1] * 4))
    difference = (one_call.updates[0].weight - one_by_one.updates[0].weight).norm()
    assert difference / one_call.updates[0].weight.norm() > 1e-4


def test_order_matters_to_a_running_mean() -> None:
    """The state is not a mere sum that would equal itself whatever is done."""
    dafnet = make("running_mean", "consistent", 2)
    whole = signals([2, 3, 1], 0)
    turned = [signal.select(torch.tensor([2, 1, 0])) for signal in whole]
    first, second = in_parts(dafnet, whole, [3]), in_parts(dafnet, turned, [3])
    assert not torch.allclose(first.updates[0].weight, second.updates[0].weight, rtol=1e-3)


@pytest.mark.parametrize("kind", ["running_mean", "sum", "least_squares"])
@pytest.mark.parametrize("family", FAMILIES)
def test_a_model_edited_at_once_one_by_one_and_in_parts_is_the_same(family: str, kind: str) -> None:
    facts = requests(7)
    models = []
    for sizes in ([7], [1] * 7, [2, 4, 1]):
        one = editor(family, kind=kind, normaliser="layer_norm", edit_lr=-0.5)
        rest = iter(facts)
        for size in sizes:
            one.edit([next(rest) for _ in range(size)])
        assert one.requests == tuple(facts)
        models.append(one.weights_of(one.snapshot()))
    plain = editor(family)
    untouched = plain.weights_of(plain.snapshot())
    for name, expected in models[0].items():
        change = (expected - untouched[name]).norm()
        assert change > 1e-2, "nothing was edited"
        for other in models[1:]:
            assert (other[name] - expected).norm() / change < 1e-4
