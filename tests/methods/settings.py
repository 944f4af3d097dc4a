"""Editors of the tiny models that know the world."""

from __future__ import annotations

from typing import Any

from dafnet_plugin.methods.calinet.hparams import CaliNetHparams
from dafnet_plugin.methods.calinet.method import CaliNetEditor
from dafnet_plugin.methods.tpatcher.hparams import TPatcherHparams
from dafnet_plugin.methods.tpatcher.method import TPatcherEditor
from tests.methods import world

FAMILIES = ("gpt2", "llama")


def patcher(family: str, base: Any = None, **changes: Any) -> TPatcherEditor:
    """Transformer-Patcher on a model of its own."""
    values = {
        "model_name": family,
        "edit_modules": [world.LAST[family]],
        "memory_texts": world.SENTENCES,
        "lr": 0.05,
        "steps": 200,
        "memory_top": 10,
        "memory_weight": 1.0,
        **changes,
    }
    hparams = TPatcherHparams.from_dict(values)
    return TPatcherEditor(hparams, base or world.model(family), world.tokenizer())


def calibrator(family: str, base: Any = None, **changes: Any) -> CaliNetEditor:
    """CaliNet on a model of its own."""
    values = {
        "model_name": family,
        "edit_modules": [world.FIRST[family], world.LAST[family]],
        "slots": 8,
        "steps": 60,
        "lr": 0.02,
        **changes,
    }
    hparams = CaliNetHparams.from_dict(values)
    return CaliNetEditor(hparams, base or world.model(family), world.tokenizer())


def editor(method: str, family: str, base: Any = None, **changes: Any) -> Any:
    """One of the two."""
    return {"TPATCHER": patcher, "CALINET": calibrator}[method](family, base, **changes)


def facts(of: Any, *people: str) -> list[Any]:
    """Moves of people as an editor takes them."""
    return [
        of.read({"prompt": r.prompt, "target_new": r.target_new, "subject": r.subject})
        for r in world.moves(*people)
    ]
