"""The search itself: draw settings, try them on training facts, write a line for each."""

from __future__ import annotations

import contextlib
import random
import shutil
import time
import traceback
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.config import BenchmarkConfig, MethodConfig
from benchmarks.grid import Setting
from benchmarks.jobs import digest
from benchmarks.preparation import Ready, prepare_job, ready, run_prepare
from benchmarks.tuning.arena import TRAINING_CASES, TUNING_CASES, Arena, Lengths
from benchmarks.tuning.space import Settings, Space
from benchmarks.tuning.trials import Trial, append_trial, read_trials
from dafnet_plugin.cases import EditCase, read_cases, write_cases
from dafnet_plugin.errors import DataError, ModelError
from dafnet_plugin.files import sha256

LENGTHS: Lengths = ((1, 10), (10, 3), (100, 1))
"""What a trial is scored on."""

REDRAWS = 100
"""Draws for one trial before a setting that was tried already is tried again."""


@dataclass(frozen=True)
class Budget:
    """What a search may cost; the same for every method that is compared.

    Attributes:
        trials: settings tried, the YAML file's own included.
        seconds: no new trial is begun once those there are took so long, whether in this run or
            before it was interrupted; None for no limit.
        training_seconds: of each meta-training, for methods with one.
    """

    trials: int = 16
    seconds: float | None = None
    training_seconds: float = 120.0


def tune(
    config: BenchmarkConfig,
    entry: MethodConfig,
    setting: Setting,
    space: Path,
    budget: Budget,
    *,
    trials: Path,
    data_dir: Path,
    out: Path,
    lengths: Lengths = LENGTHS,
    progress: Callable[[Trial], object] = lambda _: None,
) -> list[Trial]:
    """Search the settings of one method on one model, in this process.

    Trials that the file has already, of the same inputs, are not repeated.

    Args:
        entry: the method; its YAML files are where the search starts (trial 0).
        setting: base model, data set and seed.
        space: YAML file of the search space.
        trials: file that each trial adds a line to.
        data_dir: the real data sets; ``out`` takes facts, base model and logs, as for a run.
        lengths: pairs of (edits of a sequence, how many such sequences) to score.
        progress: told each new trial.

    Returns:
        the trials of these inputs, by number.

    Raises:
        ConfigError, DataError: before anything is tried.
    """
    facts = _facts(config, setting, data_dir, out)
    folder = out / "tuning" / setting.dataset.name / setting.model.name / entry.label
    shutil.rmtree(folder, ignore_errors=True)
    scored, rest = split(read_cases(facts.train), setting.seed, lengths)
    write_cases(folder / TUNING_CASES, scored)
    write_cases(folder / TRAINING_CASES, rest)
    drawn = Space.read(space, setting.model.family or _family(facts))
    arena = Arena(config, entry, setting, facts, folder, lengths, budget.training_seconds)
    arena.check(drawn.draw(random.Random(0)))
    seconds = budget.training_seconds if entry.training else None
    inputs = digest(
        {
            "arena": arena.hashes,
            "space": sha256(space),
            "lengths": lengths,
            "training_seconds": seconds,
            "driven": [entry.repaired, entry.options],
        }
    )
    done = {t.number: t for t in read_trials(trials) if t.inputs == inputs and t.status == "ok"}
    tried = [done[number].settings for number in sorted(done)]
    for number in range(budget.trials):
        if number in done:
            continue
        spent = sum(trial.seconds for trial in done.values())
        if budget.seconds is not None and spent >= budget.seconds:
            break
        settings = _settings(drawn, setting.seed, number, tried)
        tried.append(settings)
        done[number] = _tried(arena, number, settings, inputs)
        append_trial(trials, done[number])
        progress(done[number])
    return [done[number] for number in sorted(done)]


def _settings(space: Space, seed: int, number: int, tried: list[Settings]) -> Settings:
    """Of trial ``number``: none for the first, which is the file as it is; else a new draw."""
    if number == 0:
        return {}
    rng = random.Random(f"tuning {seed} {number}")
    for _ in range(REDRAWS):
        settings = space.draw(rng)
        if settings not in tried:
            break
    return settings


def _tried(arena: Arena, number: int, settings: Settings, inputs: str) -> Trial:
    start = time.monotonic()
    common: dict[str, Any] = {
        "method": arena.entry.label,
        "model": arena.setting.model.name,
        "dataset": arena.setting.dataset.name,
        "seed": arena.setting.seed,
        "number": number,
        "settings": settings,
        "inputs": inputs,
        "versions": arena.versions,
    }
    with _output_to(arena.folder / f"trial-{number}.log"):
        try:
            outcome = arena.run(number, settings)
        except Exception as error:
            traceback.print_exc()
            return Trial(
                **common,
                status="failed",
                error=f"{type(error).__name__}: {error}",
                seconds=round(time.monotonic() - start, 1),
            )
    return Trial(**common, **outcome, status="ok", seconds=round(time.monotonic() - start, 1))


@contextlib.contextmanager
def _output_to(log: Path) -> Iterator[None]:
    """EasyEdit prints every step of every edit."""
    with (
        open(log, "w", encoding="utf-8") as file,
        contextlib.redirect_stdout(file),
        contextlib.redirect_stderr(file),
    ):
        yield


def _facts(config: BenchmarkConfig, setting: Setting, data_dir: Path, out: Path) -> Ready:
    """Facts and base model of a setting, made if they are not there."""
    job = prepare_job(config, setting, data_dir, out)
    found = ready(job)
    if found is None:
        run_prepare(job)
        found = ready(job)
    if found is None:
        raise ModelError(f"{setting.name}: facts and base model were not left in {job.folder}")
    return found


def split(
    cases: Sequence[EditCase], seed: int, lengths: Lengths
) -> tuple[list[EditCase], list[EditCase]]:
    """The training cases that trials are scored on, and those that they may train on.

    Raises:
        DataError: there are too few.
    """
    wanted = sum(edits * count for edits, count in lengths)
    if len(cases) <= wanted:
        raise DataError(
            f"{len(cases)} training cases, but a trial is scored on {wanted} of them and needs "
            "some more to train on; raise train_cases"
        )
    order = list(cases)
    random.Random(f"tuning facts {seed}").shuffle(order)
    return order[:wanted], order[wanted:]


def _family(facts: Ready) -> str:
    """Of a model that exists: the kind its own settings name."""
    from transformers import AutoConfig

    return str(AutoConfig.from_pretrained(facts.model).model_type)
