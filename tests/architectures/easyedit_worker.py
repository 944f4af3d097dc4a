"""Edits scaled-down models through the EasyEdit of this process and reports what happened.

Usage: ``python easyedit_worker.py SETTINGS.json REPORT.json``. The settings map each model's name
to its hyper-parameters; the report maps it to what the tests assert on, or ``{"error": ...}``.
"""

from __future__ import annotations

import json
import sys
import traceback
from pathlib import Path
from typing import Any

from dafnet_plugin import DAFNetHparams
from dafnet_plugin.methods import METHODS
from tests.easyedit.dafnet_setup import PROMPTS, SUBJECTS, TARGETS, TRUTHS, write_yaml


def with_lora(hparams: DAFNetHparams) -> tuple[Any, Any]:
    """The model inside an adapter that does something, and its tokenizer."""
    import torch
    from peft import LoraConfig, get_peft_model

    from dafnet_plugin.base_models import load_base_model

    model, tokenizer = load_base_model(hparams, torch.device("cpu"))
    config = LoraConfig(r=2, target_modules=["down_proj"], init_lora_weights=False)
    return get_peft_model(model, config), tokenizer


def edit_through_easyedit(name: str, values: dict[str, Any]) -> dict[str, Any]:
    from easyeditor import BaseEditor

    from dafnet_plugin.easyedit.compat.editors import ModelPair

    wrapped = values.pop("peft", False)
    method = METHODS.get(values.get("alg_name", ""))
    kind: Any = DAFNetHparams if method is None else method.hparams_class()
    hparams = kind.from_hparams(write_yaml(Path(f"{name}.yaml"), values))
    if wrapped:
        hparams.model_name = with_lora(hparams)
    editor = BaseEditor.from_hparams(hparams)
    parameters = dict(editor.model.named_parameters())
    before = {name: p.detach().clone() for name, p in parameters.items()}

    def edit(sequential: bool) -> tuple[list[str], list[dict[str, Any]]]:
        metrics, edited, _ = editor.edit(
            PROMPTS[:2],
            TARGETS[:2],
            ground_truth=TRUTHS[:2],
            subject=SUBJECTS[:2],
            sequential_edit=sequential,
            verbose=False,
        )
        now = dict(edited.named_parameters())
        # A module that neurons stand beside has another name, and the weights in it, too.
        return [
            n for n, value in before.items() if n not in now or not value.equal(now[n])
        ], metrics

    restored, _ = edit(False)
    changed, metrics = edit(True)
    return {
        "reloads": wrapped or method is not None or reloads(editor.model, Path(f"{name}-edited")),
        "class": type(editor.model).__name__,
        "dtype": str(editor.model.dtype),
        "known": not isinstance(editor.model_name, ModelPair),
        "restored": restored,
        "changed": changed,
        "scored": [len(m["post"]["rewrite_acc"]) for m in metrics],
    }


def reloads(model: Any, folder: Path) -> bool:
    """Whether a model that was saved is the same bit for bit when it is loaded."""
    model.save_pretrained(folder)
    again = dict(type(model).from_pretrained(folder, dtype=model.dtype).named_parameters())
    return all(value.equal(again[name]) for name, value in model.named_parameters())


def main() -> None:
    report: dict[str, Any] = {}
    for name, values in json.loads(Path(sys.argv[1]).read_text()).items():
        try:
            report[name] = edit_through_easyedit(name, values)
        except Exception:
            report[name] = {"error": traceback.format_exc()}
    Path(sys.argv[2]).write_text(json.dumps(report))


main()
