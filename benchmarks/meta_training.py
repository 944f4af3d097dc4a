"""Meta-training of the methods that need it, in a process of its own."""

from __future__ import annotations

import logging
import random
import time
from pathlib import Path
from typing import Any

from benchmarks.config import ROOT
from benchmarks.jobs import TrainingJob
from benchmarks.methods import fill, read_yaml
from dafnet_plugin.cases import read_cases, write_cases
from dafnet_plugin.errors import ConfigError
from dafnet_plugin.files import read_json, write_json

HELD_OUT = 0.1
"""Share of the training cases that EasyEdit's trainer validates on, to keep its best archive."""


def train(job: TrainingJob) -> int:
    """Train and write the record of the job."""
    import torch

    if job.threads:
        torch.set_num_threads(job.threads)
    start = time.monotonic()
    archive = _train_dafnet(job) if job.alg_name == "DAFNET" else _train_with_easyedit(job)
    seconds = round(time.monotonic() - start, 1)
    write_json(job.record, {"inputs": job.inputs, "archive": archive, "seconds": seconds})
    return 0


def archive_of(job: TrainingJob) -> str | None:
    """The archive that an earlier run of the same job left, None if there is none."""
    if not job.record.is_file():
        return None
    record = read_json(job.record)
    found = record.get("inputs") == job.inputs and Path(record["archive"]).exists()
    return record["archive"] if found else None


def _train_dafnet(job: TrainingJob) -> str:
    from dafnet_plugin.hparams import DAFNetTrainingHparams
    from dafnet_plugin.training.trainer import DAFNetTrainer

    config = DAFNetTrainingHparams.read(ROOT / job.hparams)
    config.model_name = config.tokenizer_name = job.model
    config.results_dir, config.device = job.folder, job.device
    config.train_path, config.threads, config.tensorboard = job.cases, job.threads, False
    # No validation set: nothing is selected on facts that are evaluated later.
    trainer = DAFNetTrainer(config, {Path(job.cases).stem: read_cases(job.cases)})
    trainer.run()
    return str(trainer.directory)


def _train_with_easyedit(job: TrainingJob) -> str:
    """Train with EasyEdit's own ``EditTrainer`` (MEND and its kin)."""
    import torch

    from dafnet_plugin.easyedit import register

    folder = Path(job.folder)
    folder.mkdir(parents=True, exist_ok=True)
    # EasyEdit logs each step; the terminal gets a bar instead.
    logging.basicConfig(filename=folder / "training.log", filemode="w", level=logging.INFO)
    easyedit = register()
    config = fill(
        _training_class(easyedit, job.alg_name),
        read_yaml(ROOT / job.hparams),
        {
            "model_name": job.model,
            "tokenizer_name": job.model,
            "results_dir": job.folder,
            "device": job.device,
            "archive": None,
        },
        job.hparams,
    )
    if config.max_iters <= config.val_interval:
        raise ConfigError(
            f"{job.hparams}: val_interval: {config.val_interval}; allowed: below max_iters "
            f"({config.max_iters}), or no archive is ever written"
        )
    random.seed(config.seed)
    torch.manual_seed(config.seed)  # which EasyEdit's wheel leaves to its user
    cases = read_cases(job.cases)
    random.shuffle(cases)
    held_out = max(1, round(len(cases) * HELD_OUT))
    sets = []
    for name, some in (("train", cases[held_out:]), ("val", cases[:held_out])):
        write_cases(folder / f"cases-{name}.jsonl", some)
        # EasyEdit's ZsreDataset, reading case files: it trains on the probes that count.
        data = easyedit.ds_dict["dafnet"](str(folder / f"cases-{name}.jsonl"), config=config)
        repair_labels(data)
        sets.append(data)
    trainer = easyedit.module("trainer.EditTrainer").EditTrainer(config, *sets)
    _run_with_bar(trainer, job.alg_name)
    return str(trainer.save_path)


def repair_labels(data: Any) -> None:
    """Let a data set of EasyEdit's ask for the tokens that really follow the prompt.

    EasyEdit tokenises the answer on its own, without the space before it (the wheel) and with a
    start token where the tokenizer adds one (both versions). Trained on those labels, MEND learns
    to say other tokens than the ones that are scored, and hardly edits.
    """
    collate = data.collate_gpt_fn

    def collate_gpt_fn(batch: Any) -> Any:
        result = collate(batch)
        answers = {"target_new": ("edit_inner", "edit_rephrase"), "locality_ground_truth": ("loc",)}
        for name, parts in answers.items():
            tokens = data.tok(
                [" " + record[name] for record in batch],
                return_tensors="pt",
                padding=True,
                add_special_tokens=False,
            )
            mask = tokens["attention_mask"]
            # The pad token may be a token of the answer; the mask tells them apart.
            labels = tokens["input_ids"].masked_fill(mask == 0, -100)
            for part in parts:
                result[part]["labels"] = labels.to(result[part]["labels"].device)
            if name == "locality_ground_truth":
                result["loc"]["decoder_attention_mask"] = mask.to(labels.device)
        return result

    data.collate_gpt_fn = collate_gpt_fn


def _run_with_bar(trainer: Any, alg_name: str) -> None:
    from tqdm import tqdm

    with tqdm(
        total=trainer.config.max_iters,
        desc=f"{alg_name} meta-training",
        mininterval=0.5,
        disable=None,
    ) as bar:
        step = trainer.train_step

        def counted(batch: Any) -> Any:
            bar.update(1)
            return step(batch)

        trainer.train_step = counted
        trainer.run()


def _training_class(easyedit: Any, alg_name: str) -> type:
    package = easyedit.module("trainer.training_hparams")
    for name in dir(package):
        if name.lower() == f"{alg_name.lower()}traininghparams":
            found: type = getattr(package, name)
            return found
    raise ConfigError(f"training: EasyEdit cannot train {alg_name!r}")
