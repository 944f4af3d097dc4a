"""One cell of the grid, in a process of its own: sequences of edits with one method.

EasyEdit keeps executors and caches for the whole process, so a process sees one method, one model
and one data set.
"""

from __future__ import annotations

import contextlib
import datetime
import os
import sys
import traceback
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any, TextIO

from benchmarks.jobs import CellJob, Sequence
from benchmarks.results import Result, append_result


def run_cell(job: CellJob) -> int:
    """Run the sequences of a job and append their results; status 1 if one failed."""
    with _everything_to(job.log) as terminal:
        result = _common(job)
        try:
            # Heavy imports belong here: what goes wrong in them is a result as well.
            from benchmarks.editing import Bench

            bench = Bench.build(job)
            result = replace(result, versions=bench.versions, machine=bench.machine)
        except Exception as error:
            traceback.print_exc()
            for sequence in job.sequences:
                append_result(job.results, _failed(result, sequence, error))
            return 1
        return _run_sequences(job, bench, result, terminal)


def _run_sequences(job: CellJob, bench: Any, common: Result, terminal: TextIO) -> int:
    from tqdm import tqdm

    failures = 0
    with tqdm(
        total=sum(sequence.num_edits for sequence in job.sequences),
        desc=f"{common.label:<8} editing",
        unit="edit",
        file=terminal,
        disable=None,
    ) as bar:
        for sequence in job.sequences:
            try:
                outcome = bench.run(sequence.cases, progress=bar.update)
            except Exception as error:
                traceback.print_exc()
                failures += 1
                result = _failed(common, sequence, error)
            else:
                result = replace(_placed(common, sequence), status="ok", **outcome)
            append_result(job.results, result)
    return 1 if failures else 0


def _common(job: CellJob) -> Result:
    """A result with all that is known before anything has run."""
    return Result(**job.result, num_edits=0, sequence=0, status="failed")


def _placed(result: Result, sequence: Sequence) -> Result:
    now = datetime.datetime.now(datetime.timezone.utc).isoformat(timespec="seconds")
    return replace(result, num_edits=sequence.num_edits, sequence=sequence.number, time=now)


def _failed(result: Result, sequence: Sequence, error: Exception) -> Result:
    return replace(_placed(result, sequence), error=f"{type(error).__name__}: {error}")


@contextlib.contextmanager
def _everything_to(log: str) -> Iterator[TextIO]:
    """Send all output to a file, EasyEdit's included, and yield what was standard error.

    Descriptors are redirected, not ``sys.stdout``, so that libraries outside Python comply too.
    """
    Path(log).parent.mkdir(parents=True, exist_ok=True)
    sys.stdout.flush(), sys.stderr.flush()
    saved = os.dup(1), os.dup(2)
    with open(log, "w", encoding="utf-8") as file, open(os.dup(saved[1]), "w") as terminal:
        os.dup2(file.fileno(), 1)
        os.dup2(file.fileno(), 2)
        try:
            yield terminal
        finally:
            sys.stdout.flush(), sys.stderr.flush()
            for number, descriptor in enumerate(saved, start=1):
                os.dup2(descriptor, number)
                os.close(descriptor)
