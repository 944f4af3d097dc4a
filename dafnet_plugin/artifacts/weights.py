"""Tensors and what they are for, as a directory with two files that belong together."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from safetensors import SafetensorError
from safetensors.torch import load_file, save
from torch import Tensor

from dafnet_plugin.artifacts.checkpoint import versions
from dafnet_plugin.errors import CheckpointError, DataError
from dafnet_plugin.files import atomic_path, read_json, sha256, write_json

FORMAT = 1


def write_weights(
    directory: str | os.PathLike[str],
    stem: str,
    tensors: Mapping[str, Tensor],
    config: Mapping[str, Any],
) -> None:
    """Write ``<stem>.safetensors`` and ``<stem>.json``; each is replaced as a whole or not at all.

    Args:
        config: plain data; format, versions and the hash of the tensors are added.
    """
    directory = Path(directory)
    names = directory / f"{stem}.safetensors", directory / f"{stem}.json"
    stored = {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}
    with atomic_path(names[0]) as weights, atomic_path(names[1]) as described:
        weights.write_bytes(save(stored))
        known = {"format": FORMAT, "weights_sha256": sha256(weights), "versions": versions()}
        write_json(described, {**known, **config})


def read_weights(
    directory: str | os.PathLike[str], stem: str, what: str
) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """Read what :func:`write_weights` wrote; no code in it is run.

    Args:
        what: is read, for messages; with how to get one.

    Raises:
        CheckpointError: a file is missing, damaged or of another format; names it.
    """
    directory = Path(directory)
    weights, described = directory / f"{stem}.safetensors", directory / f"{stem}.json"
    for path in (described, weights):
        if not path.is_file():
            raise CheckpointError(f"{directory}: no {what} here ({path.name} is missing)")
    try:
        config = read_json(described)
        if config["format"] != FORMAT:
            raise CheckpointError(
                f"{described}: format {config['format']!r}; this version reads {FORMAT}"
            )
        if config["weights_sha256"] != sha256(weights):
            raise CheckpointError(
                f"{directory}: {weights.name} is damaged, or is not the file that "
                f"{described.name} was written with"
            )
        return load_file(weights), config
    except KeyError as error:
        raise CheckpointError(f"{described}: damaged: {error} is missing") from error
    except (TypeError, DataError, SafetensorError) as error:
        raise CheckpointError(f"{directory}: damaged: {error}") from error
