"""Checks of training DAFNet with EasyEdit's own trainer, and of its data set."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import easyeditor
import numpy as np
import torch

from dafnet_plugin import DAFNetTrainingHparams
from dafnet_plugin.cases import EditCase, EditRequest, Probe, write_cases
from tests.easyedit import dafnet_setup as setup
from tests.easyedit.dafnet_bench import DS_DICT, Bench, facts, scores
from tests.easyedit.dafnet_setup import changed, weights

Report = dict[str, Any]
UNRELATED = Probe("nq question: who wrote the song", "Ada Lovelace")


def train_zsre(bench: Bench) -> Report:
    """On EasyEdit's ZsRE data set."""
    records = [
        {
            "src": prompt,
            "alt": target,
            "answers": [truth],
            "rephrase": f"They say: {prompt}",
            "loc": UNRELATED.prompt,
            "loc_ans": UNRELATED.answer,
        }
        for prompt, target, _, truth in setup.FACTS
    ]
    Path("zsre.json").write_text(json.dumps(records * 2))
    model = "GPT2LMHeadModel" if bench.family == "gpt2" else "LlamaForCausalLM"
    return _train(bench, "zsre", "zsre.json", model_class=model)


def train_cases(bench: Bench) -> Report:
    """On case files."""
    cases = [
        EditCase(str(number), EditRequest(*fact), locality=(UNRELATED,))
        for number, fact in enumerate(setup.FACTS)
    ]
    write_cases("cases.jsonl", cases * 2)
    return _train(bench, "dafnet", "cases.jsonl", fusion={"kind": "running_mean"})


def _train(bench: Bench, dataset: str, file: str, **changes: Any) -> Report:
    Path("text.txt").write_text("\n".join(setup.SENTENCES))
    values = {
        **bench.settings(),
        "batch_size": 2,
        "max_iters": 4,
        "val_interval": 3,
        "val_steps": 2,
        "log_interval": 1,
        "lr": 1e-2,
        "lr_lr": 0.125,
        "text_path": "text.txt",
        "results_dir": f"results-{dataset}",
        "final_eval": True,
        **changes,
    }
    config = DAFNetTrainingHparams.from_hparams(setup.write_yaml(Path("train.yaml"), values))
    data = DS_DICT[dataset](file, config=config)
    torch.manual_seed(0)
    trainer = easyeditor.EditTrainer(config, data, data)
    start = {name: value.clone() for name, value in trainer.model.state_dict().items()}
    base = weights(trainer.model.model)
    trainer.run()
    final = json.loads(Path(config.results_dir, "results.json").read_text())["results"]
    state = torch.load(trainer.save_path, weights_only=True)["model"]
    moved = [name for name, value in state.items() if not torch.equal(value, start[name])]
    return {
        "loss": final["loss/total_val"],
        "moved": sorted(moved),
        # Adam's steps are of the size of the learning rate.
        "lr_step": float((state["edit_lrs"] - start["edit_lrs"]).abs().max()),
        "base_changed": changed(base, trainer.model.model),
        "archive": os.path.relpath(trainer.save_path),
        "tensors": all(isinstance(value, torch.Tensor) for value in state.values()),
    }


def trained_archive(bench: Bench) -> Report:
    """The trainer's archive edits; with hyper-parameters of another DAFNet it says why not."""
    archive = f"results-zsre/models/DAFNET/{bench.folder.name}"
    editor = bench.editor(archive=archive)
    before = weights(editor.model)
    metrics, _, _ = editor.edit(**facts([0, 1]), sequential_edit=True)
    report = {**scores(metrics), "changed": changed(before, editor.model)}
    try:
        bench.editor(archive=archive, edit_modules=bench.modules[:2]).edit(**facts([0]))
    except Exception as error:
        report["refused"] = f"{type(error).__name__}: {error}"
    return report


def edit_dataset(bench: Bench) -> Report:
    """Editing a whole data set, which only the wheel's editor can."""
    editor = bench.editor(batch_size=2)
    if not hasattr(editor, "edit_dataset"):
        return {"absent": True}
    before = weights(editor.model)
    data = DS_DICT["dafnet"]("cases.jsonl", size=3)
    metrics, _, _ = editor.edit_dataset(data, keep_original_weight=True)
    return {
        "changed": changed(before, editor.model),
        "post": [float(np.mean(metric["post"]["rewrite_acc"])) for metric in metrics],
    }


CHECKS = [train_zsre, train_cases, trained_archive, edit_dataset]
