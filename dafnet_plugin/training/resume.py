"""Everything a stopped run needs to go on as if it had never stopped."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import pickle
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from dafnet_plugin.errors import CheckpointError
from dafnet_plugin.files import atomic_path
from dafnet_plugin.training.bank import CaseBank

if TYPE_CHECKING:
    from dafnet_plugin.training.trainer import DAFNetTrainer


@dataclass
class TrainingState:
    """How far a run has come.

    Attributes:
        iteration: optimiser steps made.
        seconds: time spent training.
        best: best mean validation score so far.
        history: every validation, oldest first.
    """

    iteration: int = 0
    seconds: float = 0.0
    best: float = -1.0
    history: list[dict[str, Any]] = field(default_factory=list)


def save_state(trainer: DAFNetTrainer, path: Path) -> None:
    """Write the state of a run; the file is replaced as a whole or not at all."""
    data = {
        "config": _comparable(trainer),
        "dafnet": trainer.dafnet.state_dict(),
        "optimiser": trainer.optimiser.state_dict(),
        "curriculum": dataclasses.asdict(trainer.curriculum),  # type: ignore[call-overload]
        "generator": trainer.generator.get_state(),
        "state": dataclasses.asdict(trainer.state),
    }
    with atomic_path(path) as temporary:
        torch.save(data, temporary)


def load_state(trainer: DAFNetTrainer, path: Path) -> None:
    """Put a trainer where a stopped run left off; it starts anew if there is nothing to load.

    Raises:
        CheckpointError: the file is damaged, or the run had another config (names the keys).
    """
    if not path.is_file():
        return
    try:
        data = torch.load(path, map_location=trainer.device, weights_only=True)
        theirs = json.loads(data["config"])
    except (OSError, RuntimeError, KeyError, EOFError, ValueError, pickle.UnpicklingError) as error:
        raise CheckpointError(f"{path}: damaged training state: {error}") from error
    ours = json.loads(_comparable(trainer))
    differing = sorted(key for key in ours | theirs if ours.get(key) != theirs.get(key))
    if differing:
        raise CheckpointError(
            f"{path}: left by a run with another config; differing keys: "
            + ", ".join(f"{k} ({theirs.get(k)!r} then, {ours.get(k)!r} now)" for k in differing)
            + ". Give the same config, or start anew without --resume"
        )
    try:
        trainer.dafnet.load_state_dict(data["dafnet"])
        trainer.optimiser.load_state_dict(data["optimiser"])
        for name, value in data["curriculum"].items():
            setattr(trainer.curriculum, name, value)
        trainer.generator.set_state(data["generator"].cpu())
        trainer.state = TrainingState(**data["state"])
    except (RuntimeError, KeyError, TypeError, ValueError, AttributeError) as error:
        raise CheckpointError(f"{path}: damaged training state: {error}") from error


def _comparable(trainer: DAFNetTrainer) -> str:
    config = trainer.config.to_dict()
    if not isinstance(config["model_name"], str):
        config["model_name"] = "(model, tokenizer)"
    for shown_only in ("silent", "log_interval", "tensorboard", "checkpoint_interval"):
        del config[shown_only]
    config["cases"] = {bank.name: _digest(bank) for bank in trainer.banks}
    config["edited_weights"] = _weights_digest(trainer)
    validation = trainer.validation
    config["validation_cases"] = _digest(validation.bank) if validation else None
    return json.dumps(config, sort_keys=True)


def _weights_digest(trainer: DAFNetTrainer) -> str:
    """Tells whether the base model at the same path is still the same."""
    digest = hashlib.sha256()
    for edit_module in trainer.modules:
        weight = edit_module.weight.detach().cpu().contiguous()
        digest.update(weight.view(torch.uint8).numpy().tobytes())
    return digest.hexdigest()[:12]


def _digest(bank: CaseBank) -> str:
    """Tells whether two banks hold the same texts."""
    texts = repr((bank.requests, bank.generality, bank.locality)).encode()
    return f"{len(bank)} cases, {hashlib.sha256(texts).hexdigest()[:12]}"
