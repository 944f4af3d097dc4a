"""Scaled-down models with a DAFNet trained for each, made when first asked for."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from dafnet_plugin.architectures.skeleton import skeleton_of_path
from dafnet_plugin.architectures.structure import find_mlps
from dafnet_plugin.hparams import DAFNetHparams, DAFNetTrainingHparams
from dafnet_plugin.training.trainer import DAFNetTrainer
from tests.architectures.scaled import write_scaled
from tests.helpers import SMALL, cases

SIZES = {name: value for name, value in vars(SMALL).items() if isinstance(value, int)}


@dataclass(frozen=True)
class Trained:
    """A model on disk and the hyper-parameters of a DAFNet trained for it."""

    name: str
    folder: Path
    hparams: dict[str, object]

    def read(self, **changes: object) -> DAFNetHparams:
        """The hyper-parameters of editing."""
        return DAFNetHparams.from_dict({**self.hparams, **changes})


def train_for(name: str, root: Path, folder: Path, **changes: object) -> Trained:
    """Train a DAFNet for a few steps on every matrix of both MLPs."""
    mlps = find_mlps(skeleton_of_path(folder).model)
    modules = [module for mlp in mlps for module in (*mlp.readers, mlp.writer)]
    common = {"model_name": str(folder), "edit_modules": modules, **changes}
    training = {
        "network": SIZES,
        "fusion": {"edit_lr": -1.0},
        "results_dir": str(root),
        "max_iters": 2,
        "max_edits": 3,
        "tensorboard": False,
        "silent": True,
    }
    config = DAFNetTrainingHparams.from_dict({**training, **common})
    trainer = DAFNetTrainer(config, cases(4))
    trainer.run()
    return Trained(name, folder, {**common, "archive": str(trainer.directory)})


@pytest.fixture(scope="session")
def scaled(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Trained]:
    """``scaled(name)``: a scaled-down copy of a published model, ready to be edited."""
    root = tmp_path_factory.mktemp("scaled")
    made: dict[str, Trained] = {}

    def get(name: str) -> Trained:
        if name not in made:
            folder = write_scaled(root / name, name)
            made[name] = train_for(name, root / "results", folder)
        return made[name]

    return get
