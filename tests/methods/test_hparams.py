"""Settings of the methods: what is wrong is named with key, value and what is allowed."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from benchmarks.config import ROOT
from dafnet_plugin.errors import ConfigError
from dafnet_plugin.methods import METHODS, hparams_class, own_methods

MODELS = ("tiny-gpt2", "tiny-llama", "gpt2-xl", "gpt-j-6B", "llama-7b")
PLACE: dict[str, Any] = {"model_name": "m", "edit_modules": ["transformer.h.1.mlp"]}


@pytest.mark.parametrize("model", MODELS)
@pytest.mark.parametrize("name", METHODS)
def test_shipped_files(name: str, model: str) -> None:
    method = METHODS[name]
    hparams = method.hparams_class().read(ROOT / "hparams" / name / f"{model}.yaml")
    training = method.training_class()
    path = ROOT / "hparams" / "TRAINING" / name / f"{model}.yaml"
    assert (training is not None) == path.is_file()
    if training is not None:
        read: Any = training.read(path)
        assert read.edit_modules == hparams.edit_modules  # type: ignore[attr-defined]
        assert read.model_name == hparams.model_name  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    ("name", "changes", "said"),
    [
        ("TPATCHER", {"alg_name": "KE"}, "alg_name: 'KE'; allowed: 'TPATCHER'"),
        ("TPATCHER", {"edit_modules": ["a", "b"]}, "allowed: one module"),
        ("TPATCHER", {"edit_modules": []}, "at least one module name"),
        ("TPATCHER", {"confidence": 1.0}, "confidence: 1.0; allowed: 0 or more, below 1"),
        ("TPATCHER", {"memory_threshold": 1.0}, "memory_threshold: 1.0; allowed: 0 or less"),
        ("TPATCHER", {"memory_weight": -1.0}, "memory_weight: -1.0; allowed: 0 or more"),
        ("TPATCHER", {"activation": "tanh"}, "activation: 'tanh'; allowed: relu, gelu, silu"),
        ("TPATCHER", {"memory_tpo": 1}, r"memory_tpo: unknown key \(did you mean 'memory_top'\?\)"),
        ("CALINET", {"slots": 0}, "slots: 0; allowed: above 0"),
        ("CALINET", {"sequential": "both"}, "sequential: 'both'; allowed: add, retrain"),
        ("CALINET", {"contexts": ["It is known"]}, "allowed: texts with one {} each"),
        ("CALINET", {"locality": 1.0}, "locality: 1.0; needs memory_path or memory_texts"),
        ("CALINET", {"replay": -1}, "replay: -1; allowed: 0 or more"),
        ("KE", {"signal_batch_size": 0}, "signal_batch_size: 0; allowed: above 0"),
        ("KE", {"model_name": 3}, "model_name: 3; allowed: a directory or a hub name"),
    ],
)
def test_wrong_settings(name: str, changes: dict[str, Any], said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        METHODS[name].hparams_class().from_dict(PLACE | changes)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"fusion": {"kind": "sum"}}, "fusion: unknown key: KE has none"),
        ({"cloc": 2.0}, "cloc: unknown key: KE has none"),
        ({"alg": "DAFNET"}, "alg: 'DAFNET'; allowed: 'KE'"),
        ({"hypernetwork": {"lstm_dim": 0}}, "hypernetwork.lstm_dim: 0; allowed: above 0"),
        ({"hypernetwork": {"shift": "none"}}, "hypernetwork.shift: 'none'; allowed: scaled, free"),
        ({"constraint": {"fall": 1.0}}, "constraint.fall: 1.0; allowed: above 0, below 1"),
        ({"constraint": {"last_margin": 0.5}}, "constraint.last_margin: 0.5; allowed: up to 0.1"),
        ({"constraint": {"others": -1}}, "constraint.others: -1; allowed: 0 or more"),
    ],
)
def test_wrong_settings_of_training(changes: dict[str, Any], said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        hparams_class("KE", training=True).from_dict(PLACE | changes)  # type: ignore[union-attr]


def test_methods_by_name(tmp_path: Path) -> None:
    assert own_methods() == {"DAFNET", "TPATCHER", "KE", "CALINET"}
    assert hparams_class("ROME") is None and hparams_class("TPATCHER", training=True) is None
    assert hparams_class("DAFNET").__name__ == "DAFNetHparams"
    assert hparams_class("DAFNET", training=True).__name__ == "DAFNetTrainingHparams"
