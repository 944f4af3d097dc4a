"""Speed and memory of the ingest on a made-up dump, and what the full dump would cost.

    python -m benchmarks.dafset.scale --entities 200000 --real DATA/wikidata

writes ``scale.json`` and ``scale.md``. Every measurement is a process of its own, so that peak
memory is its own, too, and is noted as soon as it is done: the same command goes on where it was
interrupted, and measures anew only what depends on changed code. Times are CPU seconds of the
process and its children: on a machine that is busy with other work they say more than the clock,
which is given for several processes.
"""

from __future__ import annotations

import argparse
import bz2
import gzip
import hashlib
import itertools
import json
import os
import platform
import shutil
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import dafnet_plugin
from benchmarks.dafset.measuring import Run, best_of, count_entities, hash_file, ingest_dump
from benchmarks.dafset.readers import READERS, write_plainly
from benchmarks.dafset.scale_table import render
from benchmarks.fingerprint import ROOT, meaning
from benchmarks.machine import commit, processor
from dafnet_plugin.dafset.synthetic import SyntheticConfig, write_dump
from dafnet_plugin.files import read_json, write_json, write_text
from dafnet_plugin.versions import installed

SAMPLE = 20_000
"""Entities that readers and compressed dumps are measured on; rates do not depend on it."""
COPIES = 100
"""How often each real entity is in the dump made of them."""
LIBRARIES = ("msgspec", "orjson", "ijson", "pyarrow", "duckdb", "isal")


def main(arguments: list[str] | None = None) -> int:
    """Measure, and write the table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n\n")[0])
    parser.add_argument("--entities", type=int, default=200_000, metavar="N")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, default=ROOT / "benchmarks/results/dafset")
    parser.add_argument(
        "--work", type=Path, default=ROOT / ".cache/benchmarks/dafset-scale", help="for the dumps"
    )
    parser.add_argument("--jobs", type=int, nargs="+", default=[1, 2], metavar="J")
    parser.add_argument("--repeats", type=int, default=3, help="the fastest counts (%(default)s)")
    parser.add_argument("--real", type=Path, help="folder of entity JSON, for rows on real ones")
    parser.add_argument("--again", action="store_true", help="forget what was measured before")
    options = parser.parse_args(arguments)
    scale = Scale(options.entities, options.work, options.repeats, options.seed)
    if options.again:
        scale.notes.unlink(missing_ok=True)
    results = scale.measure(options.jobs, options.real)
    real = " --real DATA/wikidata" if options.real else ""
    jobs = " ".join(map(str, options.jobs))
    command = (
        f"python -m benchmarks.dafset.scale --entities {options.entities} --seed {options.seed} "
        f"--jobs {jobs} --repeats {options.repeats}{real}"
    )
    results = {"provenance": _provenance(command, options.seed), **results}
    write_json(options.out / "scale.json", results)
    write_text(options.out / "scale.md", render(results))
    print(render(results))
    return 0


class Scale:
    """The measurements, each noted in a file when it is done.

    Args:
        entities: of the made-up dump.
        work: folder for dumps and notes.
        repeats: of each measurement that is compared with another; the fastest counts.
        seed: of the dump.
    """

    def __init__(self, entities: int, work: Path, repeats: int, seed: int = 0) -> None:
        self.entities, self.work, self.repeats, self.seed = entities, work, repeats, seed
        self.notes = work / "measured.json"
        self.code = _code(
            "dafnet_plugin/dafset/**/*.py",
            "benchmarks/dafset/measuring.py",
            "benchmarks/dafset/readers.py",
        )

    def measure(self, jobs: Sequence[int], real: Path | None = None) -> dict[str, Any]:
        """All measurements as plain data."""
        dump = self._dump(self.entities)
        sample = self._dump(min(self.entities, SAMPLE))
        short = self._dump(max(1, self.entities // 4))
        store, count = self.work / "store", min(self.entities, SAMPLE)
        readers = {
            name: {"made up": self._run(f"{name} reads", count_entities, name, sample)}
            for name in READERS
        }
        if real is not None:
            lines = self._real(real)
            for name, runs in readers.items():
                runs["real"] = self._run(f"{name} reads real ones", count_entities, name, lines)
        return {
            "entities": self.entities,
            "bytes": dump.stat().st_size,
            "sample": count,
            "readers": readers,
            "stores": {
                "this package": self._run("ingest of the sample", ingest_dump, sample, store, 1),
                "json": self._run("plain store", write_plainly, sample, store),
            },
            "hash": self._run("hash", hash_file, dump, self.entities),
            "lengths": {
                n: self._run(f"ingest of {n}", ingest_dump, path, store, 1, once=True)
                for n, path in ((max(1, self.entities // 4), short), (self.entities, dump))
            },
            "compressed": {
                suffix: self._run(f"{suffix}", ingest_dump, self._packed(sample, suffix), store, 1)
                for suffix in (".gz", ".bz2")
            },
            "jobs": {
                n: self._run(f"ingest, {n} jobs", ingest_dump, dump, store, n, by="seconds")
                for n in jobs
            },
            "store_bytes": self._size(dump, store),
        }

    def _run(
        self,
        name: str,
        work: Callable[..., int],
        *arguments: Any,
        once: bool = False,
        by: str = "cpu_seconds",
    ) -> Run:
        """The fastest of some runs, from the notes where these have it."""
        repeats = 1 if once else self.repeats
        key = f"{name}; {self.entities} entities, seed {self.seed}, best of {repeats}, {self.code}"
        noted = read_json(self.notes) if self.notes.is_file() else {}
        if key not in noted:
            noted[key] = best_of(repeats, work, *arguments, by=by)
            write_json(self.notes, noted)
        return dict(noted[key])

    def _dump(self, entities: int) -> Path:
        """The dump, or its first entities."""
        code = _code("dafnet_plugin/dafset/synthetic*.py")
        path = self.work / f"made-up-{self.entities}-{self.seed}-{code}.json"
        if not path.is_file():
            self.work.mkdir(parents=True, exist_ok=True)
            write_dump(path, SyntheticConfig(self.entities, self.seed))
        if entities == self.entities:
            return path
        head = path.with_name(f"{path.stem}-first-{entities}.json")
        if not head.is_file():
            with open(path, "rb") as file:
                lines = list(itertools.islice(file, entities + 1))
            _write(head, b"".join(lines).rstrip(b",\n") + b"\n]\n")
        return head

    def _packed(self, dump: Path, suffix: str) -> Path:
        path = dump.with_name(dump.name + suffix)
        if not path.is_file():
            data = dump.read_bytes()
            _write(path, gzip.compress(data) if suffix == ".gz" else bz2.compress(data))
        return path

    def _real(self, folder: Path) -> Path:
        """A dump of the real entities in a folder, each many times."""
        lines = []
        for path in sorted(folder.glob("*.json")):
            text = path.read_text(encoding="utf-8")
            if text.startswith("{"):
                data = json.loads(text)
                found = data["entities"].values() if "entities" in data else [data]
                lines += [json.dumps(e, separators=(",", ":")) for e in found if e.get("claims")]
        target, text = self.work / "real.json", ",\n".join(lines * COPIES)
        _write(target, f"[\n{text}\n]\n".encode())
        return target

    def _size(self, dump: Path, store: Path) -> int:
        """Bytes of the store."""
        path = self.work / f"{dump.stem}-store.json"
        if not path.is_file():
            ingest_dump(dump, store, 1)
            write_json(path, sum(p.stat().st_size for p in store.rglob("*") if p.is_file()))
            shutil.rmtree(store)
        return int(read_json(path))


def _code(*patterns: str) -> str:
    """A hash of what files mean."""
    paths = {path for pattern in patterns for path in ROOT.glob(pattern)}
    return hashlib.sha256("".join(map(meaning, sorted(paths))).encode()).hexdigest()[:12]


def _write(path: Path, data: bytes) -> None:
    """All of a file or nothing of it."""
    part = path.with_name(path.name + ".part")
    part.write_bytes(data)
    part.replace(path)


def _provenance(command: str, seed: int) -> dict[str, Any]:
    versions = {"python": platform.python_version(), "dafnet_plugin": dafnet_plugin.__version__}
    return {
        "command": command,
        "seed": seed,
        "machine": {
            "processor": processor(),
            "cpus": os.cpu_count(),
            "platform": f"{platform.system()} {platform.machine()}",
        },
        "versions": versions | installed(LIBRARIES),
        "commit": commit(),
    }


if __name__ == "__main__":
    raise SystemExit(main())
