"""Reading a hyper-parameter file of either kind."""

from __future__ import annotations

import dataclasses
from pathlib import Path

from dafnet_plugin.hparams import DAFNetHparams, DAFNetTrainingHparams
from dafnet_plugin.schema import read_keys


def read_hparams(file: Path) -> DAFNetHparams | DAFNetTrainingHparams:
    """Read a file as what it is: of training if it lies among those, or has keys only they have.

    Raises:
        ConfigError: lists every problem of the file.
    """
    only_training = {item.name for item in dataclasses.fields(DAFNetTrainingHparams)} - {
        item.name for item in dataclasses.fields(DAFNetHparams)
    }
    if "TRAINING" in file.parts or read_keys(file) & only_training:
        return DAFNetTrainingHparams.read(file)
    return DAFNetHparams.read(file)
