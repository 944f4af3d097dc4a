"""A base model without weights: its modules on the meta device, built from its config alone."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import nn

from dafnet_plugin.architectures.published import Published
from dafnet_plugin.errors import DataError, ModelError
from dafnet_plugin.files import read_json


@dataclass(frozen=True)
class Skeleton:
    """A model on the meta device, and where its dimensions are from.

    Attributes:
        model: has every module and parameter, and no values.
        origin: the file or table entry that its config is from, for messages.
        published: the table entry, None for a model that is not in the table.
    """

    model: nn.Module
    origin: str
    published: Published | None = None


def skeleton_of_published(entry: Published) -> Skeleton:
    """Build an entry of the table.

    Raises:
        ModelError: this version of transformers does not have the class.
    """
    import transformers

    model_class = getattr(transformers, entry.model_class, None)
    if model_class is None:
        raise ModelError(
            f"{entry.name}: transformers {transformers.__version__} has no class "
            f"{entry.model_class!r}; a newer one is needed"
        )
    config = model_class.config_class(**entry.config)
    return Skeleton(_on_meta(model_class, config), f"{entry.name} as published", entry)


def skeleton_of_path(path: Path) -> Skeleton:
    """Build a model from its ``config.json``, or from a directory that has one.

    Raises:
        ModelError: there is none, it is damaged, or transformers has no causal language model for
            it without code from elsewhere, which is never run.
    """
    file = path / "config.json" if path.is_dir() else path
    if not file.is_file():
        raise ModelError(f"{file}: there is no such file; a model's config.json is needed")
    return Skeleton(_skeleton(file), str(file))


def skeleton_of_cached(name: str) -> Skeleton | None:
    """Build a model that a hub's cache on this machine knows; None if it knows nothing of it."""
    from transformers.utils import cached_file

    try:
        # Offline on purpose: the answer must not depend on who has a network.
        file = cached_file(name, "config.json", local_files_only=True)
    except (OSError, ValueError):
        return None
    return Skeleton(_skeleton(Path(file)), f"the cached config.json of {name}") if file else None


def _skeleton(file: Path) -> nn.Module:
    from transformers import AutoConfig, AutoModelForCausalLM

    try:
        data = read_json(file)
    except DataError as error:
        raise ModelError(str(error)) from error
    # Without it transformers would guess from the words in the path.
    if not isinstance(data, dict) or "model_type" not in data:
        raise ModelError(f"{file}: model_type is missing; a config.json of transformers is needed")
    try:
        config = AutoConfig.from_pretrained(file, trust_remote_code=False)
        return _on_meta(AutoModelForCausalLM.from_config, config)
    except Exception as error:  # the file is a user's: any value in it may make a class fail
        # Of an unknown model transformers goes on to list every one it knows.
        reason = next(iter(str(error).splitlines()), "") or type(error).__name__
        raise ModelError(f"{file}: no causal language model of transformers: {reason}") from error


def _on_meta(build: Any, config: Any) -> nn.Module:
    with torch.device("meta"):
        model: nn.Module = build(config)
    return model.eval()
