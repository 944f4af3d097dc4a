"""Edits by added neurons on disk: to serve the edited model, or to go on editing it.

A directory with ``neurons.safetensors`` and ``neurons.json``, beside the base model, which is as
it was. Loaded into an editor of the base model, the next edit is what it would have been had
editing never stopped.
"""

from __future__ import annotations

import hashlib
import os
from typing import Any

from torch import Tensor

from dafnet_plugin.artifacts.weights import bytes_of, read_weights, write_weights
from dafnet_plugin.cases import EditRequest
from dafnet_plugin.errors import CheckpointError, DataError
from dafnet_plugin.methods.editing import NeuronEditor, Snapshot
from dafnet_plugin.methods.neurons import AddedNeurons, Neurons

STEM = "neurons"
PARTS = ("keys", "biases", "values")


def save_edits(editor: NeuronEditor[Any], directory: str | os.PathLike[str]) -> None:
    """Write the edits of a model; each file is replaced as a whole or not at all."""
    now = editor.snapshot()
    memory, described = editor.pack(now.memory)
    tensors = {f"memory.{name}": tensor for name, tensor in memory.items()}
    for number, neurons in enumerate(now.neurons):
        tensors |= {f"{number}.{part}": t for part, t in zip(PARTS, neurons.tensors)}
    config = {
        "method": editor.hparams.METHOD,
        "edit_modules": list(editor.names),
        "activation": editor.hparams.activation,
        "model": _digest(editor),
        "requests": [
            {name: getattr(request, name) for name in request.__slots__} for request in now.requests
        ],
        "memory": described,
    }
    write_weights(directory, STEM, tensors, config)


def load_edits(editor: NeuronEditor[Any], directory: str | os.PathLike[str]) -> None:
    """Give a model edits that were saved, in the place of those it carries.

    Raises:
        CheckpointError: nothing is there, it is damaged, or it is of another method, other
            modules, another activation or another model; names what differs.
    """
    tensors, config = read_weights(directory, STEM, "edits")
    ours = {
        "method": editor.hparams.METHOD,
        "edit_modules": list(editor.names),
        "activation": editor.hparams.activation,
        "model": _digest(editor),
    }
    differing = [
        f"{name} is {config.get(name)!r}, here {value!r}"
        for name, value in ours.items()
        if config.get(name) != value
    ]
    if differing:
        raise CheckpointError(f"{directory}: edits of another kind: {'; '.join(differing)}")
    devices = [neurons.keys.device for neurons in editor.snapshot().neurons]
    memory = {name: tensor.to(devices[0]) for name, tensor in _memory(tensors).items()}
    try:
        snapshot = Snapshot(
            tuple(
                Neurons(*(tensors[f"{number}.{part}"].to(device) for part in PARTS))
                for number, device in enumerate(devices)
            ),
            tuple(EditRequest(**item) for item in config["requests"]),
            editor.unpack(memory, config["memory"]),
        )
    except (KeyError, TypeError, ValueError, RuntimeError, DataError) as error:
        raise CheckpointError(f"{directory}: damaged edits: {error}") from error
    editor.restore(snapshot)


def _memory(tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    return {
        name.removeprefix("memory."): t for name, t in tensors.items() if name.startswith("memory.")
    }


def _digest(editor: NeuronEditor[Any]) -> str:
    """Tells whether the modules that neurons stand beside are those they were made for."""
    digest = hashlib.sha256()
    for path in editor.paths:
        module = editor.model.get_submodule(path)
        original = module.original if isinstance(module, AddedNeurons) else module
        for parameter in original.parameters():
            digest.update(bytes_of(parameter))
    return digest.hexdigest()[:12]
