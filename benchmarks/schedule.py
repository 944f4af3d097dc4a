"""Jobs in the order they depend on each other, as many at once as there is room for."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Protocol

from benchmarks.jobs import Job, JobFiles, Kind, write_job
from benchmarks.pool import Ended, Needs, Pool

POLL_SECONDS = 0.1


class Task(Protocol):
    """A job to be, and what becomes of it.

    Attributes:
        name: what messages call it.
        files: of its worker.
        needs: what its worker takes.
    """

    kind: Kind
    name: str
    files: JobFiles
    needs: Needs

    @property
    def after(self) -> Sequence[Task]:
        """Tasks that must be over first."""

    def job(self) -> Job | None:
        """The job, once all tasks before it are over; None if there is nothing to do."""

    def waits_for(self, other: Task) -> bool:
        """Whether a running task makes the same, which is then there for this one, too.

        Asked once all tasks before this one are over.
        """

    def look(self) -> None:
        """Called again and again while the worker runs, and once after it."""

    def ended(self, how: Ended) -> None:
        """Called when the worker has ended."""


class Observer(Protocol):
    """Told what happens, to show it."""

    def skipped(self, task: Task) -> None:
        """Nothing was to be done."""

    def started(self, task: Task) -> None:
        """Its worker runs."""

    def ended(self, task: Task, how: Ended) -> None:
        """Its worker has ended."""

    def refresh(self) -> None:
        """Called several times a second."""


def run_tasks(tasks: Sequence[Task], pool: Pool, observer: Observer) -> None:
    """Run tasks until all are over, the first ones first where there is a choice.

    On any error, Ctrl-C included, the workers are stopped, and what they have done until then
    is taken.
    """
    waiting, running = list(tasks), dict[JobFiles, Task]()
    over: set[int] = set()
    try:
        while waiting or running:
            for task in list(waiting):
                if not all(id(before) in over for before in task.after):
                    continue
                if not pool.has_room(task.needs):
                    continue
                if any(task.waits_for(other) for other in running.values()):
                    continue
                waiting.remove(task)
                job = task.job()
                if job is None:
                    over.add(id(task))
                    observer.skipped(task)
                    continue
                write_job(task.files.path, job)
                pool.start(task.kind, task.files, task.needs)
                running[task.files] = task
                observer.started(task)
            for files, how in pool.ended():
                task = running.pop(files)
                task.look()
                task.ended(how)
                over.add(id(task))
                observer.ended(task, how)
            for task in running.values():
                task.look()
            observer.refresh()
            if running:
                time.sleep(POLL_SECONDS)
    finally:
        pool.close()
        for task in running.values():
            task.look()
