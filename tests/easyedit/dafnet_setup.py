"""A small DAFNet for the tiny models: what the tests and their worker processes share."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
import yaml

from dafnet_plugin.artifacts.checkpoint import Checkpoint, save_checkpoint
from dafnet_plugin.cases import EditRequest
from dafnet_plugin.editing.editor import DAFNetEditor
from dafnet_plugin.editing.modules import find_edit_modules
from dafnet_plugin.editing.statistics import key_moments
from dafnet_plugin.hparams import DAFNetHparams
from dafnet_plugin.tokens import collate
from dafnet_plugin.training.build import new_dafnet
from dafnet_plugin.training.text import encode_texts
from tests.conftest import SENTENCES

# Two shapes, one of them shared by two modules.
MODULES = {
    "gpt2": [
        "transformer.h.0.mlp.c_proj",
        "transformer.h.1.mlp.c_fc",
        "transformer.h.1.mlp.c_proj",
    ],
    "llama": [
        "model.layers.0.mlp.down_proj",
        "model.layers.1.mlp.up_proj",
        "model.layers.1.mlp.down_proj",
    ],
}
NETWORK = {
    "layers": 1,
    "intra_dim": 8,
    "inter_dim": 8,
    "gate_dim": 8,
    "ffn_dim": 8,
    "normaliser": "standardise",
    "block": "residual",
}
FACTS = [
    ("The capital of France is", "London", "France", "Paris"),
    ("The capital of Italy is", "Michigan", "Italy", "Rome"),
    ("The river Tiber flows through", "Paris", "Tiber", "Rome"),
    ("Ada Lovelace was born in", "Illinois", "Ada Lovelace", "London"),
]
PROMPTS, TARGETS, SUBJECTS, TRUTHS = (list(column) for column in zip(*FACTS))
REQUESTS = [EditRequest(prompt, target, subject) for prompt, target, subject, _ in FACTS]


def settings(family: str, kind: str = "least_squares", **changes: Any) -> dict[str, Any]:
    """The keys of a YAML file; ``model_name`` and ``archive`` are the caller's."""
    fusion = {"kind": kind, "edit_lr": -1.0, "ridge": 0.01}
    keys = {"model_name": family, "edit_modules": MODULES[family], "device": "cpu"}
    return {**keys, "network": dict(NETWORK), "fusion": fusion, **changes}


def load(folder: Path) -> tuple[Any, Any]:
    """The model and its tokenizer, which pads with the end-of-sequence token."""
    from transformers import AutoModelForCausalLM, AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(folder)
    tokenizer.pad_token = tokenizer.eos_token
    return AutoModelForCausalLM.from_pretrained(folder).eval(), tokenizer


def write_checkpoint(directory: Path, folder: Path, values: dict[str, Any]) -> Path:
    """Write a DAFNet that was given statistics but not trained: gradient descent, in effect."""
    model, tokenizer = load(folder)
    hparams = DAFNetHparams.from_dict(values)
    modules = find_edit_modules(model, hparams.edit_modules)
    torch.manual_seed(0)
    dafnet = new_dafnet(hparams, modules)
    editor = DAFNetEditor(model, tokenizer, dafnet, hparams.edit_modules)
    dafnet.standardise_on(editor.signals(REQUESTS))
    if hparams.fusion.kind == "least_squares":
        texts = collate(encode_texts(tokenizer, SENTENCES, 1000, None), 0)
        dafnet.preserve(key_moments(model, modules, [texts]))
    # Away from the identity, so that edits look at each other.
    with torch.no_grad():
        for parameter in dafnet.networks.parameters():
            parameter += 0.01 * torch.randn(parameter.shape)
    save_checkpoint(Checkpoint(dafnet, tuple(hparams.edit_modules), {}), directory)
    return directory


def write_yaml(path: Path, values: dict[str, Any]) -> Path:
    """Write hyper-parameters as a user's YAML file."""
    path.write_text(yaml.safe_dump(values))
    return path


def weights(model: Any) -> dict[str, torch.Tensor]:
    """Copies of all parameters by name."""
    return {name: p.detach().clone() for name, p in model.named_parameters()}


def changed(before: dict[str, torch.Tensor], model: Any) -> list[str]:
    """Names of the parameters that are no longer bit for bit what they were."""
    now = dict(model.named_parameters())
    return [name for name, value in before.items() if not torch.equal(value, now[name])]


def same(first: Any, second: Any) -> bool:
    """Whether two models hold the same weights, bit for bit."""
    return not changed(weights(first), second)


def close(first: Any, second: Any) -> bool:
    """Whether two models hold the same weights up to rounding."""
    return all(
        torch.allclose(a, b, atol=1e-5) for a, b in zip(first.parameters(), second.parameters())
    )
