"""What a run would do, and what it may take: ``python -m benchmarks plan``."""

from __future__ import annotations

import tempfile
from collections import Counter
from collections.abc import Hashable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import NamedTuple

from rich.table import Table

from benchmarks.collect import Collector
from benchmarks.config import ROOT, BenchmarkConfig
from benchmarks.display import duration
from benchmarks.estimates import Estimate, Estimates
from benchmarks.grid import Cell, Filter, Setting, choose_sequences
from benchmarks.inventory import Inventory
from benchmarks.jobs import Kind
from benchmarks.jobs import Sequence as EditSequence
from benchmarks.results import Result
from dafnet_plugin.errors import DataError
from dafnet_plugin.files import sha256

COMMITTED = ROOT / "benchmarks" / "results"
"""Results of earlier runs that come with the repository."""

STEPS: dict[Kind, str] = {"prepare": "base model", "train": "meta-training", "cell": "editing"}


@dataclass(frozen=True)
class Step:
    """One worker process of a run.

    Attributes:
        setting: data set, model and seed; ``label`` of the method, empty for base models.
        shared: the setting whose base model or meta-training this one takes over; or empty.
        sequences: how many of each length; None for steps that edit nothing.
        done: whether nothing is left to do; ``left`` the edits still to be made.
        estimate: of what is left.
    """

    kind: Kind
    setting: str
    label: str
    sequences: dict[int, int] | None
    done: bool
    left: int
    estimate: Estimate
    shared: str = ""


def plan(
    config: BenchmarkConfig, data_dir: Path, out: Path, only: Sequence[str] | None = None
) -> list[Step]:
    """The steps of a run, those that an earlier one has made included."""
    inventory = Inventory(config, data_dir, out)
    cells = list(filter(Filter(config, only), inventory.cells()))
    folders = {path.parent for path in COMMITTED.rglob("results.jsonl*")}
    estimates = Estimates.of_folders([out, *sorted(folders - {out.resolve()})])
    collector = Collector(out)
    facts = _Facts(inventory)
    lengths = _Lengths(inventory, facts)
    steps: list[Step] = []
    settings = list(dict.fromkeys(cell.setting for cell in cells))
    first: dict[Hashable, str] = {}  # what is made -> the setting that it is made for
    for setting in settings:
        done = inventory.ready(setting) is not None
        shared = _shared(facts.base_model(setting), setting, first)
        found = Estimate(0.0) if done or shared else estimates.preparation(setting)
        steps.append(Step("prepare", setting.name, "", None, done, 0, found, shared))
    for setting in settings:
        mine = [cell for cell in cells if cell.setting == setting]
        trained = [inventory.trainee(cell) for cell in mine if cell.entry.training is not None]
        trained += [c for cell in trained if (c := inventory.pacemaker(cell)) is not None]
        for cell in dict.fromkeys(trained):
            step = _training(inventory, estimates, cell)
            if shared := _shared(facts.training(cell), setting, first):
                step = replace(step, estimate=Estimate(0.0), shared=shared)
            steps.append(step)
        steps += [_editing(inventory, estimates, collector, lengths, cell) for cell in mine]
    return steps


def _training(inventory: Inventory, estimates: Estimates, cell: Cell) -> Step:
    done = inventory.training_record(cell) is not None
    pacemaker, pace = inventory.pacemaker(cell), inventory.config.pace(cell.entry)
    limit = None if isinstance(pace, str) else pace
    if pacemaker is not None:
        record = inventory.training_record(pacemaker)
        limit = record["seconds"] if record else estimates.training(pacemaker).seconds
    found = Estimate(0.0) if done else estimates.training(cell, limit)
    return Step("train", cell.setting.name, cell.entry.label, None, done, 0, found)


def _editing(
    inventory: Inventory,
    estimates: Estimates,
    collector: Collector,
    lengths: _Lengths,
    cell: Cell,
) -> Step:
    sequences = lengths.of(cell)
    job = inventory.cell_job(cell)
    left = sequences
    if job is not None:
        left = [
            one
            for one in sequences
            if not collector.done(
                Result(**job.result, num_edits=one.num_edits, sequence=one.number, status="failed")
            )
        ]
    edits = sum(one.num_edits for one in left)
    counts = Counter(one.num_edits for one in sequences)
    found = estimates.cell(cell, edits) if left else Estimate(0.0)
    return Step("cell", cell.setting.name, cell.entry.label, counts, not left, edits, found)


def _shared(made: Hashable | None, setting: Setting, first: dict[Hashable, str]) -> str:
    """The setting for which the same is made; empty if it is this one, or if it is not known."""
    name = setting.name if made is None else first.setdefault(made, setting.name)
    return "" if name == setting.name else name


class _Known(NamedTuple):
    """Facts of a setting: how many cases for evaluation, and hashes of what is trained on."""

    cases: int
    train: str | None
    texts: str | None


class _Facts:
    """The facts of each setting; those that are not there yet are made, and thrown away."""

    def __init__(self, inventory: Inventory) -> None:
        self.inventory = inventory
        self._found: dict[tuple[str, int], _Known | None] = {}

    def of(self, setting: Setting) -> _Known | None:
        """None where the data cannot be read."""
        ready = self.inventory.ready(setting)
        if ready is not None:
            return _Known(ready.eval_cases, ready.hashes["train"], ready.hashes["texts"])
        key = setting.dataset.name, setting.seed
        if key not in self._found:
            self._found[key] = self._make(setting)
        return self._found[key]

    def base_model(self, setting: Setting) -> Hashable | None:
        """What the base model of a setting depends on; None if that is not known."""
        found, model = self.of(setting), setting.model
        if found is None or found.texts is None or model.path is not None:
            return None
        return "base model", model.name, setting.seed, setting.dataset.source, found.texts

    def training(self, cell: Cell) -> Hashable | None:
        """What the meta-training of a trainee depends on; None if that is not known."""
        found, setting, entry = self.of(cell.setting), cell.setting, cell.entry
        if found is None or found.train is None:
            return None
        recipe = entry.name, entry.training_path(setting.model), self.inventory.config.pace(entry)
        return "training", *recipe, setting.model.name, setting.seed, found.train, found.texts

    def _make(self, setting: Setting) -> _Known | None:
        from benchmarks.data import prepare_facts

        with tempfile.TemporaryDirectory() as folder:
            try:
                facts = prepare_facts(
                    setting.dataset.spec, setting.seed, self.inventory.data_dir, Path(folder)
                )
            except DataError:
                return None
            train, texts = (
                sha256(path) if path.is_file() else None for path in (facts.train, facts.texts)
            )
            return _Known(facts.eval_cases, train, texts)


class _Lengths:
    """The sequences of each cell, also of those whose facts are not there yet."""

    def __init__(self, inventory: Inventory, facts: _Facts) -> None:
        self.inventory, self.facts = inventory, facts

    def of(self, cell: Cell) -> list[EditSequence]:
        """As they will be; as the config asks where the data cannot be read."""
        config, setting = self.inventory.config, cell.setting
        if self.inventory.ready(setting) is not None:
            return self.inventory.sequences(cell)
        asked = [edits * count for edits, count in config.lengths if edits != "max"]
        found = self.facts.of(setting)
        cases = max(asked, default=1) if found is None else found.cases
        return choose_sequences(config, setting.seed, cases, cell.longest)


def plan_tables(steps: Sequence[Step]) -> list[Table]:
    """The steps, in a table for each setting."""
    tables = []
    for setting in dict.fromkeys(step.setting for step in steps):
        mine = [step for step in steps if step.setting == setting]
        counts = max((step.sequences or {} for step in mine), key=len)
        lengths = ", ".join(f"{count} x {edits}" for edits, count in counts.items())
        title = f"{setting.replace('/', ', ')}: {lengths} edits"
        table = Table(title=title, title_justify="left")
        table.add_column("step", no_wrap=True, min_width=22)
        for header in ("edits left", "time", "memory"):
            table.add_column(header, justify="right", no_wrap=True, min_width=7)
        table.add_column("judging by", no_wrap=True, min_width=15)
        for step in mine:
            name = f"{STEPS[step.kind]} {step.label}".strip()
            if step.done or step.shared:
                how = "done" if step.done else "shared"
                table.add_row(name, "", how, "", "" if step.done else step.shared, style="dim")
                continue
            left, found = str(step.left) if step.kind == "cell" else "", step.estimate
            table.add_row(name, left, _time(found), _memory(found), found.basis)
        tables.append(table)
    return tables


def summary(steps: Sequence[Step], jobs: int = 1) -> str:
    """How much is left, in a few words."""
    left = [step for step in steps if not step.done and not step.shared]
    known = [s.estimate.seconds for s in left if s.estimate.seconds is not None]
    unknown = len(left) - len(known)
    total = sum(known) / jobs
    parts = [f"{len(left)} of {len(steps)} steps are left"]
    if known:
        at_least = unknown or any(step.estimate.at_least for step in left)
        at_once = f" with --jobs {jobs}" if jobs > 1 else ""
        parts.append(f"{'at least' if at_least else 'about'} {duration(total)}{at_once}")
    if unknown:
        parts.append(f"{unknown} of them have no earlier run to judge by")
    return "; ".join(parts)


def _time(found: Estimate) -> str:
    if found.seconds is None:
        return "unknown"
    return ("> " if found.at_least else "") + duration(found.seconds)


def _memory(found: Estimate) -> str:
    if found.memory_mb is None:
        return "unknown"
    megabytes = found.memory_mb
    return f"{megabytes:.0f} MB" if megabytes < 2000 else f"{megabytes / 1024:.1f} GB"
