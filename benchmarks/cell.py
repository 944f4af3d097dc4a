"""One cell of the grid, in a process of its own: sequences of edits with one method.

EasyEdit keeps executors and caches for the whole process, so a process sees one method, one model
and one data set.
"""

from __future__ import annotations

import datetime
import traceback
from collections.abc import Callable
from dataclasses import replace
from typing import Any

from benchmarks.jobs import CellJob, Sequence
from benchmarks.results import Result, append_result, details_path, read_results, write_details


def run_cell(job: CellJob, progress: Callable[[float, float], object]) -> int:
    """Run the sequences of a job and append their results; status 1 if one failed.

    Args:
        progress: told the edits made and those there are.
    """
    common = Result(**job.result, num_edits=0, sequence=0, status="failed")
    # A worker that was lost on another machine may have left a part of the lines.
    done = {result.key for result in read_results(job.lines) if result.status == "ok"}
    missing = [one for one in job.sequences if _placed(common, one).key not in done]
    try:
        # Heavy imports belong here: what goes wrong in them is a result as well.
        bench = _bench(job)
    except Exception as error:
        traceback.print_exc()
        for sequence in missing:
            append_result(job.lines, _failed(common, sequence, error))
        return 1
    common = replace(common, versions=bench.versions, machine=bench.machine)
    return _run_sequences(job, missing, bench, common, progress)


def _bench(job: CellJob) -> Any:
    if job.consistency is None:
        from benchmarks.editing import Bench

        return Bench.build(job)
    from benchmarks.consistency.bench import ConsistencyBench

    return ConsistencyBench.build(job)


def _run_sequences(
    job: CellJob,
    sequences: list[Sequence],
    bench: Any,
    common: Result,
    progress: Callable[[float, float], object],
) -> int:
    failures = edits = 0
    total = sum(sequence.num_edits for sequence in sequences)

    def count(some: int) -> None:
        nonlocal edits
        edits += some
        progress(edits, total)

    progress(0, total)
    for sequence in sequences:
        try:
            outcome, details = bench.run(sequence, count)
        except Exception as error:
            traceback.print_exc()
            failures += 1
            result = _failed(common, sequence, error)
        else:
            result = replace(_placed(common, sequence), status="ok", **outcome)
            write_details(details_path(job.details, result), details)
        append_result(job.lines, result)
    return 1 if failures else 0


def _placed(result: Result, sequence: Sequence) -> Result:
    now = datetime.datetime.now(datetime.timezone.utc).isoformat(timespec="seconds")
    return replace(result, num_edits=sequence.num_edits, sequence=sequence.number, time=now)


def _failed(result: Result, sequence: Sequence, error: Exception) -> Result:
    return replace(_placed(result, sequence), error=f"{type(error).__name__}: {error}")
