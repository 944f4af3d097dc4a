"""Measurements of reading a dump, each in a process of its own."""

from __future__ import annotations

import collections
import re
import resource
import shutil
import sys
import time
from collections.abc import Callable, Iterable
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

from benchmarks.dafset.readers import READERS
from benchmarks.isolated import sent_from
from dafnet_plugin.dafset.ingest import ingest
from dafnet_plugin.dafset.sources.files import digest

Run = dict[str, float]
"""What was measured: entities, seconds (clock and CPU), rates, peak memory (MiB)."""


def count_entities(name: str, path: Path) -> int:
    """Read a dump with a reader, and keep nothing."""
    count = 0

    def counted() -> Iterable[Any]:
        nonlocal count
        for item in READERS[name](path):
            count += 1
            yield item

    collections.deque(counted(), maxlen=0)
    return count


def ingest_dump(path: Path, store: Path, jobs: int) -> int:
    """Read a dump into a new store."""
    shutil.rmtree(store, ignore_errors=True)
    return int(ingest([path], store, jobs=jobs).info["counts"]["entities"])


def hash_file(path: Path, entities: int) -> int:
    """What an ingest does first: hash the dump."""
    digest(path)
    return entities


def best_of(repeats: int, work: Callable[..., int], *arguments: Any, by: str) -> Run:
    """The fastest of some runs, each in a process of its own.

    Args:
        by: what is least in the fastest, ``"cpu_seconds"`` or ``"seconds"``.
    """
    runs: list[Run] = []
    for _ in range(repeats):
        run, _ = sent_from(_measured, work, arguments)
        if run is None:
            raise SystemExit(f"{work.__name__}{arguments}: the process died")
        runs.append(run)
    return min(runs, key=lambda run: run[by])


def _measured(sender: Any, work: Callable[..., int], arguments: tuple[Any, ...]) -> None:
    _import_all()
    clock, before = time.perf_counter(), _cpu()
    count = work(*arguments)
    seconds, cpu = time.perf_counter() - clock, _cpu() - before
    sender.send(
        {
            "entities": count,
            "seconds": seconds,
            "cpu_seconds": cpu,
            "entities_per_cpu_second": count / cpu,
            "entities_per_second": count / seconds,
            "peak_mib": _peak() / 2**20,
            "peak_mib_of_a_worker": _highest(resource.RUSAGE_CHILDREN) / 2**20,
        }
    )


def _peak() -> int:
    """The most memory this process has had, in bytes.

    Linux's ``ru_maxrss`` begins with what the process had that started this one.
    """
    try:
        status = Path("/proc/self/status").read_text(encoding="ascii")
    except OSError:
        return _highest(resource.RUSAGE_SELF)
    (kilobytes,) = re.findall(r"^VmHWM:\s*(\d+) kB$", status, re.MULTILINE)
    return int(kilobytes) * 1024


def _highest(who: int) -> int:
    """``ru_maxrss`` in bytes: kilobytes on Linux, bytes on macOS; of one process, the largest."""
    return resource.getrusage(who).ru_maxrss * (1 if sys.platform == "darwin" else 1024)


def _import_all() -> None:
    """Import what is measured beforehand; a dump takes hours, this a second."""
    import duckdb  # noqa: F401
    import ijson  # noqa: F401
    import orjson  # noqa: F401
    import pyarrow as pa
    import pyarrow.compute
    import pyarrow.parquet

    import dafnet_plugin.dafset.sources.wikibase  # noqa: F401

    # The first of these brings a time zone database and, where it is installed, pandas.
    pa.array([datetime.now(timezone.utc)], pa.timestamp("us", "UTC"))


def _cpu() -> float:
    usage = [resource.getrusage(w) for w in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(u.ru_utime + u.ru_stime for u in usage)
