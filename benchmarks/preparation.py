"""Facts and base models: whether they are there, and making them in a worker process."""

from __future__ import annotations

import functools
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from benchmarks.config import BenchmarkConfig, DatasetConfig, ModelConfig
from benchmarks.consistency.preparation import make_pairs, pairs_job, pairs_of
from benchmarks.fingerprint import data_code
from benchmarks.grid import Setting, folder_of
from benchmarks.jobs import PrepareJob, digest
from benchmarks.source import locate
from dafnet_plugin.cases import read_cases
from dafnet_plugin.errors import DataError
from dafnet_plugin.files import read_json, sha256, write_json


@dataclass(frozen=True)
class Ready:
    """What a setting has once its facts and its base model are there.

    Attributes:
        train, evaluation, texts, bystanders: files, see :class:`benchmarks.data.Facts`.
        model: folder of the base model.
        eval_cases: how many evaluation cases there are.
        hashes: of the files by their names above, and of the model.
        report: how well a model trained here knows its facts (fields of ``BaseModelReport``);
            None for a model that existed.
        pairs: file of consistency pairs; None if none were asked for.
    """

    train: str
    evaluation: str
    texts: str
    bystanders: str
    model: str
    eval_cases: int
    hashes: dict[str, str]
    report: dict[str, Any] | None
    pairs: str | None = None


def prepare_job(config: BenchmarkConfig, setting: Setting, data_dir: Path, out: Path) -> PrepareJob:
    """The job that makes the facts and the base model of a setting."""
    inputs = {
        "code": data_code(),
        "dataset": asdict(setting.dataset),
        "model": asdict(setting.model),
        "seed": setting.seed,
        "device": config.device,
        "files": _source_files(setting.dataset, data_dir),
    }
    return PrepareJob(
        dataset=asdict(setting.dataset),
        model=asdict(setting.model),
        seed=setting.seed,
        data_dir=str(data_dir.resolve()),
        folder=str(folder_of(out, setting).resolve()),
        device=config.device,
        threads=config.threads,
        inputs=digest(inputs),
        pairs=pairs_job(config.consistency_settings),
    )


def ready(job: PrepareJob) -> Ready | None:
    """What an earlier run of the same job left; None if it is not there, or is not the same."""
    found = _ready_facts(job)
    if found is None or job.pairs is None:
        return found
    made = pairs_of(job)
    if made is None:
        return None
    path, value = made
    return replace(found, pairs=path, hashes=found.hashes | {"pairs": value})


def _ready_facts(job: PrepareJob) -> Ready | None:
    if not job.record.is_file():
        return None
    record = read_json(job.record)
    if record.pop("inputs", None) != job.inputs:
        return None
    try:
        found = Ready(**record)
        same = _hashes(found) == found.hashes
    except (TypeError, OSError):
        return None
    return found if same else None


def run_prepare(job: PrepareJob) -> None:
    """Make the facts and the base model, or find both as they were left; then the pairs.

    Pairs that are asked for later are added: facts and model stay as they are.
    """
    found = _ready_facts(job)
    if found is None or job.pairs is None:
        _prepare_facts(job)
        found = _ready_facts(job)
    if found is not None and job.pairs is not None:
        make_pairs(job, read_cases(found.evaluation))


def _prepare_facts(job: PrepareJob) -> None:
    from benchmarks.data import prepare

    made = prepare(
        DatasetConfig.from_dict(job.dataset).spec,
        ModelConfig.from_dict(job.model).spec,
        job.seed,
        Path(job.data_dir),
        Path(job.folder),
        device=str(job.device),
        threads=job.threads,
        beside=siblings(Path(job.folder)),
    )
    cases = len(read_cases(made.evaluation))
    if not cases:
        raise DataError(f"{made.evaluation}: no evaluation case")
    found = Ready(
        train=str(made.train),
        evaluation=str(made.evaluation),
        texts=str(made.texts),
        bystanders=str(made.bystanders),
        model=str(made.model),
        eval_cases=cases,
        hashes={},
        report=None if made.report is None else asdict(made.report),
    )
    finish(job, found)


def may_share_model(one: Setting, other: Setting, data_dir: Path) -> bool:
    """Whether two settings may turn out to have the same base model: their facts are read from
    the same files.
    """
    if one.model.path is not None or (one.model, one.seed) != (other.model, other.seed):
        return False
    return one.dataset.source == other.dataset.source and _source_files(
        one.dataset, data_dir
    ) == _source_files(other.dataset, data_dir)


def siblings(folder: Path) -> list[Path]:
    """The folders of the same model and seed with the facts of the run's other data sets."""
    *_, model, seed = folder.parts
    found = sorted(folder.parents[2].glob(f"*/{model}/{seed}"))
    return [path for path in found if path != folder]


def finish(job: PrepareJob, found: Ready) -> None:
    """Write the record of a job that is done, with the hashes of its files."""
    record = asdict(found) | {"hashes": _hashes(found), "inputs": job.inputs}
    del record["pairs"]  # which have a record of their own
    write_json(job.record, record)


def describe(found: Ready) -> str:
    """A line for a person: how well the model knows its facts."""
    report = found.report
    if report is None:
        return f"{found.model}, {found.eval_cases} evaluation cases"
    return (
        f"{report['parameters'] / 1e6:.1f} M parameters, knows {report['accuracy']:.1%} of "
        f"{report['probes']} sentences{'' if report['reached'] else ', fewer than asked for'}; "
        f"{found.eval_cases} evaluation cases"
    )


def _hashes(found: Ready) -> dict[str, str]:
    files = {name: getattr(found, name) for name in ("train", "evaluation", "texts", "bystanders")}
    return {name: sha256(path) for name, path in files.items()} | {"model": _model_hash(found)}


def _model_hash(found: Ready) -> str:
    """Of the weights of a model made here; an existing one, maybe of many GB, by size and time."""
    weights = sorted(p for p in Path(found.model).iterdir() if p.suffix in (".safetensors", ".bin"))
    if found.report is not None:
        return digest({path.name: sha256(path) for path in weights})
    return digest({p.name: [p.stat().st_size, p.stat().st_mtime_ns] for p in weights})


def _source_files(dataset: DatasetConfig, data_dir: Path) -> list[list[Any]]:
    """Names and hashes of the files that a data set may be read from."""
    values = [v for value in dataset.options.values() for v in _texts(value)]
    named = dict.fromkeys(locate(data_dir, text) for text in (dataset.source, *values) if text)
    files = [path for path in named if path.is_file()]
    # Not hidden ones: a DAFSet's folder has what its build can go on from.
    files += [
        path
        for folder in named
        for path in folder.rglob("*")
        if path.is_file() and not any(p.startswith(".") for p in path.relative_to(folder).parts)
    ]
    return sorted([path.name, _hash_of_file(path, path.stat().st_mtime_ns)] for path in files)


@functools.cache
def _hash_of_file(path: Path, changed: int) -> str:
    """The hash of a file as it was at a time: it is asked for by every step of a run."""
    return sha256(path)


def _texts(value: Any) -> list[str]:
    return [
        text for text in (value if isinstance(value, list) else [value]) if isinstance(text, str)
    ]
