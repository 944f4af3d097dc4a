"""The pairs of a setting as a file beside its facts, made once."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from benchmarks.consistency.config import ConsistencyConfig
from benchmarks.fingerprint import pairs_code
from benchmarks.jobs import PairsJob, PrepareJob, digest
from dafnet_plugin.cases import EditCase
from dafnet_plugin.data.consistency import write_pairs
from dafnet_plugin.errors import DataError
from dafnet_plugin.files import read_json, sha256, write_json

RECORD = "pairs.json"
"""Written when the pairs are there."""


def pairs_job(settings: ConsistencyConfig | None) -> PairsJob | None:
    """What pairs are to be made; None if consistency is not measured."""
    if settings is None:
        return None
    size = {"sentences": settings.sentences, "untouched": settings.facts}
    return PairsJob(**size, inputs=digest(size | {"code": pairs_code()}))


def make_pairs(job: PrepareJob, cases: Sequence[EditCase]) -> None:
    """Make the pairs that a job asks for and write them beside its facts.

    Args:
        cases: the evaluation cases of the setting.

    Raises:
        DataError: a file of the source is missing or malformed, or there is no pair.
    """
    from benchmarks.config import DatasetConfig
    from benchmarks.sources import SOURCES, Task

    assert job.pairs is not None
    spec, folder = DatasetConfig.from_dict(job.dataset).spec, Path(job.folder)
    source = SOURCES[spec.source].from_dict(dict(spec.options))
    task = Task(job.seed, Path(job.data_dir), folder, spec.train_cases, spec.eval_cases)
    pairs = source.pairs(
        task, list(cases), sentences=job.pairs.sentences, untouched=job.pairs.untouched
    )
    if not pairs:
        raise DataError(f"{spec.name}: no consistency pair can be made of its facts")
    path = folder / "pairs.jsonl"
    write_pairs(path, pairs)
    write_json(
        folder / RECORD, {"inputs": _inputs(job), "pairs": str(path), "sha256": sha256(path)}
    )


def pairs_of(job: PrepareJob) -> tuple[str, str] | None:
    """The file of pairs that :func:`make_pairs` left, and its hash.

    None if it is not there, or not the right one.
    """
    record = Path(job.folder) / RECORD
    found = read_json(record) if record.is_file() else {}
    if found.get("inputs") != _inputs(job):
        return None
    path, value = Path(found["pairs"]), str(found["sha256"])
    return (str(path), value) if path.is_file() and sha256(path) == value else None


def _inputs(job: PrepareJob) -> str:
    assert job.pairs is not None
    return digest({"facts": job.inputs, "pairs": job.pairs.inputs})
