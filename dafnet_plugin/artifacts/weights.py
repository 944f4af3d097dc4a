"""Tensors and what they are for, as a directory with two files that belong together."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save
from torch import Tensor

from dafnet_plugin.errors import CheckpointError, DataError
from dafnet_plugin.files import atomic_path, read_json, sha256, write_json
from dafnet_plugin.versions import versions

FORMAT = 1


def bytes_of(tensor: Tensor) -> memoryview:
    """The numbers of a tensor as they lie in memory, row after row."""
    values = tensor.detach().cpu().contiguous().flatten()
    return values.view(torch.uint8).numpy().data


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
    names = _files(directory, stem)
    stored = {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}
    with atomic_path(names[0]) as weights, atomic_path(names[1]) as described:
        weights.write_bytes(save(stored))
        known = {"format": FORMAT, "weights_sha256": sha256(weights), "versions": versions()}
        write_json(described, {**known, **config})


def read_weights(
    directory: str | os.PathLike[str], stem: str, what: str, hint: str = ""
) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """Read what :func:`write_weights` wrote; no code in it is run.

    Args:
        what: is read, for messages.
        hint: how to get one, where there is none.

    Raises:
        CheckpointError: a file is missing, damaged or of another format; names it.
    """
    tensors, config = read_parts(directory, stem, what, hint)
    check_together(directory, stem, config)
    return tensors, config


def read_parts(
    directory: str | os.PathLike[str], stem: str, what: str, hint: str = ""
) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """:func:`read_weights`, for a caller that can say more of tensors that do not fit.

    The rest is :func:`check_together`'s.
    """
    weights, described = _files(directory, stem)
    for path in (described, weights):
        if not path.is_file():
            raise CheckpointError(f"{directory}: no {what} here ({path.name} is missing){hint}")
    try:
        config = read_json(described)
        if config["format"] != FORMAT:
            raise CheckpointError(
                f"{described}: format {config['format']!r}; this version reads {FORMAT}"
            )
        return load_file(weights), config
    except KeyError as error:
        raise CheckpointError(f"{described}: damaged: {error} is missing") from error
    except SafetensorError as error:
        raise CheckpointError(f"{directory}: {weights.name} is damaged: {error}") from error
    except (TypeError, DataError) as error:
        raise CheckpointError(f"{directory}: damaged: {error}") from error


def check_together(directory: str | os.PathLike[str], stem: str, config: Mapping[str, Any]) -> None:
    """Check that both files are whole, and were written together.

    Raises:
        CheckpointError: they are not.
    """
    weights, described = _files(directory, stem)
    if "weights_sha256" not in config:
        raise CheckpointError(f"{described}: damaged: 'weights_sha256' is missing")
    if config["weights_sha256"] != sha256(weights):
        raise CheckpointError(
            f"{directory}: {weights.name} is damaged, or is not the file that {described.name} was "
            "written with; restore both from one copy, or make them again"
        )


def _files(directory: str | os.PathLike[str], stem: str) -> tuple[Path, Path]:
    return Path(directory) / f"{stem}.safetensors", Path(directory) / f"{stem}.json"
