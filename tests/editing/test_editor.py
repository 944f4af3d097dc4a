"""Undoing is bit-identical, the edit memory follows the weights, and nothing is lost on errors."""

from __future__ import annotations

import copy

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from dafnet_plugin.editing.editor import DAFNetEditor
from dafnet_plugin.editing.weights_copy import WeightsCopy
from tests.helpers import (
    FAMILIES,
    MODULES,
    bits,
    dafnet_for,
    editor,
    model,
    requests,
    tokenizer,
)

FACTS = requests(8)
DTYPES = [torch.float32, torch.bfloat16]


def make(
    family: str = "gpt2", dtype: torch.dtype = torch.float32, kind: str = "least_squares"
) -> DAFNetEditor:
    bias = kind != "least_squares" and family == "gpt2"
    return editor(family, dtype, kind=kind, normaliser="layer_norm", edit_lr=-0.5, edit_bias=bias)


def held(one: DAFNetEditor) -> dict[str, bytes]:
    """The bytes of the whole model."""
    return bits(one.model.state_dict())


@pytest.mark.parametrize("kind", ["running_mean", "sum", "least_squares"])
@pytest.mark.parametrize("dtype", DTYPES, ids=str)
@pytest.mark.parametrize("family", FAMILIES)
def test_restore_is_bit_identical(family: str, dtype: torch.dtype, kind: str) -> None:
    one = make(family, dtype, kind)
    original = held(one)
    undo_first = one.edit(FACTS[:3])
    after_first = held(one)
    undo_second = one.edit(FACTS[3:4])
    after_second = held(one)
    assert len({str(original), str(after_first), str(after_second)}) == 3
    mark = one.snapshot()
    undo_second()
    assert held(one) == after_first and one.requests == tuple(FACTS[:3])
    undo_first()
    assert held(one) == original and one.requests == ()
    one.restore(mark)
    assert held(one) == after_second and one.requests == tuple(FACTS[:4])
    one.reset()
    assert held(one) == original and one.requests == ()


@settings(max_examples=25, deadline=None)
@given(st.lists(st.integers(-4, 7), min_size=1, max_size=12))
def test_any_walk_of_edits_and_undos_ends_where_the_edits_left_say(steps: list[int]) -> None:
    """Negative steps go back to an earlier moment, others edit one fact."""
    one = make(kind="least_squares")
    moments = [(one.snapshot(), held(one))]
    for step in steps:
        if step < 0:
            snapshot, expected = moments[step % len(moments)]
            one.restore(snapshot)
            assert held(one) == expected
        else:
            one.edit([FACTS[step]])
            moments.append((one.snapshot(), held(one)))
    fresh = make(kind="least_squares")
    for fact in one.requests:
        fresh.edit([fact])
    assert held(fresh) == held(one)


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
def test_a_weights_copy_is_a_mapping_to_what_the_model_held(dtype: torch.dtype) -> None:
    one = make(dtype=dtype, kind="sum")
    one.edit(FACTS[:2])
    before = {name: one.model.get_parameter(name).detach().clone() for name in one.parameter_names}
    copy_ = one.edit(FACTS[2:4])
    assert isinstance(copy_, WeightsCopy) and len(copy_) == len(one.parameter_names) == 6
    assert list(copy_) == one.parameter_names and "transformer.wte.weight" not in copy_
    assert bits(dict(copy_)) == bits(before)
    with pytest.raises(KeyError):
        copy_["no.such.weight"]
    copy_[one.parameter_names[0]].zero_()  # what is handed out is a copy
    assert bits(dict(copy_)) == bits(before)
    fresh = make(dtype=dtype, kind="sum")
    original = held(fresh)
    fresh.edit(FACTS[:1])[fresh.parameter_names[0]].zero_()
    fresh.reset()
    assert held(fresh) == original


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
@pytest.mark.parametrize("family", FAMILIES)
def test_the_edit_memory_follows_weights_that_are_copied_back(
    family: str, dtype: torch.dtype
) -> None:
    one, expected = make(family, dtype), make(family, dtype)
    expected.edit([FACTS[0]])
    expected.edit([FACTS[2]])
    one.edit([FACTS[0]])
    weights = one.edit([FACTS[1]])
    with torch.no_grad():
        for name, value in weights.items():  # as EasyEdit restores
            one.model.get_parameter(name)[...] = value
    one.edit([FACTS[2]])
    assert one.requests == (FACTS[0], FACTS[2])
    assert held(one) == held(expected)


def test_edits_add_up_in_float32_whatever_the_models_type() -> None:
    """Rounded once, not at every edit: small ones would otherwise be lost."""
    one = make(dtype=torch.bfloat16, kind="sum")
    original = one.weights_of(one.snapshot())
    for fact in FACTS:
        one.edit([fact])
    state = one.snapshot().state
    assert state is not None
    for edit_module, update in zip(one.modules, state.updates, strict=True):
        assert update.weight.dtype is torch.float32
        exact = original[f"{edit_module.name}.weight"].float() + edit_module.stored(update.weight)
        assert torch.equal(edit_module.weight, exact.bfloat16())


def test_parameters_may_be_replaced_by_equal_ones() -> None:
    """As restoring by assignment, or loading a state dict by assignment, does."""
    one = make()
    one.edit([FACTS[0]])
    weights = dict(one.edit([FACTS[1]]))
    for name, value in weights.items():
        owner, _, last = name.rpartition(".")
        setattr(one.model.get_submodule(owner), last, torch.nn.Parameter(value))
    one.edit([FACTS[2]])
    assert one.requests == (FACTS[0], FACTS[2])
    expected = make()
    expected.edit([FACTS[0]])
    expected.edit([FACTS[2]])
    assert held(one) == held(expected)


def test_the_edit_memory_follows_the_original_weights() -> None:
    one = make()
    one.edit([FACTS[0]])
    original = make().weights_of(make().snapshot())
    one.edit([FACTS[1]])
    with torch.no_grad():
        for name, value in original.items():
            one.model.get_parameter(name).copy_(value)
    one.synchronise()
    assert one.requests == ()


def test_other_parameters_may_change_freely() -> None:
    one = make()
    one.edit([FACTS[0]])
    with torch.no_grad():
        one.model.get_parameter("transformer.ln_f.bias").add_(1)
    one.edit([FACTS[1]])
    assert one.requests == tuple(FACTS[:2])


def test_two_editors_of_two_models_share_nothing() -> None:
    dafnet = dafnet_for(model("gpt2"), "gpt2", kind="least_squares", normaliser="layer_norm")
    one, other = (
        DAFNetEditor(model("gpt2"), tokenizer(), dafnet, MODULES["gpt2"]) for _ in range(2)
    )
    before = held(other)
    one.edit(FACTS[:3])
    assert held(other) == before and other.requests == ()
    other.edit(FACTS[:3])
    assert held(other) == held(one)


def test_a_fork_edits_a_copy_of_the_model_from_where_the_first_one_was() -> None:
    one = make()
    one.edit(FACTS[:2])
    twin = one.fork(copy.deepcopy(one.model))
    before = held(one)
    twin.edit([FACTS[2]])
    assert held(one) == before and one.requests == tuple(FACTS[:2])
    one.edit([FACTS[2]])
    assert held(twin) == held(one)
    twin.reset()
    assert held(twin) == held(make())


def test_an_edited_model_is_saved_and_loaded_as_any_other(tmp_path) -> None:  # type: ignore[no-untyped-def]
    one = make("llama")
    one.edit(FACTS[:3])
    one.model.save_pretrained(tmp_path)
    loaded = type(one.model).from_pretrained(tmp_path)
    assert bits(loaded.state_dict()) == held(one)
