"""A worker process: it does one job, says how it ended, and does not outlive its driver."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import sys
import threading
import time
import traceback
from pathlib import Path
from typing import Any

from benchmarks.fingerprint import ChangedCodeError, check_unchanged
from benchmarks.jobs import CellJob, Job, JobFiles, Kind, PrepareJob, TrainingJob, TuneJob, read_job
from benchmarks.progress import ProgressFile
from dafnet_plugin.errors import DAFNetError
from dafnet_plugin.files import read_json, write_json
from dafnet_plugin.locks import exclusive

STARTED = "started.json"
"""In the folder of a meta-training: inputs and time limit of the job that began there."""

USER_ERROR = 2
"""Status after an error that a user can mend."""

CHANGED_CODE = 3
"""Status when the code has changed since the job was made; nothing was done."""

ORPHAN_SECONDS = 60.0
"""How long a worker waits for one of a killed run to let go of the job's files."""


def run_worker(kind: Kind, path: Path) -> int:
    """Do the job of a job file.

    Standard input is a pipe that nothing is written to: its end means that the driver is dead.

    Returns:
        0; 1, :data:`USER_ERROR` or :data:`CHANGED_CODE` if it failed, and the file of the outcome
        has the error.
    """
    _die_with_the_driver()
    files = JobFiles(path)
    progress = ProgressFile(files.progress)
    started = time.monotonic()
    error = ""
    status = 1
    with exclusive(files.lock, ORPHAN_SECONDS, "another worker has this job"):
        files.progress.unlink(missing_ok=True)
        try:
            status = _run(read_job(kind, path), progress)
        except ChangedCodeError as problem:
            status, error = CHANGED_CODE, str(problem)
        except DAFNetError as problem:
            traceback.print_exc()
            status, error = USER_ERROR, str(problem)
        except KeyboardInterrupt:
            error = "interrupted"
        except Exception as problem:
            traceback.print_exc()
            error = f"{type(problem).__name__}: {problem}"
        outcome = {
            "status": status,
            "error": error,
            "seconds": round(time.monotonic() - started, 1),
            "setup_seconds": round((progress.begun or started) - started, 1),
            "peak_memory_mb": _peak_memory_mb(),
        }
        write_json(files.outcome, outcome)
    return status


def _run(job: Job, progress: ProgressFile) -> int:
    if isinstance(job, PrepareJob):
        from benchmarks.preparation import run_prepare

        run_prepare(job)
        return 0
    if isinstance(job, TuneJob):
        from benchmarks.tuning_jobs import run_tuning

        run_tuning(job, progress)
        return 0
    check_unchanged(job)
    if isinstance(job, TrainingJob):
        from benchmarks.meta_training import train

        clear_of_other_jobs(job)
        return train(job, progress)
    assert isinstance(job, CellJob)
    from benchmarks.cell import run_cell

    return run_cell(job, progress)


def clear_of_other_jobs(job: TrainingJob) -> None:
    """Empty the folder of a meta-training, unless the same job began there: that one goes on."""
    folder = Path(job.folder)
    marker = folder / STARTED
    if marker.is_file() and read_json(marker).get("inputs") == job.inputs:
        return
    shutil.rmtree(folder, ignore_errors=True)
    write_json(marker, {"inputs": job.inputs, "seconds": job.seconds})


def _die_with_the_driver() -> None:
    """Kill this process and its children as soon as the driver has gone."""

    def watch() -> None:
        with contextlib.suppress(OSError):
            while os.read(0, 4096):
                pass
        if os.name == "posix" and os.getpgrp() == os.getpid():
            os.killpg(0, signal.SIGKILL)
        os._exit(1)

    threading.Thread(target=watch, name="driver watch", daemon=True).start()


def _peak_memory_mb() -> float | None:
    try:
        import resource
    except ImportError:  # Windows
        return None
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return round(peak / (1024**2 if sys.platform == "darwin" else 1024), 1)


def main(arguments: Any) -> int:
    """``python -m benchmarks worker KIND JOB``."""
    return run_worker(arguments.kind, Path(arguments.job))
