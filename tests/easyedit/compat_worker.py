"""Edits with EasyEdit's own methods in a process of its own and reports what happened.

Usage: ``python compat_worker.py FAMILY MODEL_FOLDER REPORT.json``. The report maps each check to
what the tests assert on, or to ``{"error": traceback}``.
"""

from __future__ import annotations

import json
import os
import sys
import traceback
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

from dafnet_plugin.easyedit import compat

FAMILY, FOLDER, REPORT = sys.argv[1], sys.argv[2], Path(sys.argv[3])
compat.install()

import numpy as np  # noqa: E402
import torch  # noqa: E402
import yaml  # noqa: E402
from transformers import AutoModelForCausalLM, AutoTokenizer  # noqa: E402

EASYEDIT = compat.load()
LAYER = {
    "gpt2": {
        "rewrite_module_tmp": "transformer.h.{}.mlp.c_proj",
        "layer_module_tmp": "transformer.h.{}",
        "mlp_module_tmp": "transformer.h.{}.mlp",
        "attn_module_tmp": "transformer.h.{}.attn",
        "ln_f_module": "transformer.ln_f",
        "lm_head_module": "transformer.wte",
    },
    "llama": {
        "rewrite_module_tmp": "model.layers.{}.mlp.down_proj",
        "layer_module_tmp": "model.layers.{}",
        "mlp_module_tmp": "model.layers.{}.mlp",
        "attn_module_tmp": "model.layers.{}.self_attn",
        "ln_f_module": "model.norm",
        "lm_head_module": "lm_head",
    },
}[FAMILY]
MEND = """{
  archive: null, lr: 0.0001, edit_lr: 0.1, lr_lr: 0.001, lr_scale: 1.0, seed: 42, debug: false,
  cedit: 0.1, cloc: 1.0, cbase: 1.0, dropout: 0.0, train_base: false, no_grad_layers: null,
  one_sided: false, n_hidden: 1, hidden_dim: null, init: id, norm: true, combine: true,
  x_only: false, delta_only: false, act: relu, rank: 8, mlp_class: IDMLP, shared: true,
  results_dir: results, batch_size: 1, model_save_pt: 2, silent: false, max_iters: 5,
  log_interval: 2, eval_log_interval: 2, final_eval: true, val_interval: 2,
  early_stop_patience: 100, early_stop_key: loss/total_edit_val, eval_only: false, half: false,
  save: true, verbose: true, val_batch_size: 1, accumulate_bs: 2, val_steps: 2, opt: Adam,
  grad_clip: 100.0, model_parallel: false
}"""
COMMON = {"device": 0, "model_name": FOLDER, "max_length": 40}
# The subjects come last: a random model carries nothing from one token to another on purpose.
PROMPTS = ["The capital of France", "The capital of Italy"]
SUBJECTS = ["France", "Italy"]
TARGETS = ["London", "Michigan"]  # a single token each


def fields(cls: type, values: dict[str, Any]) -> Any:
    """Build a hyper-parameter object from those values that this version of it has."""
    return cls(**{k: v for k, v in values.items() if k in cls.__dataclass_fields__})  # type: ignore[attr-defined]


def ft() -> Any:
    values = {
        "alg_name": "FT",
        "layers": [1],
        "num_steps": 25,
        "lr": 5e-2,
        "weight_decay": 0,
        "kl_factor": 0,
        "norm_constraint": False,
        "objective_optimization": "target_new",
        "batch_size": 1,
    }
    return fields(EASYEDIT.module("models.ft").FTHyperParams, {**COMMON, **LAYER, **values})


def rome() -> Any:
    values = {
        "alg_name": "ROME",
        "layers": [0],
        "fact_token": "subject_last",
        "v_num_grad_steps": 40,
        "v_lr": 5e-1,
        "v_loss_layer": 1,
        "v_weight_decay": 1e-3,
        "clamp_norm_factor": 1000,
        "kl_factor": 0.0,
        "mom2_adjustment": False,
        "context_template_length_params": [[5, 10]],
        "mom2_dataset": "none",
        "mom2_n_samples": 4,
        "mom2_dtype": "float32",
        "stats_dir": "stats",
    }
    return fields(EASYEDIT.module("models.rome").ROMEHyperParams, {**COMMON, **LAYER, **values})


def memit() -> Any:
    config = AutoModelForCausalLM.from_pretrained(FOLDER).config
    name = config._name_or_path
    name = name.replace("/", "_") if EASYEDIT.version == "wheel" else name.rpartition("/")[2]
    width = 128 if FAMILY == "gpt2" else 64
    stats = Path("stats", name, "none_stats")
    stats.mkdir(parents=True, exist_ok=True)
    for layer in range(2):
        module = LAYER["rewrite_module_tmp"].format(layer)
        moments: dict[str, Any] = {
            "sample_size": 4,
            "mom2.count": 4,
            "mom2.mom2": 1e-3 * np.eye(width, dtype=np.float32),
            "mom2.constructor": "util.runningstats.SecondMoment()",
            "constructor": "util.runningstats.CombinedStat()",
        }
        np.savez(stats / f"{module}_float32_mom2_4.npz", **moments)
    values = {
        **vars(rome()),
        "alg_name": "MEMIT",
        "layer_selection": "all",
        "mom2_adjustment": True,
        "mom2_update_weight": 1,
        "layers": [0, 1],
        "clamp_norm_factor": 100,
    }
    return fields(EASYEDIT.module("models.memit").MEMITHyperParams, values)


def lora() -> Any:
    values = {
        "alg_name": "LoRA",
        "lora_type": "adalora",
        "layers": [],
        "num_steps": 30,
        "lr": 5e-2,
        "weight_decay": 0,
        "kl_factor": 0,
        "norm_constraint": False,
        "target_modules": ["c_attn"] if FAMILY == "gpt2" else ["q_proj", "v_proj"],
        "rank": 4,
        "lora_alpha": 32,
        "lora_dropout": 0.0,
        "batch_size": 1,
    }
    return fields(EASYEDIT.module("models.lora").LoRAHyperParams, {**COMMON, **values})


def mend_values() -> dict[str, Any]:
    gpt2 = [f"transformer.h.0.mlp.{name}.weight" for name in ("c_fc", "c_proj")]
    llama = [f"model.layers.0.mlp.{name}_proj.weight" for name in ("gate", "up", "down")]
    return {
        **COMMON,
        "model_class": "GPT2LMHeadModel" if FAMILY == "gpt2" else "LlamaForCausalLM",
        "tokenizer_class": "GPT2Tokenizer" if FAMILY == "gpt2" else "LlamaTokenizer",
        "tokenizer_name": FOLDER,
        "inner_params": gpt2 if FAMILY == "gpt2" else llama,
        "alg": "MEND",
        "alg_name": "MEND",
        **yaml.safe_load(MEND),
    }


def mend() -> Any:
    archive = f"results/models/MEND/{os.path.basename(FOLDER)}"
    values = {**mend_values(), "archive": archive, "eval_only": True}
    EASYEDIT.alg_dict["MEND"].__self__.is_init = False  # it would edit the first editor's model
    return fields(EASYEDIT.module("models.mend").MENDHyperParams, values)


def train_mend() -> dict[str, Any]:
    records = [
        {
            "src": prompt,
            "alt": target,
            "answers": ["Rome"],
            "rephrase": f"{subject}'s capital is",
            "loc": "nq question: who wrote the song",
            "loc_ans": "Ada",
            "subject": subject,
        }
        for prompt, target, subject in zip(PROMPTS, TARGETS, SUBJECTS)
    ] * 4
    Path("zsre.json").write_text(json.dumps(records))
    config = fields(EASYEDIT.module("trainer.training_hparams").MENDTrainingHparams, mend_values())
    data = EASYEDIT.ds_dict["zsre"]("zsre.json", config=config)
    trainer = EASYEDIT.module("trainer.EditTrainer").EditTrainer(config, data, data)
    trainer.run()
    return {"iterations": trainer.global_iter, "archive": os.path.isfile(trainer.save_path)}


def weights(model: Any) -> dict[str, torch.Tensor]:
    return {name: p.detach().clone() for name, p in model.named_parameters()}


def changed(before: dict[str, torch.Tensor], model: Any) -> list[str]:
    now = dict(model.named_parameters())
    return [name for name, value in before.items() if not torch.equal(value, now[name])]


def edit(hparams: Any, call: str = "edit", **kwargs: Any) -> dict[str, Any]:
    """Edit both facts and report metrics and which weights differ afterwards."""
    torch.manual_seed(0)
    editor = EASYEDIT.base_editor.from_hparams(hparams)
    before = weights(editor.model)
    metrics, _, _ = getattr(editor, call)(
        prompts=list(PROMPTS),
        target_new=list(TARGETS),
        ground_truth=["Paris", "Rome"],
        subject=list(SUBJECTS),
        rephrase_prompts=[f"The city that rules {subject}" for subject in SUBJECTS],
        locality_inputs={
            "other": {
                "prompt": ["The river Thames flows through"] * 2,
                "ground_truth": ["London and Rome"] * 2,
            }
        },
        **kwargs,
    )
    return {
        "pre": [float(np.mean(m["pre"]["rewrite_acc"])) for m in metrics],
        "post": [float(np.mean(m["post"]["rewrite_acc"])) for m in metrics],
        "locality": [m["post"]["locality"]["other_acc"] for m in metrics],
        "changed": changed(before, editor.model) if "LoRA" not in hparams.alg_name else None,
        "model_name": editor.model_name,
        "padding": editor.tok.padding_side,
        "pad": editor.tok.pad_token_id,
    }


def pair(make: Callable[[], Any]) -> dict[str, Any]:
    hparams = make()
    model = AutoModelForCausalLM.from_pretrained(FOLDER)
    hparams.model_name = (model, AutoTokenizer.from_pretrained(FOLDER))
    report = edit(hparams, sequential_edit=False)
    again = EASYEDIT.base_editor.from_hparams(hparams)
    return {
        **report,
        "same_model": again.model is model,
        "is_str": isinstance(again.model_name, str),
    }


CHECKS: dict[str, Callable[[], dict[str, Any]]] = {
    "mend-train": train_mend,
    **{
        f"{make.__name__}-{name}": partial(lambda m, k: edit(m(), sequential_edit=k), make, keep)
        for make in (ft, rome, mend, memit, lora)
        for name, keep in (("sequential", True), ("restored", False))
    },
    "ft-default": lambda: edit(ft()),
    "ft-batch": lambda: edit(ft(), "batch_edit", sequential_edit=False),
    "ft-batch-sequential": lambda: edit(ft(), "batch_edit", sequential_edit=True),
    "ft-pair": lambda: pair(ft),
    "rome-pair": lambda: pair(rome),
}


def main() -> None:
    report: dict[str, Any] = {"version": EASYEDIT.version}
    for name, check in CHECKS.items():
        try:
            report[name] = check()
        except Exception:
            report[name] = {"error": traceback.format_exc()}
    report["logs"] = os.path.exists("logs")
    report["files"] = sorted(os.listdir())
    report["patches"] = EASYEDIT.patches
    report["handlers"] = len(EASYEDIT.module("editors.editor").LOG.handlers)
    REPORT.write_text(json.dumps(report))


main()
