"""Meta-training of the methods that need it, in a process of its own."""

from __future__ import annotations

import contextlib
import logging
import math
import random
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from benchmarks.config import ROOT
from benchmarks.jobs import TrainingJob
from benchmarks.methods import fill, read_yaml
from benchmarks.methods.serac import ENCODER, make_encoder
from benchmarks.mixing import by_source, mix
from dafnet_plugin.cases import read_cases, write_cases
from dafnet_plugin.errors import ConfigError
from dafnet_plugin.files import read_json, write_json
from dafnet_plugin.methods import hparams_class, own_methods

HELD_OUT = 0.1
"""Share of the training cases that EasyEdit's trainer validates on, to keep its best archive."""

ENDLESS = 10**9
"""Iterations of a training that time ends."""


Progress = Callable[[float, float], object]
"""Told what is done and what there is to do, in steps or in seconds."""


def train(job: TrainingJob, progress: Progress = lambda done, total: None) -> int:
    """Train and write the record of the job; DAFNet and KE go on where they were interrupted."""
    import torch

    if job.threads:
        torch.set_num_threads(job.threads)
    run = _train_own if job.alg_name in own_methods() else _train_with_easyedit
    archive, iterations, seconds = run(job, progress)
    record = {
        "inputs": job.inputs,
        "archive": archive,
        "seconds": round(seconds, 1),
        "iterations": iterations,
    }
    write_json(job.record, record)
    return 0


def archive_of(job: TrainingJob) -> str | None:
    """The archive that an earlier run of the same job left, None if there is none."""
    if not job.record.is_file():
        return None
    record = read_json(job.record)
    found = record.get("inputs") == job.inputs and Path(record["archive"]).exists()
    return record["archive"] if found else None


def _train_own(job: TrainingJob, progress: Progress) -> tuple[str, int, float]:
    """Train a method of this repository with its own trainer."""
    from dafnet_plugin.methods.trainers import trainer_class

    kind: Any = hparams_class(job.alg_name, training=True)
    config = kind.read(ROOT / job.hparams)
    config.model_name = config.tokenizer_name = job.model
    config.results_dir, config.device = job.folder, job.device
    config.train_path, config.threads, config.tensorboard = job.cases, job.threads, False
    config.seed += job.seed
    if job.seconds is not None:
        config.max_seconds, config.max_iters, config.max_epochs = job.seconds, None, None
    start = time.monotonic()
    # No validation set: nothing is selected on facts that are evaluated later.
    cases = by_source(read_cases(job.cases), Path(job.cases).stem)
    trainer = trainer_class(job.alg_name)(config, cases, resume=True)
    preparing = time.monotonic() - start
    with _watching(trainer, progress):
        trainer.run()
    # The state knows the time of all the runs that this one goes on from.
    return str(trainer.directory), trainer.state.iteration, preparing + trainer.state.seconds


@contextlib.contextmanager
def _watching(trainer: Any, progress: Progress) -> Iterator[None]:
    """Report on a trainer of this repository at work once a second."""
    config, over = trainer.config, threading.Event()

    def watch() -> None:
        while not over.wait(1.0):
            state = trainer.state
            limits = [(state.iteration, config.max_iters), (state.seconds, config.max_seconds)]
            shares = [done / limit for done, limit in limits if limit]
            progress(max(shares, default=0.0), 1.0)

    thread = threading.Thread(target=watch, daemon=True)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()


# -- with EasyEdit's own EditTrainer -------------------------------------------------------------


def _train_with_easyedit(job: TrainingJob, progress: Progress) -> tuple[str, int, float]:
    """Train MEND, SERAC or MALMEN."""
    import torch

    from dafnet_plugin.easyedit import register

    folder, start = Path(job.folder), time.monotonic()
    folder.mkdir(parents=True, exist_ok=True)
    logging.basicConfig(filename=folder / "training.log", filemode="w", level=logging.INFO)
    easyedit = register()
    config = _config(easyedit, job)
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
        if name == "train":
            mix(data, random.Random(f"sources {config.seed}"))
        sets.append(data)
    trainer = easyedit.module("trainer.EditTrainer").EditTrainer(config, *sets)
    iterations = _run(trainer, job.seconds, progress)
    return str(trainer.save_path), iterations, time.monotonic() - start


def _config(easyedit: Any, job: TrainingJob) -> Any:
    """The method's hyper-parameters for training.

    Raises:
        ConfigError: keys are unknown or missing, or no archive would ever be written.
    """
    values = read_yaml(ROOT / job.hparams)
    overrides: dict[str, Any] = {
        "model_name": job.model,
        "tokenizer_name": job.model,
        "results_dir": job.folder,
        "device": job.device,
        "archive": None,
    }
    seed = values.get("seed", 0) + job.seed  # MALMEN has no such key, and draws all the same
    if job.alg_name == "SERAC":
        if values.get("cls_name") is None:
            overrides["cls_name"] = str(Path(job.folder) / ENCODER)
            make_encoder(Path(job.model), Path(overrides["cls_name"]), seed)
        if values.get("small_name") is None:
            overrides["small_name"] = job.model
    if job.seconds is not None:
        overrides |= {"max_iters": ENDLESS, "max_epochs": None}
    config = fill(_training_class(easyedit, job.alg_name), values, overrides, job.hparams)
    config.seed = seed
    if config.max_iters <= config.val_interval:
        raise ConfigError(
            f"{job.hparams}: val_interval: {config.val_interval}; allowed: below max_iters "
            f"({config.max_iters}), or no archive is ever written"
        )
    return config


class _TimeIsUp(BaseException):
    """Ends a training; not an error, and nothing for EasyEdit to catch."""


def _run(trainer: Any, seconds: float | None, progress: Progress) -> int:
    """Train, until ``seconds`` have passed if they are given; returns the steps made."""
    done = 0
    start = time.monotonic()
    # MALMEN trains itself, several batches at a time.
    owner, name = (
        (trainer.model, "train") if trainer.config.alg == "MALMEN" else (trainer, "train_step")
    )
    step: Callable[[Any], Any] = getattr(owner, name)

    def counted(batch: Any) -> Any:
        nonlocal done
        passed = time.monotonic() - start
        if seconds is not None and passed >= seconds:
            raise _TimeIsUp
        result = step(batch)
        done += 1
        progress(*((done, trainer.config.max_iters) if seconds is None else (passed, seconds)))
        return result

    setattr(owner, name, counted)
    _keep_the_best(trainer)
    try:
        trainer.run()
    except _TimeIsUp:
        trainer.save_state(_validate(trainer))
    return done


def _keep_the_best(trainer: Any) -> None:
    """Let an archive be written only if it did better than the one before.

    So does EasyEdit's wheel; its main branch means to, and writes the last one.
    """
    save, key = trainer.save_state, trainer.config.early_stop_key
    sign = -1 if key.startswith("loss") else 1  # success shall rise
    best = -math.inf

    def save_state(stats: dict[str, float]) -> None:
        nonlocal best
        if sign * stats[key] > best:
            best = sign * stats[key]
            save(stats)

    trainer.save_state = save_state


def _validate(trainer: Any) -> dict[str, float]:
    config = trainer.config
    stats: dict[str, float]
    if config.alg == "MALMEN":
        # Its `train` is not that of torch, so that it must not be asked to evaluate.
        stats = trainer.model.valid(config, trainer.val_loader, trainer.val_set, config.val_steps)
    else:
        stats = trainer.validate(steps=config.val_steps)
    return stats


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


def _training_class(easyedit: Any, alg_name: str) -> type:
    package = easyedit.module("trainer.training_hparams")
    for name in dir(package):
        if name.lower() == f"{alg_name.lower()}traininghparams":
            found: type = getattr(package, name)
            return found
    raise ConfigError(f"training: EasyEdit cannot train {alg_name!r}")
