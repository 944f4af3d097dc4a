"""Speed and memory of the ingest on a made-up dump, and what the full dump would cost.

    python -m benchmarks.dafset.scale --entities 200000 --out .cache/benchmarks/dafset-scale

writes ``scale.json`` and ``scale.md``. Every measurement is a process of its own, so that peak
memory is its own, too. Times are CPU seconds of the process and its children: on a machine that
is busy with other work they say more than the clock, which is given for several processes.
"""

from __future__ import annotations

import argparse
import collections
import json
import multiprocessing
import os
import platform
import resource
import shutil
import sys
import time
from collections.abc import Callable, Iterable
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

from benchmarks.dafset.readers import READERS
from dafnet_plugin.dafset.ingest import ingest
from dafnet_plugin.dafset.synthetic import SyntheticConfig, write_dump
from dafnet_plugin.files import write_json, write_text

FULL_ENTITIES = 115_000_000
"""Entities of Wikidata's dump, about (issue)."""
SLOW_SAMPLE = 20_000
"""Entities that the slow readers are given; their rate does not depend on it."""


def main(arguments: list[str] | None = None) -> int:
    """Measure, and write the table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n\n")[0])
    parser.add_argument("--entities", type=int, default=200_000, metavar="N")
    parser.add_argument("--out", type=Path, default=Path(".cache/benchmarks/dafset-scale"))
    parser.add_argument("--jobs", type=int, nargs="+", default=[1, 2], metavar="J")
    parser.add_argument("--repeats", type=int, default=3, help="the fastest counts (%(default)s)")
    parser.add_argument("--real", type=Path, help="folder of entity JSON, for a row on real ones")
    options = parser.parse_args(arguments)
    results = measure(options.entities, options.out, options.jobs, options.repeats, options.real)
    write_json(options.out / "scale.json", results)
    write_text(options.out / "scale.md", render(results))
    print(render(results))
    return 0


def measure(
    entities: int, out: Path, jobs: Iterable[int], repeats: int, real: Path | None = None
) -> dict[str, Any]:
    """All measurements as plain data."""
    dump = _dump(out, entities, ".json")
    sample = _dump(out, min(entities, SLOW_SAMPLE), ".json")
    readers = {name: _best(repeats, _read, name, sample) for name in READERS}
    if real is not None:
        lines = _real(out, real)
        readers |= {
            f"{name}, real entities": _best(repeats, _read, name, lines)
            for name in ("this package", "json")
        }
    lengths = sorted({max(1, entities // 4), max(1, entities // 2), entities})
    return {
        "machine": {
            "processor": platform.processor() or platform.machine(),
            "cores": os.cpu_count(),
            "python": platform.python_version(),
        },
        "entities": entities,
        "bytes": dump.stat().st_size,
        "readers": readers,
        "lengths": {
            n: _best(1, _ingest, _dump(out, n, ".json"), out / "store", 1) for n in lengths
        },
        "compressed": {
            suffix: _best(1, _ingest, _dump(out, entities, suffix), out / "store", 1)
            for suffix in (".json.gz", ".json.bz2")
        },
        "jobs": {n: _best(repeats, _ingest, dump, out / "store", n) for n in jobs},
    }


def _dump(out: Path, entities: int, suffix: str) -> Path:
    path = out / f"synthetic-{entities}{suffix}"
    return path if path.is_file() else write_dump(path, SyntheticConfig(entities))


def _real(out: Path, folder: Path, copies: int = 100) -> Path:
    """A dump of the real entities in a folder, each many times."""
    lines = []
    for path in sorted(folder.glob("*.json")):
        text = path.read_text(encoding="utf-8")
        if text.startswith("{"):
            data = json.loads(text)
            found = data["entities"].values() if "entities" in data else [data]
            lines += [json.dumps(e, separators=(",", ":")) for e in found if e.get("claims")]
    target = out / "real.json"
    write_text(target, "[\n" + ",\n".join(lines * copies) + "\n]\n")
    return target


def _read(name: str, path: Path) -> int:
    return _count(READERS[name](path))


def _count(items: Iterable[Any]) -> int:
    count = 0

    def counted() -> Iterable[Any]:
        nonlocal count
        for item in items:
            count += 1
            yield item

    collections.deque(counted(), maxlen=0)
    return count


def _ingest(path: Path, store: Path, jobs: int) -> int:
    shutil.rmtree(store, ignore_errors=True)
    return int(ingest([path], store, jobs=jobs).info["counts"]["entities"])


def _best(repeats: int, work: Callable[..., int], *arguments: Any) -> dict[str, float]:
    """The fastest of some runs, each in a process of its own."""
    context = multiprocessing.get_context("spawn")
    runs = []
    for _ in range(repeats):
        receiver, sender = context.Pipe(duplex=False)
        process = context.Process(target=_measured, args=(sender, work, arguments))
        process.start()
        sender.close()
        try:
            runs.append(receiver.recv())
        except EOFError:
            raise SystemExit(f"{work.__name__}{arguments}: the process died") from None
        finally:
            process.join()
    return min(runs, key=lambda run: run["cpu_seconds"])


def _measured(sender: Any, work: Callable[..., int], arguments: tuple[Any, ...]) -> None:
    _import_all()
    clock, before = time.perf_counter(), _cpu()
    count = work(*arguments)
    seconds, cpu = time.perf_counter() - clock, _cpu() - before
    # Kilobytes on Linux, bytes on macOS; of one process, the largest.
    unit = 1 if sys.platform == "darwin" else 1024
    own, children = (
        resource.getrusage(who).ru_maxrss * unit / 2**20
        for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)
    )
    sender.send(
        {
            "entities": count,
            "seconds": seconds,
            "cpu_seconds": cpu,
            "entities_per_cpu_second": count / cpu,
            "entities_per_second": count / seconds,
            "peak_mib": own,
            "peak_mib_of_a_worker": children,
        }
    )


def _import_all() -> None:
    """Import what is measured beforehand; a dump takes hours, this a second."""
    import duckdb  # noqa: F401
    import ijson  # noqa: F401
    import orjson  # noqa: F401
    import pyarrow as pa
    import pyarrow.compute

    import dafnet_plugin.dafset.sources.wikibase  # noqa: F401

    # The first of these brings a time zone database and, where it is installed, pandas.
    pa.array([datetime.now(timezone.utc)], pa.timestamp("us", "UTC"))


def _cpu() -> float:
    usage = [resource.getrusage(w) for w in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(u.ru_utime + u.ru_stime for u in usage)


def render(results: dict[str, Any]) -> str:
    """The tables, in Markdown."""
    machine = results["machine"]
    size = results["bytes"] / results["entities"]
    ours = results["readers"]["this package"]["entities_per_cpu_second"]
    lines = [
        f"A made-up dump of {results['entities']:,} entities, {size / 1000:.1f} kB each; "
        f"{machine['processor']}, {machine['cores']} cores, Python {machine['python']}.",
        "",
        "| reader, one core | entities a CPU second | this package is faster by |",
        "|---|---|---|",
    ]
    for name, run in results["readers"].items():
        real = name.endswith(", real entities")
        fast = results["readers"]["this package" + ", real entities" * real]
        ratio = fast["entities_per_cpu_second"] / run["entities_per_cpu_second"]
        lines.append(f"| {name} | {run['entities_per_cpu_second']:,.0f} | {ratio:.1f} |")
    lines += [
        "",
        "| ingest into Parquet | entities a CPU second | peak memory (MiB) |",
        "|---|---|---|",
    ]
    for name, run in [
        *((f"{n:,} entities, plain" if isinstance(n, int) else f"{int(n):,} entities, plain", r)
          for n, r in results["lengths"].items()),
        *((f"{results['entities']:,} entities, {s}", r) for s, r in results["compressed"].items()),
    ]:  # fmt: skip
        lines.append(f"| {name} | {run['entities_per_cpu_second']:,.0f} | {run['peak_mib']:.0f} |")
    lines += ["", "| processes | entities a second (clock) | gain |", "|---|---|---|"]
    one = next(iter(results["jobs"].values()))["entities_per_second"]
    for jobs, run in results["jobs"].items():
        rate = run["entities_per_second"]
        lines.append(f"| {jobs} | {rate:,.0f} | {rate / one:.2f} |")
    single = next(iter(results["jobs"].values()))["entities_per_cpu_second"]
    hours = FULL_ENTITIES / single / 3600
    lines += [
        "",
        f"The full dump, about {FULL_ENTITIES / 1e6:.0f} million entities, at the rate of one "
        f"process: {hours:.1f} hours of one core ({FULL_ENTITIES / ours / 3600:.1f} of them to "
        f"read and decode), if its entities are as long as these.",
    ]
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    raise SystemExit(main())
