"""The methods beside DAFNet on models in an adapter, a chat, another precision or two places."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

from dafnet_plugin.base_models import load_base_model
from dafnet_plugin.editing.modules import find_edit_modules
from dafnet_plugin.errors import ConfigError, ModelError
from dafnet_plugin.methods.ke.hparams import KEHparams
from dafnet_plugin.methods.ke.method import KEEditor, gradients_and_requests
from dafnet_plugin.methods.ke.network import HypernetworkConfig, KnowledgeEditor
from dafnet_plugin.methods.neurons import added_to, take_all_away
from dafnet_plugin.methods.saving import load_edits, save_edits
from dafnet_plugin.methods.tpatcher.hparams import TPatcherHparams
from dafnet_plugin.tokens import encode, in_chat
from tests.helpers import MODULES, bits, model, requests, shuffle_parameters, tokenizer
from tests.holding.test_chat import chatty, said
from tests.holding.test_peft import logits, wrapped
from tests.methods import world
from tests.methods.settings import FAMILIES, editor

peft = pytest.importorskip("peft")
ADDING = ("TPATCHER", "CALINET")


def of_words(name: str, family: str, base: Any, **changes: Any) -> Any:
    """An editor of a model that the tests wrap; a few steps will do."""
    texts = [f"{request.prompt} {request.target_new}" for request in requests(6)[3:]]
    # GELU: neurons that these few steps leave silent still do something.
    changes = {"activation": "gelu", **changes}
    found = editor(name, family, base, steps=3, memory_texts=texts, **changes)
    found.tokenizer = tokenizer()
    return found


def ke(family: str, base: Any, **changes: Any) -> KEEditor:
    """With a network far from where training starts."""
    torch.manual_seed(0)
    shapes = [edit_module.shape for edit_module in find_edit_modules(base, MODULES[family])]
    network = KnowledgeEditor(shapes, 16, HypernetworkConfig(lstm_dim=6, summary_dim=8))
    shuffle_parameters(network)
    hparams = KEHparams.from_dict(
        {"model_name": family, "edit_modules": MODULES[family], **changes}
    )
    return KEEditor(base, tokenizer(), network, hparams)


@pytest.mark.parametrize("merged", [False, True], ids=["unmerged", "merged"])
@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("name", ADDING)
def test_neurons_stand_inside_a_wrapper_and_change_no_weight(
    name: str, family: str, merged: bool, tmp_path: Path
) -> None:
    base = wrapped(family)
    if merged:
        base.merge_adapter()
    before, outside = bits(base.state_dict()), logits(base)
    of = of_words(name, family, base)
    assert of.names[-1] == world.LAST[family]  # as in the base model, and so are saved edits
    undo = of.edit([of.read({"prompt": r.prompt, "target_new": r.target_new}) for r in requests(2)])
    held = added_to(base, of.paths[-1])
    assert held is not None and len(held.neurons)
    inside = logits(base)
    assert not torch.equal(inside, outside)
    save_edits(of, tmp_path)
    undo()
    assert bits(base.state_dict()) == before and torch.equal(logits(base), outside)
    load_edits(of, tmp_path)
    assert torch.equal(logits(base), inside)
    take_all_away(base)
    of.synchronise()
    assert of.requests == () and bits(base.state_dict()) == before


@pytest.mark.parametrize("family", FAMILIES)
def test_what_ke_returns_restores_a_wrapped_model(family: str) -> None:
    base = wrapped(family)
    before = bits(base.state_dict())
    parameters = dict(base.named_parameters())
    returned = ke(family, base).edit(requests(2))
    after = bits(base.state_dict())
    assert {name for name in after if after[name] != before[name]} == set(returned)
    with torch.no_grad():
        for name, weight in returned.items():  # as EasyEdit does
            parameters[name].copy_(weight)
    assert bits(base.state_dict()) == before


def test_neurons_are_not_put_behind_virtual_tokens() -> None:
    config = peft.PromptTuningConfig(task_type="CAUSAL_LM", num_virtual_tokens=2)
    with pytest.raises(ModelError, match="PromptTuningConfig puts virtual tokens"):
        of_words("TPATCHER", "gpt2", peft.get_peft_model(model("gpt2"), config))


@pytest.mark.parametrize("name", ADDING)
def test_neurons_are_trained_inside_the_template(name: str) -> None:
    of = of_words(name, "gpt2", model("gpt2"), use_chat_template=True)
    of.tokenizer = tok = chatty()
    (encoded,) = of.encoded([("Ada lives in", "Rome")])
    assert said(tok, encoded) == ("<user>\nAda lives in\n<assistant>\n", "Rome")
    fact = of.read({"prompt": "Ada lives in", "target_new": "Rome"})
    of.edit([fact])
    if name == "TPATCHER":
        (remembered,) = of.snapshot().memory
        assert len(remembered.keys) == len(encoded.ids) - 1
    else:
        heads = {said(tok, text)[0] for text in of._texts(fact)}
        prompts = [c.replace("{}", fact.request.prompt) for c in of.hparams.contexts]
        assert heads == set(in_chat(tok, prompts))
        of.hparams.use_chat_template = False  # as EasyEdit's next call may have it
        assert {said(tok, text)[0] for text in of._texts(fact)}.isdisjoint(heads)


def test_ke_reads_requests_inside_the_template() -> None:
    tok, base = chatty(), model("gpt2")
    modules = find_edit_modules(base, MODULES["gpt2"])
    *_, rows = gradients_and_requests(
        base, modules, [("Ada lives in", "Rome")], tok, batch_size=2, chat=True
    )
    (encoded,) = encode(tok, [("Ada lives in", "Rome")], chat=True)
    targets = len(encoded.ids) - encoded.target_start
    assert rows.tokens_per_edit.tolist() == [len(encoded.ids) + targets]
    inside, outside = (ke("gpt2", base, use_chat_template=yes) for yes in (True, False))
    inside.tokenizer = outside.tokenizer = tok
    for one, other in zip(inside.updates(requests(1)), outside.updates(requests(1)), strict=True):
        assert not torch.allclose(one, other)


@pytest.mark.parametrize("name", [*ADDING, "KE"])
def test_offloaded_weights_are_refused(name: str) -> None:
    base = model("llama")
    base.model.layers[1].mlp.to("meta")
    with pytest.raises(ModelError, match=r"of model.layers.1.mlp\S* are not in memory"):
        _ = ke("llama", base) if name == "KE" else of_words(name, "llama", base)


@pytest.mark.parametrize("name", [*ADDING, "KE"])
def test_a_dispatched_model_gives_the_same_edit(name: str) -> None:
    accelerate = pytest.importorskip("accelerate")
    plain = model("llama")
    # accelerate's hooks on every module, as with several devices.
    held = accelerate.dispatch_model(model("llama"), {"": "cpu"}, force_hooks=True)
    found = []
    for base in (plain, held):
        of = ke("llama", base) if name == "KE" else of_words(name, "llama", base)
        of.edit([of.read({"prompt": r.prompt, "target_new": r.target_new}) for r in requests(2)])
        found.append(logits(base))
    assert torch.equal(*found) and not torch.equal(found[0], logits(model("llama")))


@pytest.mark.parametrize("name", [*ADDING, "KE"])
def test_half_precision_is_loaded_edited_and_restored(name: str, tmp_path: Path) -> None:
    model("gpt2").save_pretrained(tmp_path)
    tokenizer().save_pretrained(tmp_path)
    place = {"model_name": str(tmp_path), "edit_modules": ["transformer.h.1.mlp"]}
    hparams = TPatcherHparams.from_dict({**place, "dtype": "bfloat16"})
    base, _ = load_base_model(hparams, torch.device("cpu"))
    before = bits(base.eval().state_dict())
    of = ke("gpt2", base) if name == "KE" else of_words(name, "gpt2", base)
    undo = of.edit([of.read({"prompt": r.prompt, "target_new": r.target_new}) for r in requests(2)])
    assert base.dtype == torch.bfloat16 and logits(base).isfinite().all()
    if name == "KE":
        base.load_state_dict(undo, strict=False)
    else:
        undo()
    assert bits(base.state_dict()) == before
    with pytest.raises(ConfigError, match=r"dtype: 'bfloat16'; allowed: 'float16' or null"):
        TPatcherHparams.from_dict({**place, "dtype": "bfloat16", "fp16": True})
