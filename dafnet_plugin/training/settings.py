"""What a trainer reads off its settings before anything is loaded."""

from __future__ import annotations

import os

from dafnet_plugin.errors import ConfigError
from dafnet_plugin.hparams import DAFNetTrainingHparams
from dafnet_plugin.training.curriculum import Curriculum, Plateau, Ramp


def check_supported(config: DAFNetTrainingHparams, processes: int = 1) -> None:
    """Refuse what the trainer would have to ignore.

    Args:
        processes: that train together.

    Raises:
        ConfigError: a key that only EasyEdit's ``EditTrainer`` acts on, or something that several
            processes cannot do.
    """
    defaults = type(config)(config.model_name, config.edit_modules)
    given = [
        name for name in _EDIT_TRAINER_ONLY if getattr(config, name) != getattr(defaults, name)
    ]
    if given:
        raise ConfigError(
            f"{config.METHOD}'s trainer does not act on "
            + ", ".join(f"{name}: {getattr(config, name)!r}" for name in given)
            + "; allowed: the default. Only EasyEdit's EditTrainer reads these keys"
        )
    if processes == 1:
        return
    if config.accumulate_bs % processes:
        raise ConfigError(
            f"accumulate_bs: {config.accumulate_bs}; allowed: a multiple of {processes}, the "
            "number of processes, each of which does as many of a step's sequences"
        )
    if config.model_parallel:
        raise ConfigError(
            "model_parallel: true; allowed: false in several processes, each of which holds the "
            "base model on its own device; one process spreads it over all"
        )


_EDIT_TRAINER_ONLY = (
    "archive",
    "cbase",
    "debug",
    "early_stop_key",
    "early_stop_patience",
    "eval_only",
    "final_eval",
    "save",
    "train_base",
    "val_steps",
)


def model_label(config: DAFNetTrainingHparams) -> str:
    """What the base model is called in the folder of its checkpoint."""
    if isinstance(config.model_name, str):
        return os.path.basename(os.path.normpath(config.model_name))
    return config.model_name[0].config.model_type


def new_curriculum(config: DAFNetTrainingHparams) -> Curriculum:
    """The curriculum that the settings name, at its beginning."""
    if config.curriculum == "plateau":
        return Plateau(config.max_edits, config.increase_after)
    return Ramp(config.max_edits, config.curriculum_share)
