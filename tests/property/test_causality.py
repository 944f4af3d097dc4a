"""Later edits never change what the network makes of earlier ones."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.testing import assert_close

from dafnet_plugin.editing.signals import Signal
from dafnet_plugin.network import AuxiliaryNetwork, NetworkConfig, NetworkOutput, NetworkState
from tests.helpers import SMALL, auxiliary, part, random_signal, run_alone

EXACT = {"rtol": 1e-9, "atol": 1e-11}
VARIANTS = [
    replace(SMALL, block=block, gate=gate, normaliser="layer_norm")  # type: ignore[arg-type]
    for block in ("paper", "residual")
    for gate in ("paper", "consistent")
]
LENGTHS = st.lists(st.integers(0, 4), min_size=1, max_size=5)


def run(
    network: AuxiliaryNetwork, signal: Signal, past: NetworkState | None = None
) -> tuple[NetworkOutput, NetworkState]:
    with torch.no_grad():
        return run_alone(network, signal, 1, past)


@pytest.mark.parametrize("config", VARIANTS, ids=lambda c: f"{c.block}-{c.gate}")
@settings(max_examples=25, deadline=None)
@given(first=LENGTHS, later=LENGTHS, seed=st.integers(0, 50))
def test_later_edits_change_nothing_of_earlier_ones(
    config: NetworkConfig, first: list[int], later: list[int], seed: int
) -> None:
    network = auxiliary(3, 4, 2, config)
    whole = random_signal(first + later, 3, 4, seed)
    edits, tokens = len(first), sum(first)
    (alone, before), (together, after) = run(network, part(whole, 0, edits)), run(network, whole)
    assert_close(together.x[:tokens], alone.x, **EXACT)
    assert_close(together.delta[:tokens], alone.delta, **EXACT)
    for mine, theirs in zip(alone.representations, together.representations, strict=True):
        assert_close(theirs[:edits], mine, **EXACT)
    for mine, theirs in zip(before, after, strict=True):
        for name in ("keys", "values", "gate_keys"):
            assert_close(getattr(theirs, name)[..., :edits, :], getattr(mine, name), **EXACT)


@pytest.mark.parametrize("config", VARIANTS, ids=lambda c: f"{c.block}-{c.gate}")
@settings(max_examples=25, deadline=None)
@given(first=LENGTHS, later=LENGTHS, seed=st.integers(0, 50))
def test_a_sequence_in_parts_gives_the_rows_of_the_whole(
    config: NetworkConfig, first: list[int], later: list[int], seed: int
) -> None:
    network = auxiliary(3, 4, 2, config)
    whole = random_signal(first + later, 3, 4, seed)
    head, tail = part(whole, 0, len(first)), part(whole, len(first), len(first + later))
    (together, _), (before, state) = run(network, whole), run(network, head)
    after, _ = run(network, tail, state)
    assert_close(torch.cat([before.x, after.x]), together.x, **EXACT)
    assert_close(torch.cat([before.delta, after.delta]), together.delta, **EXACT)


@pytest.mark.parametrize("config", VARIANTS, ids=lambda c: f"{c.block}-{c.gate}")
def test_earlier_edits_do_reach_later_ones(config: NetworkConfig) -> None:
    """Without this the tests above would hold for a network that mixes nothing."""
    network = auxiliary(3, 4, 2, config)
    whole = random_signal([2, 3], 3, 4)
    (alone, _), (together, _) = run(network, part(whole, 1, 2)), run(network, whole)
    assert (together.x[2:] - alone.x).abs().max() > 1e-3


@pytest.mark.parametrize("config", VARIANTS, ids=lambda c: f"{c.block}-{c.gate}")
def test_tokens_of_one_edit_reach_each_other_but_not_those_of_an_earlier_one(
    config: NetworkConfig,
) -> None:
    network = auxiliary(3, 4, 2, config)
    whole = random_signal([2, 3], 3, 4)
    changed = Signal(whole.x.clone(), whole.delta, whole.tokens_per_edit)
    changed.x[4] += 1  # the last token of the second edit
    difference = (run(network, changed)[0].x - run(network, whole)[0].x).abs().amax(1)
    assert difference[:2].max() == 0
    assert difference[2:].min() > 1e-6
