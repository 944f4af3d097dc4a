"""What the driver asks of its worker processes, as JSON files."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from dafnet_plugin.files import read_json, write_json


@dataclass(frozen=True)
class Sequence:
    """One sequence of edits: which evaluation cases, in which order."""

    num_edits: int
    number: int
    cases: list[int]


@dataclass(frozen=True)
class TrainingJob:
    """Meta-training of one method.

    Attributes:
        alg_name, hparams: the method and its YAML file for training.
        model: folder of the base model; ``cases`` the training cases.
        folder: where everything goes; ``record`` says what became of it.
        inputs: hash of all that the outcome depends on.
    """

    alg_name: str
    hparams: str
    model: str
    cases: str
    folder: str
    device: str | int
    threads: int | None
    inputs: str

    @property
    def record(self) -> Path:
        """Written when training has ended: inputs, archive, seconds."""
        return Path(self.folder) / "training.json"


@dataclass(frozen=True)
class CellJob:
    """Editing with one method: one model, one data set, some sequences.

    Attributes:
        alg_name, hparams: the method and its YAML file for editing.
        result: the fields that all its lines in ``results.jsonl`` have in common.
        overrides: hyper-parameters that the harness decides: model, device, archive, paths.
        cases: the evaluation cases; ``texts`` what the base model was trained on (statistics).
        sequences: what is to be run, in this order.
        results: the file to append to; ``log`` takes whatever EasyEdit prints.
    """

    alg_name: str
    hparams: str
    cases: str
    texts: str
    results: str
    log: str
    threads: int | None
    result: dict[str, Any]
    overrides: dict[str, Any]
    sequences: list[Sequence] = field(default_factory=list)


def write_job(path: Path, job: TrainingJob | CellJob) -> None:
    """Write a job for a worker process."""
    write_json(path, asdict(job))


def read_training_job(path: str | Path) -> TrainingJob:
    """Read what :func:`write_job` wrote."""
    return TrainingJob(**read_json(path))


def read_cell_job(path: str | Path) -> CellJob:
    """Read what :func:`write_job` wrote."""
    data = read_json(path)
    data["sequences"] = [Sequence(**item) for item in data["sequences"]]
    return CellJob(**data)


def digest(value: Mapping[str, Any]) -> str:
    """A short hash of plain data; the order of keys plays no role."""
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()[:16]
