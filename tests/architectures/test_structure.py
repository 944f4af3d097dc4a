"""MLPs found by structure, and the hyper-parameters proposed for models never seen."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

import pytest
import torch
import transformers
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from dafnet_plugin.architectures.propose import propose
from dafnet_plugin.architectures.skeleton import Skeleton, skeleton_of_path
from dafnet_plugin.architectures.structure import count_layers, find_last_mlps, find_mlps
from dafnet_plugin.errors import ModelError
from dafnet_plugin.hparams import DAFNetHparams, DAFNetTrainingHparams

SMALL = {
    "hidden_size": 32,
    "num_hidden_layers": 6,
    "num_attention_heads": 4,
    "intermediate_size": 48,
    "vocab_size": 64,
}
GPT = {"n_embd": 32, "n_layer": 6, "n_head": 4, "vocab_size": 64}
# None of them in the table; under other names than there.
UNSEEN: dict[str, tuple[Any, dict[str, Any], str]] = {
    "opt": (
        transformers.OPTConfig,
        {**SMALL, "ffn_dim": 80, "word_embed_proj_dim": 32},
        "model.decoder.layers.5.fc2",
    ),
    # A head and embeddings narrower than the stream, as in OPT-350m.
    "opt-350m": (
        transformers.OPTConfig,
        {**SMALL, "ffn_dim": 80, "word_embed_proj_dim": 16, "do_layer_norm_before": False},
        "model.decoder.layers.5.fc2",
    ),
    "gpt-neox": (transformers.GPTNeoXConfig, SMALL, "gpt_neox.layers.5.mlp.dense_4h_to_h"),
    "bloom": (
        transformers.BloomConfig,
        {"hidden_size": 32, "n_layer": 6, "n_head": 4, "vocab_size": 64},
        "transformer.h.5.mlp.dense_4h_to_h",
    ),
    "falcon": (transformers.FalconConfig, SMALL, "transformer.h.5.mlp.dense_4h_to_h"),
    "mpt": (
        transformers.MptConfig,
        {"d_model": 32, "n_layers": 6, "n_heads": 4, "vocab_size": 64},
        "transformer.blocks.5.ffn.down_proj",
    ),
    "bigcode": (transformers.GPTBigCodeConfig, GPT, "transformer.h.5.mlp.c_proj"),
    "starcoder2": (transformers.Starcoder2Config, SMALL, "model.layers.5.mlp.c_proj"),
    "olmo2": (transformers.Olmo2Config, SMALL, "model.layers.5.mlp.down_proj"),
    "cohere": (transformers.CohereConfig, SMALL, "model.layers.5.mlp.down_proj"),
    "persimmon": (transformers.PersimmonConfig, SMALL, "model.layers.5.mlp.dense_4h_to_h"),
    # Heads that are together wider than the stream, and wider still than the MLP.
    "qwen3": (
        transformers.Qwen3Config,
        {**SMALL, "head_dim": 32, "num_key_value_heads": 2},
        "model.layers.5.mlp.down_proj",
    ),
    # Attention all of whose matrices are square, beside an MLP that is narrower.
    "llama": (
        transformers.LlamaConfig,
        {**SMALL, "intermediate_size": 16},
        "model.layers.5.mlp.down_proj",
    ),
}


def skeleton(config: Any) -> Skeleton:
    with torch.device("meta"):
        model = transformers.AutoModelForCausalLM.from_config(config)
    return Skeleton(model.eval(), "test")


@pytest.mark.parametrize("name", UNSEEN)
def test_the_matrix_that_writes_to_the_stream_is_found(name: str) -> None:
    kind, sizes, last = UNSEEN[name]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        mlps = find_mlps(skeleton(kind(**sizes)).model)
    assert len(mlps) == 6
    assert mlps[-1].writer == last
    assert all(mlp.shapes[mlp.writer][1] == 32 for mlp in mlps)
    assert all(mlp.shapes[reader][0] == 32 for mlp in mlps for reader in mlp.readers)


@given(
    width=st.integers(2, 12).map(lambda n: 8 * n),
    inner=st.integers(1, 200),
    layers=st.integers(1, 6),
    kind=st.sampled_from(["llama", "phi3", "gpt2"]),
)
@settings(max_examples=15, deadline=None)
def test_whatever_the_sizes_are(width: int, inner: int, layers: int, kind: str) -> None:
    sizes = {
        "hidden_size": width, "intermediate_size": inner, "num_hidden_layers": layers,
        "num_attention_heads": 4, "num_key_value_heads": 2, "vocab_size": 64, "pad_token_id": 0,
    }  # fmt: skip
    config: Any
    if kind == "llama":
        config, end = transformers.LlamaConfig(**sizes), "down_proj"
    elif kind == "phi3":
        config, end = transformers.Phi3Config(**sizes), "down_proj"
    else:
        config = transformers.GPT2Config(
            n_embd=width, n_inner=inner, n_layer=layers, n_head=4, vocab_size=64
        )
        end = "c_proj"
    found = skeleton(config)
    mlps = find_mlps(found.model)
    assert [mlp.writer.endswith(f"{n}.mlp.{end}") for n, mlp in enumerate(mlps)] == [True] * layers
    assert {mlp.parts for mlp in mlps} == {2 if kind == "phi3" else 1}

    proposal = propose(found, "./some/model", "model")
    editing = DAFNetHparams.from_dict(yaml.safe_load(proposal.editing))
    training = DAFNetTrainingHparams.from_dict(yaml.safe_load(proposal.training))
    chosen = mlps if layers <= 4 else mlps[-3:]
    assert editing.edit_modules == training.edit_modules == [mlp.writer for mlp in chosen]


@pytest.mark.parametrize(
    "model_name", ["./a model", "C:\\models\\x", "a: b", "- x", "#x", "näme", "1e5", "null", "{x}"]
)
def test_names_that_yaml_would_take_for_something_else_survive(model_name: str) -> None:
    found = skeleton(transformers.GPT2Config(**GPT))
    proposal = propose(found, model_name, "x")
    for text in (proposal.editing, proposal.training):
        assert yaml.safe_load(text)["model_name"] == model_name


def test_the_reasons_stand_in_the_file() -> None:
    config = transformers.Phi3Config(
        **{**SMALL, "pad_token_id": 0, "tie_word_embeddings": True, "num_hidden_layers": 9}
    )
    text = propose(skeleton(config), "phi", "phi").training
    flowing = " ".join(line.removeprefix("# ") for line in text.splitlines())
    for words in (
        "Found by structure in test (Phi3ForCausalLM)",
        "(gate_up_proj holds 2 in one)",
        "that last matrix (48 -> 32) in the last 3 of 9 layers",
        "The network has ",
        "The language-model head is the token embeddings (tied)",
        "if that is too much",
    ):
        assert words.lower() in flowing.lower(), words
    assert max(map(len, text.splitlines())) <= 100


def test_experts_are_not_chosen_among() -> None:
    config = transformers.MixtralConfig(**{**SMALL, "num_local_experts": 3})
    with pytest.raises(ModelError) as caught:
        find_mlps(skeleton(config).model)
    message = str(caught.value)
    assert "model.layers.0: " in message and "mixture of experts" in message
    # Later versions of transformers keep the matrices of all experts in one parameter.
    assert "3 MLPs that are alike" in message or "no MLP of linear modules" in message


def jamba(**sizes: Any) -> Any:
    """Every other layer is a mixture of experts, the last one among them."""
    return transformers.JambaConfig(
        **{**SMALL, "num_key_value_heads": 2, "num_experts": 4, "num_hidden_layers": 8, **sizes},
        use_mamba_kernels=False,
        attn_layer_period=4,
        attn_layer_offset=2,
    )


def test_only_the_layers_that_are_edited_need_an_mlp() -> None:
    found = skeleton(jamba())
    with pytest.raises(ModelError, match=r"layers\.1: .*mixture of experts"):
        find_mlps(found.model)
    assert count_layers(found.model) == 8
    assert [mlp.layer for mlp in find_last_mlps(found.model, 3)] == [2, 4, 6]
    text = propose(found, "jamba", "jamba").editing
    modules = [f"model.layers.{layer}.feed_forward.down_proj" for layer in (2, 4, 6)]
    assert yaml.safe_load(text)["edit_modules"] == modules
    assert "passed over" in " ".join(text.replace("# ", "").split())


def test_mlps_that_are_not_among_the_last_layers_are_not_taken() -> None:
    found = skeleton(jamba(num_hidden_layers=12)).model
    layers = found.model.layers
    assert [mlp.layer for mlp in find_last_mlps(found, 3)] == [6, 8, 10]
    layers[8].feed_forward = layers[9].feed_forward  # leaves two in the last six
    with pytest.raises(ModelError, match=r"layers\.11: .*mixture of experts"):
        find_last_mlps(found, 3)


def test_a_model_without_mlps_is_told() -> None:
    config = transformers.MambaConfig(hidden_size=32, num_hidden_layers=2, vocab_size=64)
    with pytest.raises(ModelError, match=r"backbone.layers.0: no MLP of linear modules here"):
        find_mlps(skeleton(config).model)

    class Flat(nn.Module):
        """A model without layers."""

    with pytest.raises(ModelError, match="Flat: no list of layers"):
        find_mlps(Flat())


def test_a_loaded_model_is_looked_at_as_well(tmp_path: Path) -> None:
    # Not on the meta device: shapes alone have to do.
    config = transformers.LlamaConfig(**SMALL)
    model = transformers.LlamaForCausalLM(config)
    config.save_pretrained(tmp_path)
    assert find_mlps(model) == find_mlps(skeleton_of_path(tmp_path).model)
