"""Finding modules by name, and context managers that leave no trace."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from dafnet_plugin.editing.modules import (
    by_position,
    evaluation_mode,
    find_edit_modules,
    frozen,
    swapped_weights,
)
from dafnet_plugin.errors import ModelError
from tests.helpers import FAMILIES, MODULES, model


@pytest.mark.parametrize("family", FAMILIES)
def test_both_orientations_of_a_weight(family: str) -> None:
    base = model(family)
    for edit_module in find_edit_modules(base, MODULES[family]):
        x = torch.randn(3, edit_module.d_in)
        change = torch.randn(edit_module.d_in, edit_module.d_out)
        before = edit_module.module(x)
        assert before.shape == (3, edit_module.d_out)
        with torch.no_grad():
            edit_module.weight.add_(edit_module.stored(change))
        torch.testing.assert_close(edit_module.module(x) - before, x @ change, atol=1e-5, rtol=1e-4)


def test_every_wrong_name_is_in_one_message_with_the_nearest_match() -> None:
    names = ["transformer.h.0.mlp.c_porj", "transformer.h.1", "transformer.h.1.mlp.c_fc", "lm"]
    with pytest.raises(ModelError) as caught:
        find_edit_modules(model("gpt2"), names)
    message = str(caught.value)
    assert "no module 'transformer.h.0.mlp.c_porj'" in message
    assert "did you mean 'transformer.h.0.mlp.c_proj'?" in message
    assert "'transformer.h.1' is a GPT2Block, not a linear module" in message
    assert "no module 'lm'" in message
    assert "GPT2LMHeadModel" in message and "'transformer.h.1.mlp.c_fc'" not in message


@pytest.mark.parametrize("kind", ["transformer.wte", "transformer.h.0.ln_1", "transformer.h.0.mlp"])
def test_a_module_that_is_not_linear_is_refused(kind: str) -> None:
    with pytest.raises(ModelError, match="not a linear module"):
        find_edit_modules(model("gpt2"), [kind])


def test_no_name_and_a_name_given_twice_are_refused() -> None:
    with pytest.raises(ModelError, match="no module is named"):
        find_edit_modules(model("gpt2"), [])
    with pytest.raises(ModelError, match="named twice"):
        find_edit_modules(model("gpt2"), [MODULES["gpt2"][0]] * 2)


class StopHereError(Exception):
    """What a user's model may raise in the middle of anything."""


def test_swapped_weights_come_back_as_the_same_storage_also_on_error() -> None:
    linear = nn.Linear(2, 2)
    held = linear.weight.data_ptr()
    with pytest.raises(StopHereError), swapped_weights([linear.weight], [torch.zeros(2, 2)]):
        assert not linear.weight.any()
        raise StopHereError
    assert linear.weight.data_ptr() == held and linear.weight.any()


def test_frozen_and_evaluation_mode_restore_each_flag_also_on_error() -> None:
    net = nn.Sequential(nn.Linear(2, 2), nn.Dropout(), nn.Linear(2, 2)).train()
    net[1].eval()
    net[0].weight.requires_grad_(False)
    flags = [p.requires_grad for p in net.parameters()]
    modes = [m.training for m in net.modules()]
    with pytest.raises(StopHereError), frozen(net), evaluation_mode(net):
        assert not any(p.requires_grad for p in net.parameters())
        assert not any(m.training for m in net.modules())
        raise StopHereError
    assert [p.requires_grad for p in net.parameters()] == flags
    assert [m.training for m in net.modules()] == modes


def test_flattened_positions_are_told_apart_from_positions_that_are_missing() -> None:
    (edit_module,) = find_edit_modules(model("llama"), MODULES["llama"][:1])
    mask, rows = torch.ones(2, 3), torch.randn(2, 3, edit_module.d_in)
    assert torch.equal(by_position(edit_module.name, rows, mask), rows)
    assert torch.equal(by_position(edit_module.name, rows.flatten(0, 1), mask), rows)
    with pytest.raises(ModelError, match=r"down_proj saw 4 of 6 positions; .*\(an expert\)"):
        by_position(edit_module.name, rows.flatten(0, 1)[:4], mask)
