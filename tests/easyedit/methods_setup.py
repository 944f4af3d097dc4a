"""The methods beside DAFNet on the tiny random models: settings, and a KE without training."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch

from dafnet_plugin.editing.modules import find_edit_modules
from dafnet_plugin.methods.ke.checkpoint import KECheckpoint, save_checkpoint
from dafnet_plugin.methods.ke.method import gradients_and_requests
from dafnet_plugin.methods.ke.network import HypernetworkConfig, KnowledgeEditor
from dafnet_plugin.methods.neurons import model_width
from tests.easyedit import dafnet_setup as setup

NAMES = ("TPATCHER", "KE", "CALINET")
FEED_FORWARD = {"gpt2": "transformer.h.1.mlp", "llama": "model.layers.1.mlp"}
MATRICES = {
    "gpt2": ["transformer.h.1.mlp.c_fc", "transformer.h.1.mlp.c_proj"],
    "llama": ["model.layers.1.mlp.up_proj", "model.layers.1.mlp.down_proj"],
}
OWN: dict[str, dict[str, Any]] = {
    "TPATCHER": {
        "steps": 60,
        "lr": 0.05,
        "memory_texts": setup.SENTENCES,
        "memory_top": 20,
        "memory_weight": 1.0,
    },
    "KE": {"archive": "ke"},
    "CALINET": {"slots": 4, "steps": 20, "lr": 0.05},
}


def values(name: str, family: str, folder: Path, **changes: Any) -> dict[str, Any]:
    """The keys of a YAML file."""
    places = MATRICES[family] if name == "KE" else [FEED_FORWARD[family]]
    common = {"alg_name": name, "model_name": str(folder), "edit_modules": places, "device": "cpu"}
    return {**common, **OWN[name], **changes}


def write_ke(directory: Path, folder: Path, family: str) -> None:
    """Write a KnowledgeEditor that was given the gradients' sizes but not trained."""
    if directory.exists():
        return
    model, tokenizer = setup.load(folder)
    modules = find_edit_modules(model, MATRICES[family])
    torch.manual_seed(0)
    network = KnowledgeEditor(
        [m.shape for m in modules], model_width(model), HypernetworkConfig(8, 8, step=4.0)
    )
    texts = [(r.prompt, r.target_new) for r in setup.REQUESTS]
    network.normalise_on(gradients_and_requests(model, modules, texts, tokenizer, 4))
    # Away from where training starts, so that requests are told apart.
    with torch.no_grad():
        for parameter in network.parameters():
            parameter += 0.01 * torch.randn(parameter.shape)
    save_checkpoint(KECheckpoint(network, tuple(MATRICES[family]), {}), directory)
