"""Keys that only EasyEdit's trainer acts on are refused, not ignored."""

from __future__ import annotations

import pytest

from dafnet_plugin.errors import ConfigError
from dafnet_plugin.hparams import DAFNetTrainingHparams
from dafnet_plugin.training.trainer import DAFNetTrainer


def test_every_such_key_is_named() -> None:
    config = DAFNetTrainingHparams("nowhere", ["a"], eval_only=True, cbase=1.0)
    with pytest.raises(ConfigError, match=r"cbase: 1\.0, eval_only: True"):
        DAFNetTrainer(config, [])
