"""The driver: what has to be built and run, in which order, and what is there already."""

from __future__ import annotations

import importlib.util
import os
import random
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from benchmarks.config import ROOT, BenchmarkConfig, MethodConfig
from benchmarks.data import Prepared, prepare
from benchmarks.jobs import CellJob, TrainingJob, digest, write_job
from benchmarks.jobs import Sequence as EditSequence
from benchmarks.meta_training import archive_of
from benchmarks.methods import check_alg_name
from benchmarks.results import Result, append_result, read_results
from dafnet_plugin.cases import read_cases
from dafnet_plugin.errors import EasyEditError
from dafnet_plugin.files import sha256

FORMAT = 1
"""Raised whenever the harness would measure something else with the same inputs."""

RESULTS = "results.jsonl"
_WITHOUT_EFFECT = {"cli", "data", "tinyworld"}
"""Folders whose code shows in the data and models it makes, which are hashed themselves."""


def run_benchmark(
    config: BenchmarkConfig,
    *,
    data_dir: Path,
    out: Path,
    only: Sequence[str] | None = None,
    command: str = "",
) -> list[Result]:
    """Run what has not been run yet, and return the results of the methods asked for.

    Each step is kept under ``out`` with a hash of its inputs: a second call only shows what the
    first one found. Failed sequences are tried again.

    Raises:
        ConfigError, DataError: before anything is computed, where that can be known.
    """
    entries = config.select(only)
    for entry in entries:
        check_alg_name(entry.name, ROOT / entry.hparams)
    _easyedit()
    out.mkdir(parents=True, exist_ok=True)
    prepared = prepare(config, data_dir, out)
    sequences = choose_sequences(config, len(read_cases(prepared.evaluation)))
    wanted = []
    for entry in entries:
        archive = _meta_train(config, entry, prepared, out)
        if entry.training is not None and archive is None:
            wanted += _training_failed(config, entry, sequences, out, command)
            continue
        job = _cell(config, entry, prepared, archive, out, command)
        _run_cell(job, sequences, out)
        wanted += [_of(job, sequence) for sequence in sequences]
    found = {(result.key, result.config_hash): result for result in read_results(out / RESULTS)}
    return [found[result.key, result.config_hash] for result in wanted]


def choose_sequences(config: BenchmarkConfig, cases: int) -> list[EditSequence]:
    """Disjoint sequences of each length; the same seed and number of cases give the same."""
    order = list(range(cases))
    random.Random(f"sequences {config.seed}").shuffle(order)
    return [
        EditSequence(edits, number, order[number * edits : (number + 1) * edits])
        for edits, count in config.lengths
        for number in range(min(count, cases // edits))
    ]


# -- the steps ----------------------------------------------------------------------------------


def _meta_train(
    config: BenchmarkConfig, entry: MethodConfig, prepared: Prepared, out: Path
) -> str | None:
    """The archive; None for a method without training, and where training failed."""
    if entry.training is None:
        return None
    inputs = {
        "format": FORMAT,
        "method": entry.name,
        "easyedit": _easyedit(),
        "code": _code_hash(),
        "hparams": sha256(ROOT / entry.training),
        "model": prepared.model_hash,
        "cases": sha256(prepared.train),
        "device": config.device,
    }
    job = TrainingJob(
        alg_name=entry.name,
        hparams=entry.training,
        model=str(prepared.model.resolve()),
        cases=str(prepared.train.resolve()),
        folder=str((out / entry.label.lower()).resolve()),
        device=config.device,
        threads=config.threads,
        inputs=digest(inputs),
    )
    if archive_of(job) is None:
        _worker("train", job, out, entry.label)
    return archive_of(job)


def _cell(
    config: BenchmarkConfig,
    entry: MethodConfig,
    prepared: Prepared,
    archive: str | None,
    out: Path,
    command: str,
) -> CellJob:
    model_hash = prepared.model_hash
    inputs = {
        "format": FORMAT,
        "method": entry.name,
        "easyedit": _easyedit(),
        "code": _code_hash(),
        "hparams": sha256(ROOT / entry.hparams),
        "archive": _tree_hash(Path(archive)) if archive else None,
        "model": model_hash,
        "cases": sha256(prepared.evaluation),
        "seed": config.seed,
        "device": config.device,
    }
    model = str(prepared.model.resolve())
    overrides: dict[str, Any] = {
        "model_name": model,
        "tokenizer_name": model,
        "device": config.device,
        "results_dir": str(out.resolve()),
        # EasyEdit tells models apart by their path only, and a path may get another model.
        "stats_dir": str((out / "stats" / model_hash[:16]).resolve()),
    }
    if archive is not None:
        overrides["archive"] = archive
    return CellJob(
        alg_name=entry.name,
        hparams=str(ROOT / entry.hparams),
        cases=str(prepared.evaluation.resolve()),
        texts=str(prepared.texts.resolve()),
        results=str((out / RESULTS).resolve()),
        log=str((out / "logs" / f"{entry.label}.log").resolve()),
        threads=config.threads,
        result=_identity(config, entry, command) | {"config_hash": digest(inputs)},
        overrides=overrides,
    )


def _run_cell(job: CellJob, sequences: Sequence[EditSequence], out: Path) -> None:
    """Edit in a process of its own; what it leaves without a line has failed with it."""
    missing = _missing(job, sequences, ("ok",))
    if not missing:
        return
    label = _of(job, missing[0]).label
    status = _worker("cell", replace(job, sequences=missing), out, label)
    # A process that was killed has written no line, so one of an earlier try must not stand in.
    for sequence in _missing(job, missing, ("ok", "failed") if status in (0, 1) else ("ok",)):
        error = f"the process ended with status {status}; see logs/{Path(job.log).name}"
        append_result(out / RESULTS, replace(_of(job, sequence), error=error))


def _training_failed(
    config: BenchmarkConfig,
    entry: MethodConfig,
    sequences: Sequence[EditSequence],
    out: Path,
    command: str,
) -> list[Result]:
    common = _identity(config, entry, command) | {"config_hash": ""}
    results = [
        Result(
            **common,
            num_edits=sequence.num_edits,
            sequence=sequence.number,
            status="failed",
            error="meta-training failed",
        )
        for sequence in sequences
    ]
    for result in results:
        append_result(out / RESULTS, result)
    return results


# -- small things -------------------------------------------------------------------------------


def _identity(config: BenchmarkConfig, entry: MethodConfig, command: str) -> dict[str, Any]:
    return {
        "method": entry.name,
        "variant": entry.variant,
        "model": f"tiny-{config.family}",
        "dataset": config.source,
        "seed": config.seed,
        "command": command,
    }


def _of(job: CellJob, sequence: EditSequence) -> Result:
    """The line of a sequence before it has run."""
    return Result(
        **job.result, num_edits=sequence.num_edits, sequence=sequence.number, status="failed"
    )


def _missing(
    job: CellJob, sequences: Sequence[EditSequence], statuses: Sequence[str]
) -> list[EditSequence]:
    """The sequences without a line of this job with one of these statuses."""
    done = {
        result.key
        for result in read_results(job.results)
        if result.config_hash == job.result["config_hash"] and result.status in statuses
    }
    return [sequence for sequence in sequences if _of(job, sequence).key not in done]


def _worker(kind: str, job: TrainingJob | CellJob, out: Path, label: str) -> int:
    """Run ``python -m benchmarks KIND`` on a job and wait; returns its exit status.

    The terminal gets its bars and errors; what it prints goes to a file.
    """
    path = (out / "jobs" / f"{label}.{kind}.json").resolve()
    write_job(path, job)
    environment = os.environ | {
        "PYTHONPATH": os.pathsep.join(filter(None, [str(ROOT), os.environ.get("PYTHONPATH")])),
        "PYTHONWARNINGS": "ignore::SyntaxWarning",  # of packages that EasyEdit needs
    }
    if environment.get("EASYEDIT_HOME"):
        environment["EASYEDIT_HOME"] = os.path.abspath(environment["EASYEDIT_HOME"])
    # Workers start in the output folder: whatever EasyEdit drops where it stands, it drops there.
    with open(path.with_suffix(".out"), "w", encoding="utf-8") as printed:
        return subprocess.run(
            [sys.executable, "-m", "benchmarks", kind, str(path)],
            env=environment,
            cwd=path.parent,
            stdout=printed,
            check=False,
        ).returncode


def _code_hash() -> str:
    """Of all code of this repository that a result depends on."""
    files = sorted((ROOT / "dafnet_plugin").rglob("*.py")) + sorted(
        (ROOT / "benchmarks").glob("*.py")
    )
    files = [path for path in files if path.parent.name not in _WITHOUT_EFFECT]
    return digest({str(path.relative_to(ROOT)): sha256(path) for path in files})


def _tree_hash(path: Path) -> str:
    """Of an archive: a file, or the weights and settings in a folder."""
    if path.is_file():
        return sha256(path)
    kept = [p for p in sorted(path.iterdir()) if p.suffix in (".json", ".safetensors")]
    return digest({p.name: sha256(p) for p in kept})


def _easyedit() -> str:
    """Which EasyEdit there is; it is imported by the workers only.

    Raises:
        EasyEditError: there is none, or one that is not supported.
    """
    from dafnet_plugin.easyedit.compat import install, locate

    install()
    spec = importlib.util.find_spec(locate.PACKAGE)
    if spec is None or spec.origin is None:
        raise EasyEditError(
            "EasyEdit is not there: pip install --no-deps easyeditor==0.0.1.dev0, or set "
            "EASYEDIT_HOME to a checkout of it"
        )
    location = locate.locate(spec.origin)
    return f"{location.version} {locate.package_version(location)}"
