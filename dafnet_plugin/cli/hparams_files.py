"""Reading a hyper-parameter file of any method of this package, and of either kind."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

from dafnet_plugin.errors import ConfigError
from dafnet_plugin.methods import hparams_class, own_methods
from dafnet_plugin.schema import read_values


def read_hparams(file: Path) -> Any:
    """Read a file as what it is.

    It is of the method that ``alg_name`` or else its folder names, DAFNet without either; and of
    training if it lies among those files, or has keys only they have.

    Returns:
        hyper-parameters of the method.

    Raises:
        ConfigError: lists every problem of the file; or it is of training, which its method does
            not need.
    """
    values = read_values(file)
    alg_name = method_of(file, values.get("alg_name"))
    editing, training = hparams_class(alg_name), hparams_class(alg_name, training=True)
    assert editing is not None  # one of our own
    if training is None:
        if "TRAINING" in file.parts:
            raise ConfigError(f"{file}: {alg_name} is not meta-trained")
        return editing.read(file)
    only_training = _keys(training) - _keys(editing)
    if "TRAINING" in file.parts or values.keys() & only_training:
        return training.read(file)
    return editing.read(file)


def method_of(file: Path, alg_name: Any) -> str:
    """The method of this package that a file is of, by what it says and where it lies."""
    names = (alg_name, *reversed(file.parts))
    return next((name for name in names if name in own_methods()), "DAFNET")


def _keys(kind: Any) -> set[str]:
    return {item.name for item in dataclasses.fields(kind)}
