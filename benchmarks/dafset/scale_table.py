"""The measurements of scale as tables in Markdown."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

FULL_ENTITIES = 115_000_000
"""Entities of Wikidata's dump, about (issue)."""
OURS = "this package"
_RATE = "entities_per_cpu_second"


def render(results: Mapping[str, Any]) -> str:
    """The tables."""
    tables = (_head, _readers, _ingest, _jobs, _full)
    return "\n".join(line for table in tables for line in (*table(results), "")).rstrip() + "\n"


def _head(results: Mapping[str, Any]) -> Iterator[str]:
    provenance = results["provenance"]
    machine, versions = provenance["machine"], provenance["versions"]
    size = results["bytes"] / results["entities"] / 1000
    libraries = ", ".join(f"{name} {number}" for name, number in versions.items())
    yield f"    {provenance['command']}"
    yield ""
    yield (
        f"A made-up dump of {results['entities']:,} entities of {size:.1f} kB on average (seed "
        f"{provenance['seed']}). {machine['processor']}, {machine['cpus']} CPUs, "
        f"{machine['platform']}; {libraries}; commit {provenance['commit']}."
    )


def _readers(results: Mapping[str, Any]) -> Iterator[str]:
    readers = results["readers"]
    kinds = list(next(iter(readers.values())))
    yield (
        "Readers that give the same entities, on one core: entities a CPU second, and how many "
        "times as fast this package is."
    )
    yield ""
    yield from _heading(["reader", *(f"{kind}{end}" for kind in kinds for end in ("", ": gain"))])
    for name, runs in readers.items():
        cells = [name]
        for kind in kinds:
            rate = runs[kind][_RATE]
            cells += [f"{rate:,.0f}", f"{readers[OURS][kind][_RATE] / rate:.1f}"]
        yield _row(cells)
    stores = results["stores"]
    ours, plain = stores[OURS][_RATE], stores["json"][_RATE]
    yield _row(["json, into Parquet", f"{plain:,.0f}", f"{ours / plain:.1f}", "", ""][: len(cells)])
    yield ""
    yield (
        f"(The last row is against the whole ingest, {ours:,.0f} entities a CPU second with "
        "hashing the dump, finding duplicates, and what makes it resumable.)"
    )


def _ingest(results: Mapping[str, Any]) -> Iterator[str]:
    runs = {f"{int(n):,} entities, plain": run for n, run in results["lengths"].items()}
    for suffix, run in results["compressed"].items():
        runs[f"{results['sample']:,} entities, {suffix}"] = run
    yield from _heading(["ingest into Parquet, one process", "entities a CPU second", "peak MiB"])
    for name, run in runs.items():
        yield _row([name, f"{run[_RATE]:,.0f}", f"{run['peak_mib']:.0f}"])
    rate = results["bytes"] / results["hash"]["cpu_seconds"] / 2**30
    yield ""
    yield f"Of this, hashing the dump, once and before all else, goes at {rate:.1f} GiB a second."


def _jobs(results: Mapping[str, Any]) -> Iterator[str]:
    yield from _heading(
        ["processes", "entities a second (clock)", "gain", "CPU seconds", "peak MiB of a process"]
    )
    first = next(iter(results["jobs"].values()))
    for jobs, run in results["jobs"].items():
        peak = max(run["peak_mib"], run["peak_mib_of_a_worker"])
        rate = run["entities_per_second"]
        gain = rate / first["entities_per_second"]
        cells = [str(jobs), f"{rate:,.0f}", f"{gain:.2f}", f"{run['cpu_seconds']:.1f}"]
        yield _row([*cells, f"{peak:.0f}"])


def _full(results: Mapping[str, Any]) -> Iterator[str]:
    """The full dump, if its entities are like these."""
    plain = next(iter(results["jobs"].values()))[_RATE]
    packed = {suffix: run[_RATE] for suffix, run in results["compressed"].items()}
    hours = {name: FULL_ENTITIES / rate / 3600 for name, rate in {"plain": plain, **packed}.items()}
    said = ", ".join(f"{value:.1f} hours ({name})" for name, value in hours.items())
    per_entity = results["store_bytes"] / results["entities"]
    dump = results["bytes"] / results["entities"] * FULL_ENTITIES / 1e12
    yield (
        f"The full dump, about {FULL_ENTITIES / 1e6:.0f} million entities, at these rates: {said} "
        f"of one core; {dump:.1f} TB when decompressed, and a store of "
        f"{per_entity * FULL_ENTITIES / 1e9:.0f} GB."
    )


def _heading(cells: Iterable[str]) -> Iterator[str]:
    cells = list(cells)
    yield _row(cells)
    yield "|" + "---|" * len(cells)


def _row(cells: Iterable[str]) -> str:
    return f"| {' | '.join(cells)} |"
