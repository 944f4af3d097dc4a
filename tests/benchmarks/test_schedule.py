"""The order of jobs, and what happens when something goes wrong in the middle."""

from __future__ import annotations

from pathlib import Path

import pytest

from benchmarks.jobs import JobFiles, Kind, PrepareJob
from benchmarks.pool import Ended, Needs
from benchmarks.schedule import run_tasks

JOB = PrepareJob({}, {}, 0, "", "", "cpu", None, "")


class Work:
    """A task whose job does nothing; notes what is asked of it."""

    kind: Kind = "prepare"

    def __init__(
        self, folder: Path, name: str, *after: Work, idle: bool = False, alike: str = ""
    ) -> None:
        self.name, self.after, self.idle, self.alike = name, list(after), idle, alike
        self.files, self.needs = JobFiles(folder / f"{name}.prepare.json"), Needs()
        self.how: Ended | None = None
        self.looks = 0

    def job(self) -> PrepareJob | None:
        assert all(task.how or task.idle for task in self.after), "too early"
        return None if self.idle else JOB

    def waits_for(self, other: Work) -> bool:
        return other.name == self.alike

    def look(self) -> None:
        self.looks += 1

    def ended(self, how: Ended) -> None:
        if how.error == "stop":
            raise ValueError("stop")
        self.how = how


class Steps:
    """A pool whose workers end one poll later, the last one started first."""

    def __init__(self, room: int, error: str = "") -> None:
        self.room, self.error = room, error
        self.running: list[JobFiles] = []
        self.most = 0
        self.closed = False

    def has_room(self, needs: Needs) -> bool:
        return len(self.running) < self.room

    def start(self, kind: Kind, files: JobFiles, needs: Needs) -> None:
        assert files.path.is_file(), "no job file"
        self.running.append(files)
        self.most = max(self.most, len(self.running))

    def ended(self) -> list[tuple[JobFiles, Ended]]:
        return [(self.running.pop(), Ended(0, self.error))] if self.running else []

    def close(self) -> None:
        self.closed = True


class Seen:
    """An observer that keeps what it is told."""

    def __init__(self) -> None:
        self.said: list[tuple[str, str]] = []

    def skipped(self, task: Work) -> None:
        self.said.append(("skipped", task.name))

    def started(self, task: Work) -> None:
        self.said.append(("started", task.name))

    def ended(self, task: Work, how: Ended) -> None:
        self.said.append(("ended", task.name))

    def refresh(self) -> None:
        pass


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("benchmarks.schedule.POLL_SECONDS", 0.0)


def test_a_task_waits_while_another_makes_the_same(tmp_path: Path) -> None:
    tasks = [Work(tmp_path, "first"), Work(tmp_path, "same", alike="first"), Work(tmp_path, "x")]
    seen = Seen()
    run_tasks(tasks, Steps(room=3), seen)
    assert seen.said[:2] == [("started", "first"), ("started", "x")]
    assert seen.said.index(("started", "same")) > seen.said.index(("ended", "first"))


def test_tasks_run_after_what_they_need_and_no_more_than_fit(tmp_path: Path) -> None:
    base, other = Work(tmp_path, "base"), Work(tmp_path, "other", idle=True)
    train = Work(tmp_path, "train", base)
    tasks = [base, other, train, Work(tmp_path, "cell", base, train), Work(tmp_path, "b", other)]
    pool, seen = Steps(room=2), Seen()
    run_tasks(tasks, pool, seen)
    assert [name for what, name in seen.said if what == "started"] == ["base", "b", "train", "cell"]
    assert ("skipped", "other") in seen.said
    assert pool.most == 2 and pool.closed
    assert all(task.looks for task in tasks if not task.idle)


def test_an_error_stops_the_workers_and_takes_what_they_have_done(tmp_path: Path) -> None:
    tasks = [Work(tmp_path, name) for name in "ab"]
    pool = Steps(room=2, error="stop")
    with pytest.raises(ValueError, match="stop"):
        run_tasks(tasks, pool, Seen())
    assert pool.closed and all(task.looks for task in tasks)
