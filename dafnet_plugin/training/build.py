"""From hyper-parameters to a DAFNet: the one place where the two vocabularies meet."""

from __future__ import annotations

import dataclasses
import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from torch import nn

from dafnet_plugin.artifacts.checkpoint import (
    Checkpoint,
    load_checkpoint,
    load_reference_checkpoint,
)
from dafnet_plugin.artifacts.trainer_archive import load_trainer_state, read_trainer_archive
from dafnet_plugin.editing.consolidation import Consolidation, ConsolidationConfig
from dafnet_plugin.editing.dafnet import DAFNet
from dafnet_plugin.editing.editor import DAFNetEditor
from dafnet_plugin.editing.fusion import FusionConfig
from dafnet_plugin.editing.modules import EditModule, find_edit_modules
from dafnet_plugin.errors import CheckpointError, ConfigError
from dafnet_plugin.hparams import DAFNetHparams, DAFNetTrainingHparams
from dafnet_plugin.network import NetworkConfig
from dafnet_plugin.tokens import Encoded, context_length

logger = logging.getLogger(__name__)


def network_config(hparams: DAFNetHparams | DAFNetTrainingHparams) -> NetworkConfig:
    """The network section as the network's own config."""
    return NetworkConfig(**dataclasses.asdict(hparams.network))


def fusion_config(hparams: DAFNetHparams | DAFNetTrainingHparams) -> FusionConfig:
    """The fusion section as the fusion's own config."""
    return FusionConfig(**dataclasses.asdict(hparams.fusion))


def consolidation_config(hparams: DAFNetHparams) -> ConsolidationConfig:
    """The consolidation section as the consolidation's own config."""
    return ConsolidationConfig(**dataclasses.asdict(hparams.consolidation))


def new_dafnet(
    hparams: DAFNetHparams | DAFNetTrainingHparams, modules: Sequence[EditModule]
) -> DAFNet:
    """An untrained DAFNet for some modules; initial values follow torch's global generator."""
    return DAFNet(
        [edit_module.shape for edit_module in modules],
        network_config(hparams),
        fusion_config(hparams),
        hparams.edit_bias,
    )


def build_editor(hparams: DAFNetHparams, model: nn.Module, tokenizer: Any) -> DAFNetEditor:
    """An editor with the trained DAFNet that ``archive`` names.

    Raises:
        ConfigError, CheckpointError, ModelError: see :func:`trained_dafnet` and the editor;
            or ``consolidation`` is asked for, and the archive has no text to do it with, or
            text of another model.
    """
    checkpoint = trained_dafnet(hparams, model)
    config = consolidation_config(hparams)
    consolidation = None
    if checkpoint.replay:
        _check_replay(checkpoint.replay, model, hparams.archive)
        consolidation = Consolidation(config, checkpoint.replay)
    elif config.start and "consolidation" in hparams.given:
        raise ConfigError(
            f"consolidation.start: {config.start}; allowed: 0, since {hparams.archive} has no "
            "text to be preserved (only `dafnet train` with least_squares keeps some)"
        )
    elif config.start and checkpoint.dafnet.fusion.kind == "least_squares":
        logger.warning(
            "%s keeps no text to be preserved: long sequences are not consolidated", hparams.archive
        )
    return DAFNetEditor(
        model,
        tokenizer,
        checkpoint.dafnet,
        checkpoint.edit_modules,
        batch_size=hparams.signal_batch_size,
        consolidation=consolidation,
        use_chat_template=hparams.use_chat_template,
    )


def trained_dafnet(hparams: DAFNetHparams, model: nn.Module) -> Checkpoint:
    """Load what ``archive`` names: a checkpoint directory, or a file.

    A file is in the published format, or what EasyEdit's ``EditTrainer`` saved; neither says
    all of what ``network`` and ``fusion`` were.

    Raises:
        ConfigError: no archive is named.
        CheckpointError: it is not there, or was trained for other modules.
    """
    if hparams.archive is None:
        raise ConfigError(
            "archive: null; a trained DAFNet is needed: train one with `dafnet train "
            "hparams/TRAINING/DAFNET/<model>.yaml` and name its directory here"
        )
    path = Path(hparams.archive)
    if path.is_file():
        modules = find_edit_modules(model, hparams.edit_modules)
        state = read_trainer_archive(path)
        if state is not None:
            dafnet = new_dafnet(hparams, modules)
            load_trainer_state(dafnet, state, hparams.edit_modules, where=str(path))
            return Checkpoint(dafnet, tuple(hparams.edit_modules), {"imported_from": path.name})
        dafnet = load_reference_checkpoint(
            path,
            shapes=[edit_module.shape for edit_module in modules],
            network=network_config(hparams),
            edit_bias=hparams.edit_bias,
        )
        if hparams.fusion.kind != "running_mean":
            raise ConfigError(
                f"fusion.kind: {hparams.fusion.kind!r}; allowed: 'running_mean', which {path} in "
                "the published format was trained with"
            )
        return Checkpoint(dafnet, tuple(hparams.edit_modules), {"imported_from": path.name})
    checkpoint = load_checkpoint(path)
    if list(checkpoint.edit_modules) != hparams.edit_modules:
        raise CheckpointError(
            f"{path}: trained for the modules {list(checkpoint.edit_modules)}, "
            f"but edit_modules is {hparams.edit_modules}"
        )
    _check_given(hparams, checkpoint.dafnet, path)
    return checkpoint


def _check_replay(replay: Sequence[Encoded], model: nn.Module, archive: str | None) -> None:
    """Refuse tokens that this model cannot read; a GPU would only say that an assertion failed."""
    embeddings: Any = model.get_input_embeddings()  # type: ignore[operator]
    for name, most, allowed in (
        ("token", max(max(text.ids) for text in replay), len(embeddings.weight) - 1),
        ("length", max(len(text.ids) for text in replay) - 1, context_length(model)),
    ):
        if allowed is not None and most > allowed:
            raise CheckpointError(
                f"{archive}: replay text has a {name} of {most}; this model allows {allowed}: "
                "the checkpoint was trained with another model"
            )


def _check_given(hparams: DAFNetHparams, dafnet: DAFNet, path: Path) -> None:
    """Refuse settings of the file that the checkpoint contradicts, rather than ignore them."""
    trained = {
        "network": dataclasses.asdict(dafnet.network_of(0).config),
        "fusion": dataclasses.asdict(dafnet.fusion),
    }
    problems = [
        f"{section}.{key}: {getattr(getattr(hparams, section), key)!r}; trained with {value!r}"
        for section, values in trained.items()
        for key, value in values.items()
        if key not in ("edit_lr", "ridge")  # where training started; it has learned others
        and key in hparams.given.get(section, {})
        and getattr(getattr(hparams, section), key) != value
    ]
    if "edit_bias" in hparams.given and hparams.edit_bias != dafnet.edit_bias:
        problems.append(f"edit_bias: {hparams.edit_bias}; trained with {dafnet.edit_bias}")
    if problems:
        raise ConfigError(f"{path}: the checkpoint is of another kind: " + "; ".join(problems))
