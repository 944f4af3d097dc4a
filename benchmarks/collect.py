"""From the workers' lines to ``results.jsonl``: each line once, whoever is killed when."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Sequence
from pathlib import Path

from benchmarks.jobs import JobFiles
from benchmarks.results import Result, append_result, read_results
from benchmarks.worker import ORPHAN_SECONDS
from dafnet_plugin.locks import exclusive

RESULTS = "results.jsonl"


class Collector:
    """Appends what workers have written to the results of a run; only the driver has one.

    A worker's file is deleted once its worker has ended and all of its lines are appended. If the
    driver dies before, the next one finds the file and appends what is not there yet.
    """

    def __init__(self, out: Path) -> None:
        self.path = out / RESULTS
        self._results = {result.key: result for result in read_results(self.path)}
        self._known = set(_lines(self.path))
        self._read: dict[Path, int] = {}

    @property
    def results(self) -> list[Result]:
        """The newest of each key."""
        return list(self._results.values())

    def done(self, result: Result, statuses: Sequence[str] = ("ok",)) -> bool:
        """Whether there is a line of a key and hash, with one of some statuses."""
        found = self._results.get(result.key)
        return (
            found is not None
            and found.config_hash == result.config_hash
            and found.status in statuses
        )

    def add(self, result: Result) -> None:
        """Append a line of the driver's own."""
        append_result(self.path, result)
        self._results[result.key] = result

    def take_new(self, files: JobFiles) -> list[Result]:
        """Append the whole lines that a worker has added since the last call."""
        try:
            with open(files.lines, "rb") as file:
                file.seek(self._read.get(files.lines, 0))
                whole, newline, _ = file.read().rpartition(b"\n")
        except FileNotFoundError:
            return []
        self._read[files.lines] = self._read.get(files.lines, 0) + len(whole + newline)
        taken = []
        for line in whole.decode("utf-8").split("\n"):
            if line.strip() and line not in self._known:
                self._known.add(line)
                taken.append(_parsed(line))
                self.add(taken[-1])
        return taken

    def finish(self, files: JobFiles) -> list[Result]:
        """The last lines of a worker that has ended; its file goes."""
        taken = self.take_new(files)
        files.lines.unlink(missing_ok=True)
        self._read.pop(files.lines, None)
        return taken

    def take_leftovers(self, jobs: Path) -> None:
        """Append what the workers of a killed run have left, after the last of them is dead."""
        for path in sorted(jobs.rglob("*.lines")):
            files = JobFiles(path.with_suffix(".json"))
            with exclusive(files.lock, ORPHAN_SECONDS, "a worker of another run still writes"):
                self.finish(files)


def _parsed(line: str) -> Result:
    """A line of a worker, which may have been one of an earlier version."""
    names = {item.name for item in dataclasses.fields(Result)}
    return Result(**{key: value for key, value in json.loads(line).items() if key in names})


def _lines(path: Path) -> list[str]:
    return path.read_text(encoding="utf-8").split("\n") if path.is_file() else []
