"""Which base model and which network edits belong to, told by their weights."""

from __future__ import annotations

import hashlib
import json
import logging
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from torch import Tensor, nn

from dafnet_plugin.artifacts.settings import (
    digest_of_tokenizer,
    other_settings,
    settings_of,
    summary_of,
)
from dafnet_plugin.artifacts.weights import bytes_of
from dafnet_plugin.editing.consolidation import Consolidation
from dafnet_plugin.editing.dafnet import DAFNet
from dafnet_plugin.editing.editor import DAFNetEditor
from dafnet_plugin.errors import CheckpointError

logger = logging.getLogger(__name__)

_SAMPLE = 2**16
"""Numbers of each weight that go into a digest of what edits made of it."""


def identity_of_base(model: nn.Module, originals: Mapping[str, Tensor]) -> dict[str, Any]:
    """What tells a base model from every other: kind, name, and a digest of each of its tensors.

    Args:
        originals: what parameters that are edited held before, by name.

    Returns:
        plain JSON data; ``sha256`` covers all tensors. What is not saved with a model, but decides
        what it computes, is there as it is, since the library's versions differ in how much of it
        they have: settings, and buffers as shape, mean and root of the mean square.
    """
    config: Any = getattr(model, "config", None)
    tensors = {
        name: _describe(originals.get(name, tensor))
        for name, tensor in model.state_dict().items()
        if isinstance(tensor, Tensor)
    }
    away = [name for name, described in tensors.items() if described.endswith(" away")]
    if away:
        logger.warning(
            "%d of %d tensors of the base model are offloaded, %s first: whether they are the same "
            "elsewhere cannot be told",
            len(away),
            len(tensors),
            away[0],
        )
    whole = hashlib.sha256(json.dumps(tensors, sort_keys=True).encode())
    return {
        "class": type(model).__name__ if config is None else _class_name(config, model),
        "name": _public_name(str(getattr(config, "_name_or_path", "") or "")),
        "sha256": whole.hexdigest(),
        "tensors": tensors,
        "config": settings_of(config),
        "buffers": {
            name: summary_of(buffer)
            for name, buffer in model.named_buffers()
            if name not in tensors and buffer.device.type != "meta"
        },
    }


def identity_of_editor(editor: DAFNetEditor) -> dict[str, Any]:
    """The base model, network and tokenizer of an editor, and which modules it edits."""
    originals = dict(zip(editor.weights.names, editor.weights.originals, strict=True))
    return {
        "base": identity_of_base(editor.model, originals),
        "network": {"sha256": digest_of_network(editor.dafnet, editor.consolidation)},
        "edit_modules": [edit_module.name for edit_module in editor.modules],
        "tokenizer": {"sha256": digest_of_tokenizer(editor.tokenizer)},
    }


def digest_of_network(dafnet: DAFNet, consolidation: Consolidation | None) -> str:
    """SHA-256 of all that decides what a trained DAFNet makes of an edit, settings aside."""
    texts = {} if consolidation is None else vars(consolidation)
    config = {
        "shapes": dafnet.shapes,
        "network": asdict(dafnet.network_of(0).config),
        "fusion": asdict(dafnet.fusion),
        "edit_bias": dafnet.edit_bias,
        "tensors": {name: _describe(t) for name, t in sorted(dafnet.state_dict().items())},
        "texts": {name: repr(value) for name, value in texts.items() if name != "config"},
    }
    return hashlib.sha256(json.dumps(config, sort_keys=True).encode()).hexdigest()


def check_base(found: Mapping[str, Any], expected: Mapping[str, Any], where: str) -> None:
    """Refuse a base model that edits were not made for.

    Args:
        found: :func:`identity_of_base` of the model at hand.
        expected: that of the model the edits were made for.
        where: what holds the edits, for the message.

    Raises:
        CheckpointError: says what differs.
    """
    if found["sha256"] == expected["sha256"]:
        what = other_settings(found, expected)
        if what is None:
            return
        raise CheckpointError(
            f"{where}: made for a base model with other settings ({_label(expected)}) than this "
            f"one: {what}"
        )
    ours, theirs = found["tensors"], expected["tensors"]
    other_names = sorted(ours.keys() ^ theirs.keys())
    differ = sorted(name for name in ours.keys() & theirs.keys() if ours[name] != theirs[name])
    if other_names:
        what = f"{len(other_names)} tensors are in one of the two only, {other_names[0]} first"
    else:
        first = differ[0]
        mine, made_for = ours[first].rpartition(" ")[0], theirs[first].rpartition(" ")[0]
        kind = f"; {first} is {mine} here, {made_for} there" if mine != made_for else ""
        what = f"{len(differ)} of {len(theirs)} tensors differ, {first} first{kind}"
    raise CheckpointError(
        f"{where}: made for another base model ({_label(expected)}) than this one "
        f"({_label(found)}): {what}; load the base model, in the precision, that it was made for"
    )


def check_network(found: Mapping[str, Any], expected: Mapping[str, Any], where: str) -> None:
    """Refuse an editor whose network or modules are not those of some edits.

    Raises:
        CheckpointError: says what differs.
    """
    if list(found["edit_modules"]) != list(expected["edit_modules"]):
        raise CheckpointError(
            f"{where}: made in the modules {expected['edit_modules']}, this editor has "
            f"{found['edit_modules']}"
        )
    ours, theirs = found["network"]["sha256"], expected["network"]["sha256"]
    if ours != theirs:
        raise CheckpointError(
            f"{where}: made by another DAFNet (sha256 {theirs[:12]}) than this editor's "
            f"({ours[:12]}); load the archive that the edits were made with"
        )


def warn_of_others(found: Mapping[str, Any], expected: Mapping[str, Any], where: str) -> None:
    """Warn where edits that are made again may come out otherwise than they did.

    Args:
        found: :func:`identity_of_editor`, with the versions at hand.
        expected: the same of whoever made the edits.
    """
    ours, theirs = found.get("tokenizer"), expected.get("tokenizer")
    if ours and theirs and ours != theirs:
        logger.warning(
            "%s: made with another tokenizer, or chat template; edits that are made again may come "
            "out otherwise",
            where,
        )
    now, then = found.get("versions", {}), expected.get("versions", {})
    for name in sorted(now.keys() & then.keys()):
        if now[name] != then[name]:
            logger.warning(
                "%s: made with %s %s, made again with %s: results may differ in rounding",
                where,
                name,
                then[name],
                now[name],
            )


def _describe(tensor: Tensor) -> str:
    """``dtype shape digest`` of a tensor."""
    shape = "x".join(map(str, tensor.shape)) or "scalar"
    return f"{str(tensor.dtype).removeprefix('torch.')} {shape} {_digest(tensor)}"


def _digest(tensor: Tensor) -> str:
    if tensor.device.type == "meta":
        return "away"  # offloaded: there are no bytes to look at
    return hashlib.sha256(bytes_of(tensor)).hexdigest()[:16]


def sample_digest(values: Sequence[Tensor]) -> str:
    """Digest of some of the numbers of tensors, spread over each: cheap enough for every edit.

    An edit that comes out otherwise does so in nearly all numbers of a weight.
    """
    whole = hashlib.sha256()
    for value in values:
        numbers = value.detach().flatten()
        whole.update(bytes_of(numbers[:: max(1, numbers.numel() // _SAMPLE)]))
    return whole.hexdigest()[:32]


def _class_name(config: Any, model: nn.Module) -> str:
    return str((getattr(config, "architectures", None) or [type(model).__name__])[0])


def _public_name(name: str) -> str:
    """A hub name as it is; of a directory its last part, since the rest is of one machine."""
    path = Path(name)
    return path.name if path.is_absolute() or path.exists() or name.startswith(".") else name


def _label(identity: Mapping[str, Any]) -> str:
    name = f"{identity['name']}, " if identity["name"] else ""
    return f"{name}{identity['class']}, sha256 {identity['sha256'][:12]}"
