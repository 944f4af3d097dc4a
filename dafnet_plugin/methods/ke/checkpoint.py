"""KnowledgeEditor on disk: a directory with ``ke.safetensors`` and ``ke.json``."""

from __future__ import annotations

import dataclasses
import os
from dataclasses import dataclass
from typing import Any

from dafnet_plugin.artifacts.weights import read_weights, write_weights
from dafnet_plugin.errors import CheckpointError
from dafnet_plugin.methods.ke.network import HypernetworkConfig, KnowledgeEditor

STEM = "ke"


@dataclass(frozen=True)
class KECheckpoint:
    """A trained KnowledgeEditor and what it is for.

    Attributes:
        edit_modules: names of the modules it edits, in order.
        training: what is known of its training (data, seed, steps, scores).
    """

    network: KnowledgeEditor
    edit_modules: tuple[str, ...]
    training: dict[str, Any]


def save_checkpoint(checkpoint: KECheckpoint, directory: str | os.PathLike[str]) -> None:
    """Write a checkpoint; each file is replaced as a whole or not at all."""
    network = checkpoint.network
    config = {
        "edit_modules": list(checkpoint.edit_modules),
        "shapes": [list(shape) for shape in network.shapes],
        "embedding_dim": network.embedding_dim,
        "hypernetwork": dataclasses.asdict(network.config),
        "training": checkpoint.training,
    }
    write_weights(directory, STEM, network.state_dict(), config)


def load_checkpoint(directory: str | os.PathLike[str]) -> KECheckpoint:
    """Read a checkpoint directory.

    Raises:
        CheckpointError: a file is missing, damaged or of another format; names it.
    """
    hint = "; train one with `dafnet train hparams/TRAINING/KE/<model>.yaml`"
    tensors, config = read_weights(directory, STEM, "KnowledgeEditor", hint)
    try:
        network = KnowledgeEditor(
            [(d_in, d_out) for d_in, d_out in config["shapes"]],
            config["embedding_dim"],
            HypernetworkConfig(**config["hypernetwork"]),
        )
        network.load_state_dict(tensors)
        return KECheckpoint(network, tuple(config["edit_modules"]), config["training"])
    except KeyError as error:
        raise CheckpointError(f"{directory}: damaged: {error} is missing") from error
    except (TypeError, ValueError, RuntimeError) as error:
        raise CheckpointError(f"{directory}: damaged checkpoint: {error}") from error
