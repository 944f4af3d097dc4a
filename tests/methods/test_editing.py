"""What both methods that add neurons share: accumulate, undo, follow, save, go on."""

from __future__ import annotations

import copy
import json
from pathlib import Path
from typing import Any

import pytest
import torch

from dafnet_plugin.errors import CheckpointError, DataError, ModelError, NumericalError
from dafnet_plugin.methods.neurons import added_to, set_neurons, take_all_away
from dafnet_plugin.methods.saving import load_edits, save_edits
from tests.methods import world
from tests.methods.settings import FAMILIES, editor, facts

METHODS = ("TPATCHER", "CALINET")
both = pytest.mark.parametrize("method", METHODS)
families = pytest.mark.parametrize("family", FAMILIES)
LITTLE: dict[str, Any] = {"steps": 5}


def same(first: Any, second: Any) -> bool:
    return all(a.equal(b) for a, b in zip(first.snapshot().neurons, second.snapshot().neurons))


@both
@families
def test_edits_hold_and_are_undone_bit_for_bit(method: str, family: str) -> None:
    of = editor(method, family)
    before = world.bits(of.model)
    undo = of.edit(facts(of, "Ada"))
    assert world.answers(of.model, ["Ada lives in"]) == [world.other_home("Ada")]
    assert all(parameter.requires_grad for parameter in of.model.parameters())
    once = world.bits(of.model)
    again = of.edit(facts(of, "Bo"))
    assert [r.subject for r in of.requests] == ["Ada", "Bo"]
    again()
    assert world.bits(of.model) == once and len(of.requests) == 1
    undo()
    assert world.bits(of.model) == before and of.requests == ()
    assert dict(of.edit([])) == {} and world.bits(of.model) == before


@both
def test_the_same_edits_give_the_same_bytes(method: str) -> None:
    one, two = editor(method, "gpt2", **LITTLE), editor(method, "gpt2", **LITTLE)
    for of in (one, two):
        torch.manual_seed(id(of) % 1000)  # whatever else is drawn
        of.edit(facts(of, "Ada"))
        of.edit(facts(of, "Bo"))
    assert world.bits(one.model) == world.bits(two.model)


@both
def test_to_whoever_copies_weights_back_undoing_is_reading(method: str) -> None:
    of = editor(method, "gpt2", **LITTLE)
    before = world.bits(of.model)
    for _ in of.edit(facts(of, "Ada")).items():
        raise AssertionError("no weight was changed")
    assert world.bits(of.model) == before


@both
def test_modules_put_back_by_somebody_else_are_noticed(method: str) -> None:
    of = editor(method, "gpt2", **LITTLE)
    of.edit(facts(of, "Ada"))
    first = world.bits(of.model)
    take_all_away(of.model)
    of.edit(facts(of, "Ada"))
    assert world.bits(of.model) == first and len(of.requests) == 1


@both
def test_changed_neurons_are_refused(method: str) -> None:
    of = editor(method, "gpt2", **LITTLE)
    of.edit(facts(of, "Ada"))
    holder = added_to(of.model, of.names[-1])
    with torch.no_grad():
        holder.values.add_(1)
    with pytest.raises(ModelError, match="changed by something else"):
        of.edit(facts(of, "Bo"))
    with pytest.raises(ModelError, match="another editor added"):
        editor(method, "gpt2", of.model)
    of.reset()
    assert of.requests == ()


@both
def test_a_fork_goes_on_alone(method: str) -> None:
    of = editor(method, "gpt2", **LITTLE)
    of.edit(facts(of, "Ada"))
    twin = of.fork(copy.deepcopy(of.model))
    before = world.bits(of.model)
    twin.edit(facts(of, "Bo"))
    assert world.bits(of.model) == before and len(of.requests) == 1 and len(twin.requests) == 2
    of.edit(facts(of, "Bo"))
    assert same(of, twin)


@both
def test_failures_lose_nothing(method: str) -> None:
    of = editor(method, "gpt2", **LITTLE)
    of.edit(facts(of, "Ada"))
    before = world.bits(of.model)
    good, bad = facts(of, "Bo"), of.read({"prompt": "Bo " * 40 + "lives in", "target_new": "Rome"})
    with pytest.raises(DataError, match="context holds 16"):
        of.edit([*good, bad])
    of.hparams.lr = 1e30
    with pytest.raises(NumericalError, match="lower lr"):
        of.edit(good)
    assert world.bits(of.model) == before and len(of.requests) == 1
    with pytest.raises(DataError, match="lacks target_new"):
        of.read({"prompt": "Bo lives in"})


@both
def test_saved_edits_are_loaded_and_gone_on_with(method: str, tmp_path: Path) -> None:
    of = editor(method, "llama", **LITTLE)
    of.edit(facts(of, "Ada", "Bo"))
    save_edits(of, tmp_path)
    other = editor(method, "llama", **LITTLE)
    load_edits(other, tmp_path)
    assert world.bits(other.model) == world.bits(of.model) and other.requests == of.requests
    for one in (of, other):
        one.edit(facts(one, "Cleo"))
    assert world.bits(other.model) == world.bits(of.model)


@both
def test_an_editor_without_edits_is_saved_too(method: str, tmp_path: Path) -> None:
    save_edits(editor(method, "gpt2"), tmp_path)
    of = editor(method, "gpt2", **LITTLE)
    of.edit(facts(of, "Ada"))
    load_edits(of, tmp_path)
    assert of.requests == () and added_to(of.model, of.names[0]) is None


def test_edits_of_another_kind_are_refused(tmp_path: Path) -> None:
    of = editor("TPATCHER", "gpt2", **LITTLE)
    of.edit(facts(of, "Ada"))
    save_edits(of, tmp_path)
    for other, said in (
        (editor("TPATCHER", "gpt2", activation="gelu"), "activation is 'relu', here 'gelu'"),
        (editor("TPATCHER", "llama"), "edit_modules is"),
        (editor("CALINET", "gpt2"), "method is 'TPATCHER', here 'CALINET'"),
        (editor("TPATCHER", "gpt2", world.untrained("gpt2").eval()), "model is"),
    ):
        with pytest.raises(CheckpointError, match=said):
            load_edits(other, tmp_path)
        assert other.requests == ()
    with pytest.raises(CheckpointError, match=r"no edits here \(neurons.json is missing\)"):
        load_edits(of, tmp_path / "nowhere")


@pytest.mark.parametrize("damage", ["weights", "config", "requests", "format"])
def test_damage_is_named(damage: str, tmp_path: Path) -> None:
    of = editor("CALINET", "gpt2", **LITTLE)
    of.edit(facts(of, "Ada"))
    save_edits(of, tmp_path)
    weights, config = tmp_path / "neurons.safetensors", tmp_path / "neurons.json"
    data = json.loads(config.read_text())
    if damage == "weights":
        weights.write_bytes(weights.read_bytes()[:-4])
    elif damage == "config":
        del data["weights_sha256"]
    elif damage == "requests":
        data["requests"][0]["prompt"] = ""
    else:
        data["format"] = 7
    config.write_text(json.dumps(data))
    said = {"weights": "is damaged", "config": "'weights_sha256' is missing",
            "requests": "damaged edits", "format": "format 7; this version reads 1"}  # fmt: skip
    with pytest.raises(CheckpointError, match=said[damage]):
        load_edits(of, tmp_path)
    assert len(of.requests) == 1


def test_none_is_left_of_neurons_that_are_set_to_none() -> None:
    of = editor("TPATCHER", "gpt2", **LITTLE)
    of.edit(facts(of, "Ada"))
    set_neurons(of.model, of.names[0], of._none.neurons[0], "relu")
    of.synchronise()
    assert of.requests == ()
