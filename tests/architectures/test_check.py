"""Hyper-parameters that do not fit their model: what is said, all of it at once."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
import transformers
from torch import nn

from dafnet_plugin.architectures.check import Skeletons, check
from dafnet_plugin.architectures.skeleton import Skeleton, skeleton_of_path
from dafnet_plugin.architectures.structure import fused_parts, tied_to
from dafnet_plugin.editing.modules import find_edit_modules
from dafnet_plugin.errors import ConfigError, ModelError
from dafnet_plugin.hparams import DAFNetHparams, DAFNetTrainingHparams

DOWN = "model.layers.31.mlp.down_proj"


@pytest.fixture(scope="module")
def llama() -> Skeleton:
    found = Skeletons().find("llama-7b")
    assert found is not None
    return found


def problems(skeleton: Skeleton, kind: Any = DAFNetHparams, **values: Any) -> list[str]:
    data = {"model_name": "llama-7b", "edit_modules": [DOWN], **values}
    with pytest.raises(ConfigError) as caught:
        check(kind.from_dict(data), skeleton, "llama.yaml")
    first, *rest = str(caught.value).splitlines()
    assert first == f"llama.yaml: {len(rest)} problem(s) with {skeleton.origin}"
    return [line.removeprefix("  - ") for line in rest]


def test_what_fits_is_described(llama: Skeleton) -> None:
    findings = check(
        DAFNetHparams.from_dict({"model_name": "llama-7b", "edit_modules": [DOWN]}), llama, "x"
    )
    assert [(m.name, m.shape) for m in findings.modules] == [(DOWN, (11008, 4096))]
    assert findings.notes == []


def test_modules_that_are_missing_or_not_linear_are_named_with_the_nearest(llama: Skeleton) -> None:
    (problem,) = problems(llama, edit_modules=["model.layers.32.mlp.down_proj", "model.norm"])
    assert "no module 'model.layers.32.mlp.down_proj'" in problem
    assert "mlp.down_proj'?)" in problem
    assert "'model.norm' is a LlamaRMSNorm, not a linear module" in problem


def test_every_problem_is_said_at_once(llama: Skeleton) -> None:
    found = problems(
        llama,
        DAFNetTrainingHparams,
        model_class="GPT2LMHeadModel",
        edit_bias=True,
        fusion={"kind": "sum"},
    )
    assert found == [
        "model_class: 'GPT2LMHeadModel'; allowed: 'LlamaForCausalLM' or 'AutoModelForCausalLM'",
        f"edit_bias: true; {DOWN} has no bias",
    ]


def test_another_shape_than_stated_is_told(llama: Skeleton) -> None:
    thin = transformers.LlamaConfig(
        hidden_size=64, intermediate_size=96, num_attention_heads=4, vocab_size=32
    )
    with torch.device("meta"):
        model = transformers.LlamaForCausalLM(thin)
    assert problems(Skeleton(model, "thin", llama.published)) == [
        f"edit_modules: {DOWN} is (96, 64) (d_in, d_out); (11008, 4096) is stated for this model"
    ]


def test_tied_modules_are_refused_and_fused_ones_flagged(tmp_path: Path) -> None:
    config = transformers.Phi3Config(
        hidden_size=64, intermediate_size=96, num_hidden_layers=2, num_attention_heads=4
    )
    with torch.device("meta"):
        model = transformers.Phi3ForCausalLM(config)
    layers = model.model.layers
    names = [f"model.layers.1.{end}" for end in ("mlp.gate_up_proj", "mlp.down_proj")]
    attention = ["self_attn.qkv_proj", "self_attn.o_proj"]
    modules = find_edit_modules(model, [*names, *(f"model.layers.1.{end}" for end in attention)])
    assert [fused_parts(model, module) for module in modules] == [2, None, 3, None]
    assert [tied_to(model, module) for module in modules] == [[]] * 4

    hparams = DAFNetHparams.from_dict({"model_name": "phi", "edit_modules": names})
    notes = check(hparams, Skeleton(model, "phi"), "phi.yaml").notes
    assert notes == ["model.layers.1.mlp.gate_up_proj is fused: 2 matrices in one, edited together"]
    layers[0].mlp.down_proj.weight = layers[1].mlp.down_proj.weight
    (problem,) = problems(Skeleton(model, "phi"), edit_modules=names)
    assert problem == (
        "edit_modules: the weight of model.layers.1.mlp.down_proj is also "
        "model.layers.0.mlp.down_proj.weight; an edit would change both"
    )


def test_separate_readers_are_not_taken_for_a_fused_one() -> None:
    config = transformers.Qwen3Config(
        hidden_size=64, intermediate_size=96, num_hidden_layers=1, head_dim=32,
        num_attention_heads=4, num_key_value_heads=2, vocab_size=32,
    )  # fmt: skip
    with torch.device("meta"):
        model = transformers.Qwen3ForCausalLM(config)
    names = [n for n, m in model.named_modules() if isinstance(m, nn.Linear) and n != "lm_head"]
    assert [fused_parts(model, m) for m in find_edit_modules(model, names)] == [None] * len(names)


def test_an_archive_of_other_modules_is_told(llama: Skeleton, tmp_path: Path) -> None:
    trained = {"edit_modules": [DOWN], "shapes": [[11008, 4096]]}
    (tmp_path / "dafnet.json").write_text(json.dumps(trained))
    same = {"model_name": "llama-7b", "edit_modules": [DOWN], "archive": str(tmp_path)}
    check(DAFNetHparams.from_dict(same), llama, "x")
    trained["shapes"] = [[3072, 768]]
    (tmp_path / "dafnet.json").write_text(json.dumps(trained))
    (problem,) = problems(llama, archive=str(tmp_path))
    assert problem.startswith(f"archive: {str(tmp_path)!r} was trained for") and "3072" in problem


def test_a_directory_comes_before_the_table(tmp_path: Path) -> None:
    own = transformers.GPT2Config(n_embd=32, n_layer=1, n_head=2, vocab_size=64)
    own.save_pretrained(tmp_path / "gpt2")
    found = Skeletons().find(str(tmp_path / "gpt2"))
    assert found is not None and found.published is None
    assert found.model.config.n_embd == 32


def test_a_model_that_nobody_knows_is_not_looked_for_on_a_network(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    import socket

    def refuse(*_: Any, **__: Any) -> None:
        raise AssertionError("the network was asked")

    monkeypatch.setattr(socket, "getaddrinfo", refuse)
    assert Skeletons().find("nobody/knows-this-model") is None


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("{]", "config.json: line 1, column 2: not JSON"),
        ("{}", "config.json: model_type is missing"),
        ("[]", "config.json: model_type is missing"),
        ('{"model_type": "t5"}', "config.json: no causal language model of transformers"),
        ('{"model_type": "nobody-knows"}', "config.json: no causal language model"),
        (
            '{"model_type": "llama", "hidden_size": 10, "num_attention_heads": 0}',
            "config.json: no causal",
        ),
    ],
)
def test_a_config_of_no_use_is_one_line(tmp_path: Path, text: str, words: str) -> None:
    (tmp_path / "config.json").write_text(text)
    with pytest.raises(ModelError, match=words) as caught:
        skeleton_of_path(tmp_path)
    assert "\n" not in str(caught.value) and len(str(caught.value)) < 400
    with pytest.raises(ModelError, match="there is no such file"):
        skeleton_of_path(tmp_path / "none")
