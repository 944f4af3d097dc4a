"""The trials of a search: one line each, in a file that is committed."""

from __future__ import annotations

import dataclasses
import json
import os
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from benchmarks.tuning.space import Settings
from dafnet_plugin.errors import DataError
from dafnet_plugin.files import read_jsonl

SCHEMA = 1


@dataclass(frozen=True)
class Trial:
    """One setting of a method, and how it did on training facts.

    Attributes:
        method: label of the entry; ``model``, ``dataset`` and ``seed`` of what it was tried on.
        number: from 0, which is the YAML file as it was when the search began.
        settings: what was drawn, by section of the space.
        inputs: hash of all that the trial depends on beside its settings: space, YAML files, base
            model, facts, lengths, EasyEdit, seconds of meta-training.
        score: mean over the lengths of the mean of reliability, generality and locality after the
            last edit; None if it failed.
        scores: by number of edits, the three; means over the sequences of that length.
        seconds: by the wall clock, meta-training included; ``training_seconds`` of it that.
        versions: of what computed it.
    """

    method: str
    model: str
    dataset: str
    seed: int
    number: int
    settings: Settings
    inputs: str
    status: Literal["ok", "failed"]
    score: float | None = None
    scores: dict[str, dict[str, float | None]] = field(default_factory=dict)
    error: str | None = None
    seconds: float = 0.0
    training_seconds: float | None = None
    versions: dict[str, str] = field(default_factory=dict)
    schema: int = SCHEMA


def trials_path(root: Path, label: str, model: str) -> Path:
    """Where the trials of a method on a model are committed, below the repository."""
    return root / "benchmarks" / "results" / "tuning" / f"{label}-{model}.jsonl"


def append_trial(path: Path, trial: Trial) -> None:
    """Add a line with a single write, so that a search that is killed leaves whole lines."""
    path.parent.mkdir(parents=True, exist_ok=True)
    line = json.dumps(dataclasses.asdict(trial), ensure_ascii=False) + "\n"
    handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
    try:
        os.write(handle, line.encode())
    finally:
        os.close(handle)


def read_trials(path: Path) -> list[Trial]:
    """Read what :func:`append_trial` wrote; no file, no trials.

    Raises:
        DataError: a line is not a trial; names file and record.
    """
    if not path.is_file():
        return []
    known = {item.name for item in dataclasses.fields(Trial)}
    trials = []
    for number, record in enumerate(read_jsonl(path), start=1):
        if not isinstance(record, dict) or record.get("schema") != SCHEMA:
            raise DataError(f"{path}: record {number}: not a trial of schema {SCHEMA}")
        try:
            trials.append(Trial(**{k: v for k, v in record.items() if k in known}))
        except TypeError as error:
            raise DataError(f"{path}: record {number}: not a trial: {error}") from error
    return trials


def best_trial(trials: Sequence[Trial]) -> Trial | None:
    """The trial with the highest score, the first of equals; None if none succeeded."""
    scored = [trial for trial in trials if trial.score is not None]
    return max(scored, key=lambda trial: (trial.score, -trial.number), default=None)
