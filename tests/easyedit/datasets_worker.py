"""Trains EasyEdit's MEND on every format of data, in a process of its own.

Usage: ``python datasets_worker.py FAMILY MODEL_FOLDER FILES.json REPORT.json``. FILES maps names
in ``DS_DICT`` to what they shall read. The report maps each to what the tests assert on, or to
``{"error": traceback}``.
"""

from __future__ import annotations

import json
import os
import sys
import traceback
from pathlib import Path
from typing import Any

import torch
import yaml

from dafnet_plugin.easyedit.registration import register

FAMILY, FOLDER = sys.argv[1:3]
FILES, REPORT = Path(sys.argv[3]), Path(sys.argv[4])
ROOT = Path(__file__).resolve().parents[2]
MODULES = {
    "gpt2": ["transformer.h.0.mlp.c_fc.weight", "transformer.h.0.mlp.c_proj.weight"],
    "llama": ["model.layers.0.mlp.up_proj.weight", "model.layers.0.mlp.down_proj.weight"],
}


def main() -> None:
    easyedit = register()
    kind = easyedit.module("trainer.training_hparams").MENDTrainingHparams
    values = yaml.safe_load((ROOT / f"hparams/TRAINING/MEND/tiny-{FAMILY}.yaml").read_text())
    values |= {
        "model_name": FOLDER,
        "tokenizer_name": FOLDER,
        "inner_params": MODULES[FAMILY],
        "device": 0,
        "batch_size": 1,
        "val_batch_size": 1,
        "val_steps": 1,
        "max_iters": 2,
        "val_interval": 1,
        "log_interval": 1,
    }
    report: dict[str, Any] = {}
    for name, path in json.loads(FILES.read_text()).items():
        config = kind(**{k: v for k, v in values.items() if k in kind.__dataclass_fields__})
        config.results_dir = f"results-{name}"
        try:
            report[name] = check(easyedit, easyedit.ds_dict[name](path, size=2, config=config))
        except Exception:
            report[name] = {"error": traceback.format_exc()}
    REPORT.write_text(json.dumps(report))


def check(easyedit: Any, data: Any) -> dict[str, Any]:
    """Put a batch together, and train for two steps."""
    batch = data.collate_gpt_fn([data[index] for index in range(len(data))])
    labels = batch["edit_inner"]["labels"]
    # EasyEdit has Llama's <s> in the targets; the tokens after it are what counts.
    decoded = [
        data.tok.decode([token for token in row if token >= 0], skip_special_tokens=True)
        for row in labels.tolist()
    ]
    trainer = easyedit.module("trainer.EditTrainer").EditTrainer(data.config, data, data)
    torch.manual_seed(0)
    trainer.run()
    return {
        "class": type(data).__name__,
        "records": len(data),
        "decoded": [text.strip() for text in decoded],
        "targets": [record["target_new"] for record in batch["raw"]],
        "keys": sorted(batch),
        "iterations": trainer.global_iter,
        "archive": os.path.isfile(trainer.save_path),
    }


main()
