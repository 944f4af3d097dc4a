"""Neurons beside a feed-forward module: what they add, and that nothing is left of them."""

from __future__ import annotations

import copy

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from dafnet_plugin.errors import ModelError
from dafnet_plugin.methods.neurons import (
    ACTIVATIONS,
    Neurons,
    added_to,
    find_feed_forwards,
    joined,
    no_neurons,
    set_neurons,
    take_all_away,
    tried,
)
from tests import helpers
from tests.methods import world
from tests.methods.settings import FAMILIES


def some(count: int, width: int, seed: int = 0) -> Neurons:
    generator = torch.Generator().manual_seed(seed)
    shapes = ((count, width), (count,), (count, width))
    return Neurons(*(torch.randn(shape, generator=generator) for shape in shapes))


def output(model: torch.nn.Module, name: str, x: Tensor) -> Tensor:
    with torch.no_grad():
        return model.get_submodule(name)(x)


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_they_add_what_the_paper_says(family: str, activation: str) -> None:
    model, name = helpers.model(family), world.LAST[family]
    x, neurons = torch.randn(2, 3, 16), some(4, 16)
    before = output(model, name, x)
    set_neurons(model, name, neurons, activation)
    by_hand = sum(
        ACTIVATIONS[activation](x @ neurons.keys[i] + neurons.biases[i])[..., None]
        * neurons.values[i]
        for i in range(4)
    )
    torch.testing.assert_close(output(model, name, x), before + by_hand)


@pytest.mark.parametrize("family", FAMILIES)
def test_trying_is_holding(family: str) -> None:
    model, name, x, neurons = (
        helpers.model(family),
        world.LAST[family],
        torch.randn(5, 16),
        some(3, 16),
    )
    set_neurons(model, name, neurons, "gelu")
    held = output(model, name, x)
    take_all_away(model)
    with tried(model, {name: (neurons, "gelu")}):
        torch.testing.assert_close(output(model, name, x), held)
    assert not torch.equal(output(model, name, x), held)


@settings(max_examples=20, deadline=None)
@given(counts=st.lists(st.integers(0, 4), min_size=1, max_size=5), seed=st.integers(0, 99))
def test_whatever_was_added_can_be_taken_away(counts: list[int], seed: int) -> None:
    model, name = helpers.model("gpt2"), world.LAST["gpt2"]
    names, before = (
        [n for n, _ in model.named_modules()],
        helpers.bits(dict(model.named_parameters())),
    )
    for index, count in enumerate(counts):
        set_neurons(model, name, some(count, 16, seed + index), "relu")
        holder = added_to(model, name)
        assert (holder is None) == (count == 0)
        assert holder is None or len(holder.neurons) == count
    take_all_away(model)
    assert [n for n, _ in model.named_modules()] == names
    assert helpers.bits(dict(model.named_parameters())) == before


def test_half_precision_keeps_its_dtype_and_neurons_theirs() -> None:
    model = helpers.model("llama", torch.bfloat16)
    set_neurons(model, world.LAST["llama"], some(2, 16), "relu")
    assert (
        output(model, world.LAST["llama"], torch.randn(1, 16, dtype=torch.bfloat16)).dtype
        == torch.bfloat16
    )
    assert added_to(model, world.LAST["llama"]).keys.dtype == torch.float32


def test_joining_and_none() -> None:
    none, three = no_neurons(16, torch.device("cpu")), some(3, 16)
    assert len(none) == 0 and joined(none, three).equal(three)
    assert not three.equal(some(3, 16, seed=1)) and not three.equal(none)
    assert joined(three, some(2, 16)).inputs(torch.zeros(7, 16)).shape == (7, 5)


@pytest.mark.parametrize("family", FAMILIES)
def test_places_that_do_not_exist_are_named(family: str) -> None:
    model, right = helpers.model(family), world.LAST[family]
    attention = {"gpt2": "transformer.h.1.attn", "llama": "model.layers.1.self_attn"}[family]
    find_feed_forwards(model, [right, world.FIRST[family]])
    for names, said in (
        ([right.replace("mlp", "mpl")], f"does not exist (did you mean '{right}'?)"),
        ([attention], f"'{attention}' ("),
        ([right, right], "named twice"),
    ):
        with pytest.raises(ModelError) as caught:
            find_feed_forwards(model, names)
        assert said in str(caught.value) and f"for example: {world.FIRST[family]}" in str(
            caught.value
        )


def test_a_copy_has_neurons_of_its_own() -> None:
    model, name = helpers.model("gpt2"), world.LAST["gpt2"]
    set_neurons(model, name, some(2, 16), "relu")
    twin = copy.deepcopy(model)
    take_all_away(model)
    assert added_to(twin, name) is not None and added_to(model, name) is None
