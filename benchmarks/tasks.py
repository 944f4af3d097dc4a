"""The three kinds of work of a run, in terms of :mod:`benchmarks.schedule`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from benchmarks.collect import Collector
from benchmarks.grid import Cell, Setting
from benchmarks.inventory import Inventory, identity
from benchmarks.jobs import CellJob, Job, JobFiles, Kind, PrepareJob, job_files
from benchmarks.jobs import Sequence as EditSequence
from benchmarks.pool import Ended, Needs
from benchmarks.preparation import may_share_model
from benchmarks.results import Result
from benchmarks.schedule import Task
from benchmarks.worker import CHANGED_CODE, USER_ERROR
from dafnet_plugin.errors import DataError


class Preparation:
    """Facts and base model of a setting."""

    kind: Kind = "prepare"

    def __init__(self, inventory: Inventory, setting: Setting, needs: Needs) -> None:
        self.inventory, self.setting, self.needs = inventory, setting, needs
        self.name = f"{setting.name}: facts and base model"
        self.files: JobFiles = job_files(inventory.out, self.kind, setting.name)
        self.after: list[Task] = []
        self.error = ""

    def job(self) -> PrepareJob | None:
        """See :class:`benchmarks.schedule.Task`."""
        if self.inventory.ready(self.setting) is not None:
            return None
        return self.inventory.prepare_job(self.setting)

    def waits_for(self, other: Task) -> bool:
        """Data sets that are read from the same files may have a base model in common."""
        return isinstance(other, Preparation) and may_share_model(
            self.setting, other.setting, self.inventory.data_dir
        )

    def look(self) -> None:
        """See :class:`benchmarks.schedule.Task`."""

    def ended(self, how: Ended) -> None:
        """Raises DataError for what a user can mend: the rest of the grid would go to waste."""
        if how.status == USER_ERROR:
            raise DataError(f"{self.setting.name}: {how.error}")
        if how.status or self.inventory.ready(self.setting) is None:
            self.error = how.error or "it left nothing"


class Training:
    """Meta-training of a method in a setting.

    Attributes:
        error: why it failed; ``changed`` why it was not begun, if the code has changed.
    """

    kind: Kind = "train"

    def __init__(
        self,
        inventory: Inventory,
        cell: Cell,
        preparation: Preparation,
        pacemaker: Training | None,
        needs: Needs,
    ) -> None:
        self.inventory, self.cell, self.needs = inventory, cell, needs
        self.name = f"{cell.name}: meta-training"
        self.files: JobFiles = job_files(inventory.out, self.kind, cell.name)
        self.preparation, self.pacemaker = preparation, pacemaker
        self.after: list[Task] = [preparation, *([pacemaker] if pacemaker else [])]
        self.error = self.changed = ""
        self._inputs: str | None = None

    def job(self) -> Job | None:
        """See :class:`benchmarks.schedule.Task`."""
        if self.pacemaker and self.pacemaker.changed:
            self.changed = self.pacemaker.changed
            return None
        if self.preparation.error:
            self.error = f"no facts or base model: {self.preparation.error}"
            return None
        if self.pacemaker and self.pacemaker.error:
            self.error = f"no time limit, as {self.pacemaker.cell.entry.label} was not trained"
            return None
        if self.inventory.training_record(self.cell) is not None:
            return None
        return self.inventory.training_job(self.cell)

    def waits_for(self, other: Task) -> bool:
        """Data sets may have a base model and training cases in common."""
        if not isinstance(other, Training) or self.cell.entry.name != other.cell.entry.name:
            return False
        return self.inputs is not None and self.inputs == other.inputs

    @property
    def inputs(self) -> str | None:
        """Hash of all that the outcome depends on; None if that is not known yet."""
        if self._inputs is None and not self.preparation.error:
            job = self.inventory.training_job(self.cell)
            self._inputs = None if job is None else job.inputs
        return self._inputs

    def look(self) -> None:
        """See :class:`benchmarks.schedule.Task`."""

    def ended(self, how: Ended) -> None:
        """See :class:`benchmarks.schedule.Task`."""
        if how.status == CHANGED_CODE:
            self.changed = how.error
        elif how.status or self.inventory.training_record(self.cell) is None:
            self.error = how.error or "it left no archive"


class Editing:
    """A cell: its sequences of edits.

    Attributes:
        wanted: its lines as they were before anything had run.
        edits: made by the worker, in sequences that did not fail.
        changed: why it was not begun, if the code has changed: it has not failed, it is missing.
    """

    kind: Kind = "cell"

    def __init__(
        self,
        inventory: Inventory,
        cell: Cell,
        preparation: Preparation,
        training: Training | None,
        collector: Collector,
        needs: Needs,
    ) -> None:
        self.inventory, self.cell, self.needs = inventory, cell, needs
        self.name = f"{cell.name}: editing"
        self.files: JobFiles = job_files(inventory.out, self.kind, cell.name)
        self.preparation, self.training, self.collector = preparation, training, collector
        self.after: list[Task] = [preparation, *([training] if training else [])]
        self.wanted: list[Result] = []
        self.edits = 0
        self.changed = ""
        self._missing: list[Result] = []

    def job(self) -> CellJob | None:
        """The job with the sequences that have no good line yet."""
        if self.preparation.error:
            self._give_up(f"no facts or base model: {self.preparation.error}", ())
            return None
        if self.training and self.training.changed:
            self.changed = self.training.changed
            return None
        sequences = self.inventory.sequences(self.cell)
        if self.training and self.training.error:
            self._give_up(f"meta-training failed: {self.training.error}", sequences)
            return None
        job = self.inventory.cell_job(self.cell)
        if job is None:
            self._give_up("what it needs was removed while the run went on", sequences)
            return None
        self.wanted = [_line(job.result, sequence) for sequence in sequences]
        self._missing = [line for line in self.wanted if not self.collector.done(line)]
        keys = {line.key for line in self._missing}
        missing = [s for s, line in zip(sequences, self.wanted, strict=True) if line.key in keys]
        return replace(job, sequences=missing) if missing else None

    def waits_for(self, other: Task) -> bool:
        """Nothing that another cell makes."""
        return False

    def look(self) -> None:
        """Take the lines that the worker has written."""
        taken = self.collector.take_new(self.files)
        self.edits += sum(line.num_edits for line in taken if line.status == "ok")
        keys = {line.key for line in taken}
        self._missing = [line for line in self._missing if line.key not in keys]

    def ended(self, how: Ended) -> None:
        """What a worker leaves without a line has failed with it."""
        self.look()
        self.collector.finish(self.files)
        if how.status == CHANGED_CODE:
            self.changed = how.error
            return
        for line in self._missing:
            self.collector.add(replace(line, error=how.error or "the worker left no line"))
        self._missing = []

    def _give_up(self, error: str, sequences: Sequence[EditSequence]) -> None:
        """Write failed lines; where not even the facts are there, one for each length."""
        places = [(one.num_edits, one.number) for one in sequences]
        asked = self.inventory.config.num_edits
        places = places or [(n, 0) for n in asked if n != "max" and n <= self.cell.longest]
        self.wanted = [
            Result(**common, num_edits=edits, sequence=number, status="failed", error=error)
            for common in [identity(self.cell, self.inventory.command)]
            for edits, number in places
        ]
        for line in self.wanted:
            self.collector.add(line)


def _line(common: dict, sequence: EditSequence) -> Result:
    """The line of a sequence before it has run."""
    return Result(**common, num_edits=sequence.num_edits, sequence=sequence.number, status="failed")
