"""What the driver asks of its worker processes, as JSON files."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal

from dafnet_plugin.files import read_json, write_json

Kind = Literal["prepare", "train", "cell", "tune"]


@dataclass(frozen=True)
class Sequence:
    """One sequence of edits: which evaluation cases, in which order."""

    num_edits: int
    number: int
    cases: list[int]


@dataclass(frozen=True)
class PairsJob:
    """Consistency pairs on the facts of a setting, see :meth:`benchmarks.source.Source.pairs`.

    Attributes:
        inputs: hash of all that they depend on, beside the facts.
    """

    sentences: int
    untouched: int
    inputs: str


@dataclass(frozen=True)
class PrepareJob:
    """Facts and a base model that knows them.

    Attributes:
        dataset, model: fields of :class:`benchmarks.config.DatasetConfig` and of
            :class:`benchmarks.config.ModelConfig`.
        seed: of both; ``data_dir`` has the real data sets.
        folder: where everything goes; ``record`` says what became of it.
        inputs: hash of all that the outcome depends on.
        pairs: consistency pairs to be made as well; None for none.
    """

    dataset: dict[str, Any]
    model: dict[str, Any]
    seed: int
    data_dir: str
    folder: str
    device: str | int
    threads: int | None
    inputs: str
    pairs: PairsJob | None = None

    @property
    def record(self) -> Path:
        """Written when everything is there, see :mod:`benchmarks.preparation`."""
        return Path(self.folder) / "prepared.json"


@dataclass(frozen=True)
class TrainingJob:
    """Meta-training of one method.

    Attributes:
        alg_name, label: the method, and what the entry is called; ``hparams`` its YAML file for
            training.
        model: folder of the base model; ``cases`` the training cases; ``texts`` what the base
            model was trained on.
        folder: where everything goes; ``record`` says what became of it. It is empty at first,
            or as a job with the same ``inputs`` left it when it was interrupted.
        inputs: hash of all that the outcome depends on; ``code`` that of the code among it.
        seed: is added to that of the YAML file.
        seconds: train for so long, instead of so many steps; None leaves it to the YAML file.
    """

    alg_name: str
    label: str
    hparams: str
    model: str
    cases: str
    texts: str
    folder: str
    device: str | int
    threads: int | None
    inputs: str
    code: str = ""
    seed: int = 0
    seconds: float | None = None

    @property
    def record(self) -> Path:
        """Written when training has ended: inputs, archive, seconds."""
        return Path(self.folder) / "training.json"


@dataclass(frozen=True)
class CellJob:
    """Editing with one method: one model, one data set, some sequences.

    Attributes:
        alg_name, label: the method, and what the entry is called; ``hparams`` its YAML file for
            editing.
        model: folder of the base model.
        cases, train_cases: the evaluation cases and those of meta-training.
        texts: what the base model was trained on; ``bystanders``: facts that no case is about.
        lines: the results of this process, which the driver collects.
        details: folder of the details of all results.
        result: the fields that all its lines in ``results.jsonl`` have in common.
        overrides: hyper-parameters that the harness decides: model, device, archive, paths.
        code: hash of the code that the results depend on.
        repaired: mend what is wrong in EasyEdit's implementation; ``options`` of the method's
            adapter, see :func:`benchmarks.methods.get_adapter`.
        sequences: what is to be run, in this order.
        consistency: fields of :class:`benchmarks.consistency.ConsistencyConfig`; ``pairs`` the file
            of pairs. None if it is not measured.
    """

    alg_name: str
    label: str
    hparams: str
    model: str
    cases: str
    train_cases: str
    texts: str
    bystanders: str | None
    lines: str
    details: str
    threads: int | None
    result: dict[str, Any]
    overrides: dict[str, Any]
    code: str = ""
    repaired: bool = True
    options: dict[str, Any] = field(default_factory=dict)
    sequences: list[Sequence] = field(default_factory=list)
    consistency: dict[str, Any] | None = None
    pairs: str | None = None


@dataclass(frozen=True)
class TuneJob:
    """A search for the settings of one method, see :func:`benchmarks.tuning.tune`.

    Attributes:
        config: fields of :class:`benchmarks.config.BenchmarkConfig`; ``dataset``, ``model``,
            ``seed`` and ``label`` say which of its cells.
        budget: fields of :class:`benchmarks.tuning.Budget`.
        space: YAML file of the search space; ``trials`` file of the trials; ``found`` takes those
            of this search, by number, from this run and from earlier ones.
        data_dir, out: as for a run.
    """

    config: dict[str, Any]
    dataset: str
    model: str
    seed: int
    label: str
    budget: dict[str, Any]
    space: str
    trials: str
    found: str
    data_dir: str
    out: str


Job = PrepareJob | TrainingJob | CellJob | TuneJob


@dataclass(frozen=True)
class JobFiles:
    """The files of a worker process, beside each other; their job file is ``path``."""

    path: Path

    @property
    def log(self) -> Path:
        """All that it prints, EasyEdit's chatter included."""
        return self.path.with_suffix(".log")

    @property
    def place(self) -> str:
        """The log's path, relative to the output folder."""
        parts = self.log.parts
        first = len(parts) - 1 - parts[::-1].index("jobs") if "jobs" in parts else 0
        return Path(*parts[first:]).as_posix()

    @property
    def lines(self) -> Path:
        """Its results, until the driver has them."""
        return self.path.with_suffix(".lines")

    @property
    def progress(self) -> Path:
        """How far it has come, see :mod:`benchmarks.progress`."""
        return self.path.with_suffix(".progress")

    @property
    def outcome(self) -> Path:
        """How it ended: seconds, memory, error."""
        return self.path.with_suffix(".outcome")

    @property
    def lock(self) -> Path:
        """Held by the process that may write the others."""
        return self.path.with_suffix(".lock")


def job_files(out: Path, kind: Kind, name: str) -> JobFiles:
    """The files of a job; ``name`` is that of a setting or a cell."""
    return JobFiles((out / "jobs" / f"{name}.{kind}.json").resolve())


def write_job(path: Path, job: Job) -> None:
    """Write a job for a worker process."""
    write_json(path, asdict(job))


def read_job(kind: Kind, path: str | Path) -> Job:
    """Read what :func:`write_job` wrote."""
    data = read_json(path)
    if kind == "prepare":
        pairs = data.pop("pairs")
        return PrepareJob(**data, pairs=None if pairs is None else PairsJob(**pairs))
    if kind == "train":
        return TrainingJob(**data)
    if kind == "tune":
        return TuneJob(**data)
    return CellJob(**data | {"sequences": [Sequence(**item) for item in data["sequences"]]})


def digest(value: Mapping[str, Any]) -> str:
    """A short hash of plain data; the order of keys plays no role."""
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()[:16]
