"""Editing models that PEFT wraps: the base model's weights change, the adapter stays as it is."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import pytest
import torch

from dafnet_plugin.editing.editor import DAFNetEditor
from dafnet_plugin.editing.modules import find_edit_modules
from dafnet_plugin.errors import ModelError
from tests.helpers import FAMILIES, MODULES, bits, dafnet_for, model, requests, tokenizer

peft = pytest.importorskip("peft")
TARGETS = {"gpt2": ["c_proj", "c_attn"], "llama": ["down_proj", "q_proj"]}


def wrapped(family: str, **settings: Any) -> Any:
    """A tiny model with LoRA that does something, on some edited modules and on others."""
    config = peft.LoraConfig(
        r=2,
        target_modules=TARGETS[family],
        init_lora_weights=False,
        fan_in_fan_out=family == "gpt2",
        lora_dropout=0.1,
        **settings,
    )
    torch.manual_seed(1)
    return peft.get_peft_model(model(family), config).eval()


def editor_of(base: Any, family: str, **settings: Any) -> DAFNetEditor:
    dafnet = dafnet_for(model(family), family, kind="least_squares", **settings)
    return DAFNetEditor(base, tokenizer(), dafnet, MODULES[family], batch_size=3)


@torch.no_grad()
def logits(base: Any) -> torch.Tensor:
    return base(**tokenizer()("Ada lives in", return_tensors="pt")).logits


@pytest.mark.parametrize("merged", [False, True], ids=["unmerged", "merged"])
@pytest.mark.parametrize("family", FAMILIES)
def test_edits_change_the_base_weights_only_and_are_undone(family: str, merged: bool) -> None:
    base = wrapped(family)
    if merged:
        base.merge_adapter()
    before, said = bits(base.state_dict()), logits(base)
    editor = editor_of(base, family)
    undo = editor.edit(requests(3))
    after = bits(base.state_dict())
    changed = {name for name in after if after[name] != before[name]}
    assert changed == set(editor.parameter_names) and len(changed) == len(MODULES[family])
    assert not any("lora" in name for name in changed)
    assert not torch.equal(logits(base), said)
    undo()
    assert bits(base.state_dict()) == before
    assert torch.equal(logits(base), said)


@pytest.mark.parametrize("family", FAMILIES)
def test_signals_see_the_adapter_and_merging_it_changes_nothing_but_rounding(family: str) -> None:
    unmerged, merged = wrapped(family), wrapped(family)
    merged.merge_adapter()
    plain = wrapped(family).merge_and_unload()  # an ordinary model
    signals = [editor_of(b, family).signals(requests(3)) for b in (unmerged, merged, plain)]
    without = editor_of(model(family), family).signals(requests(3))
    for one, two, three, none in zip(*signals, without, strict=True):
        torch.testing.assert_close(one.x, two.x, rtol=1e-3, atol=1e-4)
        torch.testing.assert_close(one.delta, three.delta, rtol=1e-3, atol=1e-4)
        assert torch.equal(two.tokens_per_edit, three.tokens_per_edit)
        assert not torch.allclose(one.delta, none.delta, rtol=1e-2, atol=1e-3)


@pytest.mark.parametrize("family", FAMILIES)
def test_the_same_edit_whatever_holds_the_model(family: str) -> None:
    unmerged, plain = wrapped(family), wrapped(family).merge_and_unload()
    inside = wrapped(family).get_base_model()  # the base model's own class, adapters injected
    held = [unmerged, inside, plain]
    for base in held:
        editor_of(base, family).edit(requests(3))
    for other in held[1:]:
        torch.testing.assert_close(logits(unmerged), logits(other), rtol=1e-3, atol=1e-3)


def test_an_edit_outlives_the_adapter() -> None:
    base = wrapped("llama")
    editor = editor_of(base, "llama")
    editor.edit(requests(2))
    update = editor.snapshot().state.updates[0].weight  # type: ignore[union-attr]
    plain = base.unload()
    edited = find_edit_modules(plain, MODULES["llama"])[0]
    original = find_edit_modules(model("llama"), MODULES["llama"])[0]
    torch.testing.assert_close(
        edited.weight - original.weight, edited.stored(update), atol=1e-5, rtol=1e-4
    )


def test_names_may_be_those_of_the_base_model_or_of_the_wrapper() -> None:
    base = wrapped("llama")
    plain = find_edit_modules(base, ["model.layers.0.mlp.down_proj", "model.layers.1.mlp.up_proj"])
    assert [m.name for m in plain] == MODULES["llama"]
    assert [m.path for m in plain] == [
        "base_model.model.model.layers.0.mlp.down_proj.base_layer",
        "base_model.model.model.layers.1.mlp.up_proj",
    ]
    full = find_edit_modules(base, [m.path for m in plain])
    assert [m.module for m in full] == [m.module for m in plain]
    with pytest.raises(ModelError, match="a module is named twice"):
        find_edit_modules(base, [plain[0].name, plain[0].path])
    with pytest.raises(ModelError, match=r"did you mean 'model.layers.0.mlp.down_proj'"):
        find_edit_modules(base, ["model.layers.0.mlp.down_porj"])
    with pytest.raises(ModelError, match="language-model head"):
        find_edit_modules(base, ["lm_head"])


def test_a_copy_is_edited_apart() -> None:
    base = wrapped("llama")
    editor = editor_of(base, "llama")
    editor.edit(requests(1))
    twin_model = copy.deepcopy(base)
    before = bits(base.state_dict())
    editor.fork(twin_model).edit(requests(3)[1:])
    assert bits(base.state_dict()) == before != bits(twin_model.state_dict())


def test_virtual_tokens_are_refused() -> None:
    config = peft.PromptTuningConfig(task_type="CAUSAL_LM", num_virtual_tokens=2)
    with pytest.raises(ModelError, match="PromptTuningConfig puts virtual tokens"):
        find_edit_modules(peft.get_peft_model(model("gpt2"), config), MODULES["gpt2"])


def test_quantised_weights_are_refused_by_name() -> None:
    base = model("llama")
    module = base.model.layers[0].mlp.down_proj
    module.weight = torch.nn.Parameter(module.weight.data.to(torch.int8), requires_grad=False)
    with pytest.raises(ModelError) as caught:
        find_edit_modules(base, MODULES["llama"])
    assert "'model.layers.0.mlp.down_proj' has quantised weights (torch.int8)" in str(caught.value)
    assert "up_proj" not in str(caught.value).partition("for example")[0]


def test_a_saved_adapter_is_a_model_to_edit_but_not_to_save_over(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    from dafnet_plugin.artifacts.checkpoint import Checkpoint, save_checkpoint
    from dafnet_plugin.cli import main

    model("llama").save_pretrained(tmp_path / "llama")
    base = wrapped("llama")
    base.peft_config["default"].base_model_name_or_path = str(tmp_path / "llama")
    base.save_pretrained(tmp_path / "adapter")
    tokenizer().save_pretrained(tmp_path / "adapter")
    dafnet = dafnet_for(model("llama"), "llama", kind="sum")
    save_checkpoint(Checkpoint(dafnet, tuple(MODULES["llama"]), {}), tmp_path / "dafnet")
    (tmp_path / "edit.yaml").write_text(
        f"model_name: {tmp_path / 'adapter'}\narchive: {tmp_path / 'dafnet'}\n"
        f"edit_modules: {MODULES['llama']}\n"
    )
    edit = ["edit", str(tmp_path / "edit.yaml"), "--prompt", "Ada lives in", "--target", "Rome"]
    assert main(edit) == 0
    assert "Ada lives in" in capsys.readouterr().out
    assert main([*edit, "--out", str(tmp_path / "out")]) == 2
    assert "a model with a PEFT adapter" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_merging_between_two_edits_is_noticed() -> None:
    base = wrapped("llama")
    editor = editor_of(base, "llama")
    undo = editor.edit(requests(1))
    base.merge_adapter()
    with pytest.raises(ModelError, match="were changed by something else"):
        editor.edit(requests(2)[1:])
    undo()
    assert editor.requests == ()
