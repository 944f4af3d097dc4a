"""Saved edits give the base model the same weights bit for bit, and no other model any."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.torch import load_file

from dafnet_plugin.artifacts.card import SHOWN
from dafnet_plugin.artifacts.edits import DAFNetEdits
from dafnet_plugin.artifacts.saved_edits import RECORD, read_edits
from dafnet_plugin.cases import EditRequest
from dafnet_plugin.editing.editor import DAFNetEditor
from dafnet_plugin.editing.record import edits_of
from dafnet_plugin.errors import CheckpointError, ConfigError, DataError
from tests import helpers
from tests.artifacts.test_edits import FACTS, MODES, OTHER, SHORT, STEPS, carry_out, held, make
from tests.helpers import FAMILIES, bits


def edited(mode: str = "least_squares", family: str = "gpt2") -> DAFNetEdits:
    edits = DAFNetEdits(make(mode, family))
    edits.edit(FACTS[:2])
    for fact in FACTS[2:5]:
        edits.edit([fact])
    edits.undo("2")
    return edits


def only(folder: Path, kind: str) -> Path:
    """The one file of a kind."""
    (path,) = folder.glob(f"{kind}-*.safetensors")
    return path


def in_precision(family: str, dtype: torch.dtype) -> DAFNetEditor:
    bias = {"edit_bias": True} if family == "gpt2" else {}
    return helpers.editor(family, dtype, kind="sum", normaliser="layer_norm", edit_lr=-0.5, **bias)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16], ids=str)
@pytest.mark.parametrize("family", FAMILIES)
def test_the_update_alone_gives_the_same_weights(
    tmp_path: Path, family: str, dtype: torch.dtype
) -> None:
    edits = DAFNetEdits(in_precision(family, dtype))
    edits.edit(FACTS[:3])
    edits.save(tmp_path)
    base = helpers.model(family, dtype)
    before = bits(base.state_dict())
    undo = read_edits(tmp_path).apply(base)
    assert bits(base.state_dict()) == held(edits.editor) != before
    undo()
    assert bits(base.state_dict()) == before
    # As the text of the module says, without any code of this package:
    changes = load_file(only(tmp_path, "edits"))
    assert len(changes) == len(edits.editor.parameter_names)
    for name, change in changes.items():
        weight = base.get_parameter(name)
        weight.data = (weight.data.to(change.dtype) + change).to(weight.dtype)
    assert bits(base.state_dict()) == held(edits.editor)


@pytest.mark.parametrize("memory", [False, True])
@pytest.mark.parametrize("mode", MODES)
def test_loaded_into_an_editor_the_sequence_goes_on(
    tmp_path: Path, mode: str, memory: bool, caplog: pytest.LogCaptureFixture
) -> None:
    first = edited(mode)
    first.save(tmp_path, memory=memory)
    assert len(list(tmp_path.glob("memory-*"))) == memory
    again = DAFNetEdits(make(mode))
    again.load(tmp_path)
    assert held(again.editor) == held(first.editor) and again.list() == first.list()
    for request in SHORT:
        for edits in (first, again):
            edits.edit([request])
        assert held(again.editor) == held(first.editor)
    for edits in (first, again):
        edits.edit([FACTS[7]])
        edits.undo("3")
        edits.replace("4", OTHER)
    assert held(again.editor) == held(first.editor)
    assert not caplog.records
    with pytest.raises(ConfigError, match="the model carries 7 edits already"):
        again.load(tmp_path)


@pytest.mark.parametrize("mode", ["least_squares", "consolidated"])
@settings(max_examples=6, deadline=None)
@given(steps=STEPS, memory=st.booleans(), short=st.sampled_from(SHORT))
def test_whatever_was_done_saved_and_loaded_it_goes_on_as_if_never_stopped(
    tmp_path_factory: pytest.TempPathFactory,
    mode: str,
    steps: list[tuple[str, int]],
    memory: bool,
    short: EditRequest,
) -> None:
    folder = tmp_path_factory.mktemp("saved")
    first = DAFNetEdits(make(mode))
    calls = carry_out(first, steps)
    if not calls:
        with pytest.raises(DataError, match="the model carries no edits"):
            first.save(folder)
        return
    first.save(folder, memory=memory)
    again = DAFNetEdits(make(mode))
    again.load(folder)
    assert held(again.editor) == held(first.editor) and again.list() == first.list()
    name = calls[0][0][0]
    for change in (
        lambda edits: edits.edit([short]),
        lambda edits: edits.edit(FACTS[3:5]),
        lambda edits: edits.undo(name),
    ):
        change(first)
        change(again)
        assert held(again.editor) == held(first.editor)


def test_memory_that_was_saved_before_does_not_stay(tmp_path: Path) -> None:
    edits = edited()
    edits.save(tmp_path, memory=True)
    edits.undo("1")
    edits.save(tmp_path)
    assert not list(tmp_path.glob("memory-*")) and only(tmp_path, "edits")
    again = DAFNetEdits(make("least_squares"))
    again.load(tmp_path)
    assert held(again.editor) == held(edits.editor)


@pytest.mark.parametrize("memory", [False, True])
def test_saving_over_other_edits_leaves_these_or_those(
    tmp_path: Path, memory: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Stopped before, or after, any of the replacements."""
    replace = os.replace
    for stop in range(2 * (2 + memory)):
        edits, folder = edited("sum"), tmp_path / str(stop)
        edits.save(folder, memory=True)
        before, left = edits.list(), stop

        def stopping(*arguments: Any) -> None:
            nonlocal left
            if left == 0:
                raise KeyboardInterrupt
            replace(*arguments)
            if left == 1:
                raise KeyboardInterrupt
            left -= 2

        edits.edit([FACTS[7]])
        monkeypatch.setattr(os, "replace", stopping)
        with pytest.raises(KeyboardInterrupt):
            edits.save(folder, memory=memory)
        monkeypatch.undo()
        saved = read_edits(folder)
        last = stop == 2 * (2 + memory) - 1
        assert edits_of(saved.calls) == tuple(edits.list() if last else before)
        fresh = DAFNetEdits(make("sum"))
        fresh.load(folder)
        if last:
            assert held(fresh.editor) == held(edits.editor)
        edits.save(folder)
        assert only(folder, "edits") and not list(folder.glob("memory-*"))


def test_another_base_is_refused_and_stays_as_it_is(tmp_path: Path) -> None:
    edited().save(tmp_path)
    saved = read_edits(tmp_path)
    other = helpers.model("gpt2")
    with torch.no_grad():
        other.get_parameter("transformer.wpe.weight")[0, 0] += 1
    for base, what in (
        (other, r"1 of \d+ tensors differ, transformer.wpe.weight first;"),
        (helpers.model("gpt2", torch.bfloat16), r"is bfloat16 \S+ here, float32 \S+ there;"),
        (helpers.model("llama"), r"LlamaForCausalLM, sha256 \w+\): \d+ tensors are in one of"),
    ):
        before = bits(base.state_dict())
        with pytest.raises(CheckpointError, match=what) as caught:
            saved.apply(base)
        assert str(tmp_path) in str(caught.value) and "GPT2LMHeadModel" in str(caught.value)
        assert bits(base.state_dict()) == before
    with pytest.raises(CheckpointError, match="for another base model"):
        saved.apply(edited().editor.model)  # edited already
    with pytest.raises(CheckpointError, match="made by another DAFNet"):
        DAFNetEdits(make("least_squares", gate="paper")).load(tmp_path)
    with pytest.raises(CheckpointError, match=r"tensors differ, transformer.wpe"):
        one = make("least_squares")
        other_editor = DAFNetEditor(other, one.tokenizer, one.dafnet, helpers.MODULES["gpt2"])
        DAFNetEdits(other_editor).load(tmp_path)


def test_replayed_with_another_result_is_said(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    edited().save(tmp_path)
    one = make("least_squares")
    find = one.dafnet._least_squares

    def other_machine(*arguments: Any) -> Any:
        state = find(*arguments)
        return type(state)(state.weight * (1 + 1e-6), state.bias, state.covariance, state.loosened)

    monkeypatch.setattr(one.dafnet, "_least_squares", other_machine)
    DAFNetEdits(one).load(tmp_path)
    assert "made again on another kind of machine" in caplog.text


def test_damage_is_named(tmp_path: Path) -> None:
    edits = edited()
    with pytest.raises(CheckpointError, match=r"no saved edits here \(edits.json is missing\)"):
        read_edits(tmp_path)
    edits.save(tmp_path, memory=True)
    whole = {path: path.read_bytes() for path in tmp_path.iterdir()}
    about = json.loads(whole[tmp_path / RECORD])
    memory = only(tmp_path, "memory")
    for name, change in (
        (only(tmp_path, "edits").name, b"x"),
        (memory.name, b"x"),
        (RECORD, b"[]"),
        (RECORD, b"{"),
        (RECORD, json.dumps(about | {"format": 1}).encode()),
        (RECORD, json.dumps({key: about[key] for key in about if key != "edits"}).encode()),
        (RECORD, json.dumps(about | {"edits": {"settings": [], "calls": [{}]}}).encode()),
    ):
        (tmp_path / name).write_bytes(change)
        with pytest.raises(CheckpointError, match=str(tmp_path)):
            read_edits(tmp_path)
        (tmp_path / name).write_bytes(whole[tmp_path / name])
    memory.unlink()
    with pytest.raises(CheckpointError, match="damaged"):
        read_edits(tmp_path)


def test_nothing_is_not_saved(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="the model carries no edits"):
        DAFNetEdits(make("sum")).save(tmp_path / "edits")
    assert not (tmp_path / "edits").exists()


def test_the_folder_is_ready_for_a_hub(tmp_path: Path) -> None:
    from huggingface_hub import ModelCard

    edits = edited()
    base = edits.editor.model
    base.config._name_or_path = str(tmp_path)  # of one machine only
    many = [type(OTHER)(f"{number} | lives in\n", "Rome") for number in range(SHOWN)]
    edits.edit(many)
    edits.save(tmp_path / "edits")
    text = (tmp_path / "edits" / "README.md").read_text()
    card = ModelCard(text)
    assert card.data.base_model is None and card.data.library_name == "dafnet-plugin"
    assert "| 1 | Ada lives in | Rome |" in text and "Bo still" not in text
    assert f"{SHOWN + 4} edits of {tmp_path.name}" in text and "... and 4 more." in text
    assert r"| 6 | 0 \| lives in  | Rome |" in text
    everything = "".join(
        path.read_text(errors="replace") for path in (tmp_path / "edits").iterdir()
    )
    assert str(tmp_path.parent) not in everything
    base.config._name_or_path = "openai-community/gpt2"
    edits.save(tmp_path / "edits")
    card = ModelCard((tmp_path / "edits" / "README.md").read_text())
    assert card.data.base_model == "openai-community/gpt2"
    assert card.data.base_model_relation == "finetune"
