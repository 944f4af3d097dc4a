"""DAFNet on disk: a directory with ``dafnet.safetensors`` and ``dafnet.json``."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch

from dafnet_plugin.artifacts.reference import network_state_from_reference
from dafnet_plugin.artifacts.weights import check_together, read_parts, write_weights
from dafnet_plugin.editing.dafnet import DAFNet
from dafnet_plugin.editing.fusion import FusionConfig
from dafnet_plugin.editing.scope import Paraphrase
from dafnet_plugin.errors import CheckpointError
from dafnet_plugin.network import NetworkConfig
from dafnet_plugin.tokens import Encoded

STEM = "dafnet"
WEIGHTS, CONFIG = f"{STEM}.safetensors", f"{STEM}.json"
COLUMNS = ("ids", "lengths", "target_starts")


@dataclass(frozen=True)
class Checkpoint:
    """A trained DAFNet and what it is for.

    Attributes:
        dafnet: the trained network.
        edit_modules: names of the modules it edits, in order.
        training: what is known of its training (data, seed, steps, scores).
        replay: tokens of text that edits shall leave alone, for consolidation.
        paraphrases: facts in two wordings, for consolidation.
    """

    dafnet: DAFNet
    edit_modules: tuple[str, ...]
    training: dict[str, Any]
    replay: tuple[Encoded, ...] = ()
    paraphrases: tuple[Paraphrase, ...] = ()


def save_checkpoint(checkpoint: Checkpoint, directory: str | os.PathLike[str]) -> None:
    """Write a checkpoint; each file is replaced as a whole or not at all.

    Both are written before either is replaced. A process killed between the two replacements
    leaves files that do not belong together; reading them back says so.
    """
    dafnet = checkpoint.dafnet
    flat = [text for pair in checkpoint.paraphrases for text in pair]
    texts = _text_tensors("replay", checkpoint.replay) | _text_tensors("paraphrases", flat)
    config = {
        "edit_modules": list(checkpoint.edit_modules),
        "shapes": [list(shape) for shape in dafnet.shapes],
        "edit_bias": dafnet.edit_bias,
        "network": dataclasses.asdict(dafnet.network_of(0).config),
        "fusion": dataclasses.asdict(dafnet.fusion),
        "training": checkpoint.training,
    }
    write_weights(directory, STEM, dafnet.state_dict() | texts, config)


def load_checkpoint(directory: str | os.PathLike[str]) -> Checkpoint:
    """Read a checkpoint directory.

    Raises:
        CheckpointError: a file is missing, damaged or of another format; names it.
    """
    hint = "; train one with `dafnet train`"
    tensors, config = read_parts(directory, STEM, "DAFNet checkpoint", hint)
    try:
        dafnet = DAFNet(
            [(d_in, d_out) for d_in, d_out in config["shapes"]],
            NetworkConfig(**config["network"]),
            FusionConfig(**config["fusion"]),
            config["edit_bias"],
        )
        replay, flat = _texts_of(tensors, "replay"), _texts_of(tensors, "paraphrases")
        pairs = zip(flat[::2], flat[1::2], strict=True)
        paraphrases = tuple(Paraphrase(*pair) for pair in pairs)
        dafnet.load_state_dict(tensors)
        check_together(directory, STEM, config)
        modules, training = tuple(config["edit_modules"]), config["training"]
        return Checkpoint(dafnet, modules, training, replay, paraphrases)
    except KeyError as error:
        raise CheckpointError(f"{directory}/{CONFIG}: damaged: {error} is missing") from error
    except (TypeError, ValueError, RuntimeError) as error:
        raise CheckpointError(f"{directory}: damaged checkpoint: {error}") from error


def load_reference_checkpoint(
    path: str | os.PathLike[str],
    *,
    shapes: list[tuple[int, int]],
    network: NetworkConfig,
    edit_bias: bool,
) -> DAFNet:
    """Read a checkpoint in the published format (``.pt``); no code in it is run.

    Args:
        shapes: (d_in, d_out) of the edited modules, in order.
        network: sizes; the file does not hold the numbers of heads.
        edit_bias: whether it was trained to edit biases; the file does not say.

    Raises:
        CheckpointError: not that format, or a tensor does not fit; names module or tensor.
    """
    try:
        # weights_only: nothing but tensors and plain containers is unpickled.
        data = torch.load(path, map_location="cpu", weights_only=True)
        networks, edit_lrs = data["aux_models"][0], data["edit_lrs"]
    except (OSError, KeyError, IndexError, TypeError, RuntimeError, ValueError) as error:
        raise CheckpointError(f"{path}: not a published DAFNet checkpoint: {error}") from error
    except Exception as error:  # pickle.UnpicklingError and what torch derives from it
        raise CheckpointError(f"{path}: refused, it holds more than tensors: {error}") from error
    dafnet = DAFNet(shapes, network, FusionConfig(kind="running_mean"), edit_bias)
    if not isinstance(networks, dict) or not isinstance(edit_lrs, Mapping):
        raise CheckpointError(f"{path}: not a published DAFNet checkpoint: no networks by shape")
    missing = [shape for shape in dict.fromkeys(shapes) if str(shape) not in networks]
    if missing or set(edit_lrs) != {str(number) for number in range(len(shapes))}:
        raise CheckpointError(
            f"{path}: holds networks for {sorted(networks)} and {len(edit_lrs)} modules; "
            f"the model needs {sorted(map(str, set(shapes)))} and {len(shapes)}"
        )
    for number in (modules[0] for modules in dafnet.modules_of.values()):
        shape = shapes[number]
        _load_network(dafnet, number, networks[str(shape)], f"{path}: network {shape}")
    with torch.no_grad():
        for number in range(len(shapes)):
            dafnet.edit_lrs[number] = edit_lrs[str(number)]
    return dafnet


def _load_network(dafnet: DAFNet, number: int, state: dict[str, torch.Tensor], where: str) -> None:
    try:
        dafnet.network_of(number).load_state_dict(network_state_from_reference(state))
    except (AttributeError, KeyError, RuntimeError, TypeError, ValueError) as error:
        raise CheckpointError(f"{where} does not fit `network`: {error}") from error


def _text_tensors(name: str, texts: Sequence[Encoded]) -> dict[str, torch.Tensor]:
    """Token ids of all texts in a row, each text's length, and where its target starts."""
    columns = (
        [token for text in texts for token in text.ids],
        [len(text.ids) for text in texts],
        [text.target_start for text in texts],
    )
    return {
        f"{name}.{column}": torch.tensor(values, dtype=torch.int32)
        for column, values in zip(COLUMNS, columns, strict=True)
    }


def _texts_of(tensors: dict[str, torch.Tensor], name: str) -> tuple[Encoded, ...]:
    """Take texts out of a checkpoint's tensors."""
    names = [f"{name}.{column}" for column in COLUMNS]
    columns = [tensors.pop(key) for key in names if key in tensors]
    if not columns:
        return ()  # checkpoints had none at first
    ids, lengths, starts = columns
    texts = ids.split(lengths.tolist())
    return tuple(Encoded(tuple(t.tolist()), s) for t, s in zip(texts, starts.tolist(), strict=True))
