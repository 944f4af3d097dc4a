"""Neurons beside the feed-forward modules of every architecture, and where there can be none."""

from __future__ import annotations

from typing import Any

import pytest
import torch
import transformers

from dafnet_plugin.architectures.check import Skeletons, check
from dafnet_plugin.architectures.published import published_models
from dafnet_plugin.architectures.structure import find_mlps
from dafnet_plugin.errors import ConfigError, ModelError
from dafnet_plugin.methods.calinet.hparams import CaliNetHparams
from dafnet_plugin.methods.memory import queries
from dafnet_plugin.methods.neurons import (
    Neurons,
    find_feed_forwards,
    set_neurons,
    take_all_away,
    tried,
)
from dafnet_plugin.tokens import encode
from tests.architectures.scaled import ARCHITECTURES, WIDTH, scaled_config
from tests.helpers import tokenizer

IDS = torch.arange(12).reshape(2, 6)


def scaled_down(name: str) -> Any:
    """A random model of a few thousand parameters."""
    entry = published_models()[name]
    torch.manual_seed(0)
    kind = getattr(transformers, entry.model_class)
    return kind(scaled_config(entry, len(tokenizer()))).eval()


@torch.no_grad()
def logits(model: Any) -> torch.Tensor:
    return model(IDS).logits


@pytest.mark.parametrize("name", ARCHITECTURES)
def test_neurons_stand_beside_every_feed_forward_module(name: str) -> None:
    model = scaled_down(name)
    names = [mlp.writer.rpartition(".")[0] for mlp in find_mlps(model)]
    assert find_feed_forwards(model, names) == names
    neurons = Neurons(torch.randn(3, WIDTH), torch.ones(3), torch.randn(3, WIDTH))
    before = logits(model)
    for one in names:
        set_neurons(model, one, neurons, "relu")
    held = logits(model)
    take_all_away(model)
    assert torch.equal(logits(model), before) and not torch.allclose(held, before)
    with tried(model, dict.fromkeys(names, (neurons, "relu"))):
        torch.testing.assert_close(logits(model), held)
    texts = encode(tokenizer(), [("Ada lives in", "Rome"), ("Bo still lives in", "Oslo")])
    read = queries(model, names[-1], texts, tokenizer(pad=True))
    assert [tuple(found.shape) for found in read] == [(len(t.ids) - 1, WIDTH) for t in texts]


def test_a_block_with_attention_of_its_own_is_no_feed_forward_module() -> None:
    config = transformers.OPTConfig(
        hidden_size=16, word_embed_proj_dim=16, ffn_dim=24, num_hidden_layers=1,
        num_attention_heads=2, vocab_size=32,
    )  # fmt: skip
    with pytest.raises(ModelError, match=r"'model.decoder.layers.0' .* is not a feed-forward"):
        find_feed_forwards(transformers.OPTForCausalLM(config), ["model.decoder.layers.0"])


def test_an_expert_does_not_see_every_token() -> None:
    config = transformers.MixtralConfig(
        hidden_size=16, intermediate_size=24, num_hidden_layers=1, num_attention_heads=2,
        num_key_value_heads=1, vocab_size=len(tokenizer()), num_local_experts=4,
    )  # fmt: skip
    torch.manual_seed(0)
    model = transformers.MixtralForCausalLM(config)
    expert = "model.layers.0.block_sparse_moe.experts.0"
    if expert not in dict(model.named_modules()):
        pytest.skip("this version of transformers has all experts in one module")
    with pytest.raises(ModelError, match="is not run at every position"):
        queries(model, expert, encode(tokenizer(), [("Ada lives in", "Rome")]), tokenizer(pad=True))


def test_places_are_checked_without_weights() -> None:
    skeleton = Skeletons().find("llama-7b")
    assert skeleton is not None
    place = {"model_name": "llama-7b", "edit_modules": ["model.layers.31.mlp"]}
    findings = check(CaliNetHparams.from_dict(place), skeleton, "x.yaml")
    assert findings.plan is None and findings.modules == [] and findings.notes == []
    place["edit_modules"] = ["model.layers.32.mlp", "model.layers.31.mlp.down_proj"]
    with pytest.raises(ConfigError) as caught:
        check(CaliNetHparams.from_dict(place), skeleton, "x.yaml")
    message = str(caught.value)
    assert message.startswith("x.yaml: 1 problem(s) with llama-7b as published")
    assert "'model.layers.32.mlp' does not exist (did you mean" in message
    assert "'model.layers.31.mlp.down_proj' (Linear) is not a feed-forward module" in message
