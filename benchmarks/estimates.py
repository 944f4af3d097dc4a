"""How long work takes and how much memory, judging by earlier runs."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from benchmarks.collect import RESULTS
from benchmarks.grid import Cell, Setting
from benchmarks.jobs import Kind
from benchmarks.results import Result, read_results

TIMINGS = "timings.jsonl"
"""Beside ``results.jsonl``: one line for each worker process that succeeded."""


@dataclass(frozen=True)
class Timing:
    """What a worker process took.

    Attributes:
        label, method: of the entry; empty for facts and base models.
        seconds: by the wall clock, with loading and scoring; ``edits`` made in them.
        setup_seconds: of these, before the first edit or step.
        whole: False if it is only known what the edits took, without all else.
    """

    kind: Kind
    dataset: str
    model: str
    label: str
    method: str
    seconds: float
    edits: int
    peak_memory_mb: float | None
    setup_seconds: float = 0.0
    whole: bool = True


@dataclass(frozen=True)
class Estimate:
    """What something may take; None where nothing like it has been run.

    Attributes:
        at_least: loading and scoring are not in ``seconds``.
        basis: what the numbers come from.
    """

    seconds: float | None = None
    memory_mb: float | None = None
    at_least: bool = False
    basis: str = "unknown"


class Estimates:
    """Judges by the earlier run that is most alike: first of the same method, model and data set,
    then of the same method on the model, then of the same method anywhere.
    """

    def __init__(self, timings: Iterable[Timing]) -> None:
        self._timings = list(timings)

    @classmethod
    def of_folders(cls, folders: Iterable[Path]) -> Estimates:
        """From what runs have left in their output folders; one that is not there is left out."""
        found: list[Timing] = []
        for folder in folders:
            measured = _read_timings(folder / TIMINGS)
            known = {(one.kind, one.dataset, one.model, one.label) for one in measured}
            found += measured
            found += [
                one
                for one in _of_results(read_results(folder / RESULTS))
                if (one.kind, one.dataset, one.model, one.label) not in known
            ]
        return cls(found)

    def preparation(self, setting: Setting) -> Estimate:
        """Of facts and base model."""
        data, model = setting.dataset.name, setting.model.name
        return self._best(
            "prepare",
            None,
            [
                ("the same", lambda one: (one.dataset, one.model) == (data, model)),
                ("this model, other facts", lambda one: one.model == model),
            ],
        )

    def training(self, cell: Cell, limit: float | None = None) -> Estimate:
        """Of a meta-training; ``limit``: seconds that the config gives it."""
        found = self._best("train", None, _alike(cell))
        if limit is None:
            return found
        return Estimate(limit, found.memory_mb, basis="the config")

    def cell(self, cell: Cell, edits: int) -> Estimate:
        """Of some edits in a cell."""
        return self._best("cell", edits, _alike(cell))

    def _best(
        self,
        kind: Kind,
        edits: int | None,
        likeness: Sequence[tuple[str, Callable[[Timing], bool]]],
    ) -> Estimate:
        for basis, like in likeness:
            alike = [one for one in self._timings if one.kind == kind and like(one)]
            whole = [one for one in alike if one.whole] or alike
            if not whole:
                continue
            memory = max((one.peak_memory_mb or 0.0 for one in alike), default=0.0) or None
            seconds = sum(one.seconds for one in whole)
            made = sum(one.edits for one in whole)
            if edits is None:
                return Estimate(seconds / len(whole), memory, not whole[0].whole, basis)
            if made:
                setup = sum(one.setup_seconds for one in whole)
                total = setup / len(whole) + (seconds - setup) / made * edits
                return Estimate(total, memory, not whole[0].whole, basis)
        return Estimate()


def append_timing(out: Path, timing: Timing) -> None:
    """Note what a worker process took."""
    with open(out / TIMINGS, "a", encoding="utf-8") as file:
        file.write(json.dumps(dataclasses.asdict(timing), ensure_ascii=False) + "\n")


def _read_timings(path: Path) -> list[Timing]:
    """The lines that can be read: an estimate may do without the others."""
    found = []
    for line in path.read_text(encoding="utf-8").split("\n") if path.is_file() else ():
        try:
            found.append(Timing(**json.loads(line)))
        except (ValueError, TypeError):
            continue
    return found


def _of_results(results: Iterable[Result]) -> list[Timing]:
    """What lines of results tell: edits without scoring, meta-training once for each cell."""
    found = []
    trained: dict[tuple, Timing] = {}
    for line in results:
        if line.status != "ok" or line.seconds_per_edit is None:
            continue
        editing = Timing(
            kind="cell",
            dataset=line.dataset,
            model=line.model,
            label=line.label,
            method=line.method,
            seconds=line.seconds_per_edit * line.num_edits,
            edits=line.num_edits,
            peak_memory_mb=line.peak_memory_mb,
            whole=False,
        )
        found.append(editing)
        if line.training_seconds is not None:
            trained[line.cell] = dataclasses.replace(
                editing, kind="train", seconds=line.training_seconds, edits=0, peak_memory_mb=None
            )
    return [*found, *trained.values()]


def _alike(cell: Cell) -> list[tuple[str, Callable[[Timing], bool]]]:
    data, model = cell.setting.dataset.name, cell.setting.model.name
    label, method = cell.entry.label, cell.entry.name
    return [
        ("the same", lambda o: (o.label, o.dataset, o.model) == (label, data, model)),
        ("other facts", lambda o: (o.label, o.model) == (label, model)),
        ("another model", lambda o: o.label == label),
        ("another variant", lambda o: o.method == method),
    ]
