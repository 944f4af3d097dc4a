"""Worker processes: how they end is told, and they do not outlive their driver."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

import benchmarks.pool as pools
from benchmarks.config import ROOT
from benchmarks.jobs import JobFiles, PrepareJob, TrainingJob, write_job
from benchmarks.pool import Ended, LocalPool, Needs, launch, outcome
from benchmarks.worker import STARTED, USER_ERROR, clear_of_other_jobs
from dafnet_plugin.errors import ConfigError
from dafnet_plugin.locks import exclusive
from tests.benchmarks.stand_in import install

pytestmark = pytest.mark.skipif(os.name != "posix", reason="processes are told apart by signals")


def job(folder: Path, **changes: object) -> JobFiles:
    files = JobFiles(folder / "jobs" / "a.prepare.json")
    values = {"dataset": {"name": "x", "source": "tinyworld"}, "model": {"name": "m"}} | changes
    write_job(
        files.path,
        PrepareJob(
            **values, seed=0, data_dir="", folder=str(folder), device="cpu", threads=1, inputs="1"
        ),  # type: ignore[arg-type]
    )
    return files


def wait_for(condition: Callable[[], object], seconds: float = 30.0) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.02)


def run(files: JobFiles, **environment: str) -> Ended:
    process = launch("prepare", files, environment)
    try:
        return outcome(files, process.wait(60), None)
    finally:
        process.kill()
        process.stdin.close()  # type: ignore[union-attr]


def test_a_worker_says_how_it_ended(tmp_path: Path) -> None:
    files = job(tmp_path)
    ended = run(files, **install(tmp_path / "site"))
    assert (ended.status, ended.error) == (0, "")
    assert ended.seconds is not None and ended.peak_memory_mb and ended.peak_memory_mb > 5
    # What a user can mend has a status of its own; the whole trace is in the log.
    ended = run(job(tmp_path, model={"name": "m", "family": "bert"}))
    assert ended.status == USER_ERROR and "family: 'bert'" in ended.error
    assert "Traceback" in files.log.read_text()


def test_a_killed_worker_is_told_from_one_that_failed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    files = JobFiles(tmp_path / "jobs" / "a.cell.json")
    files.path.parent.mkdir()
    assert outcome(files, 3, None).error == "the process ended with status 3; see jobs/a.cell.log"
    killed = outcome(files, -signal.SIGKILL, 7)
    assert killed.status == -9 and "killed by signal 9 (SIGKILL)" in killed.error
    monkeypatch.setattr(pools, "oom_kills", lambda: 8)
    assert "out of memory" in outcome(files, -signal.SIGKILL, 7).error
    assert "out of memory" not in outcome(files, -signal.SIGTERM, 7).error


def test_a_worker_dies_with_its_driver(tmp_path: Path) -> None:
    environment = os.environ | install(tmp_path / "site") | {"STAND_IN_PACE": "20"}
    files = job(tmp_path)
    code = (
        "import sys, time; from pathlib import Path; from benchmarks.jobs import JobFiles;"
        "from benchmarks.pool import launch;"
        f"print(launch('prepare', JobFiles(Path({str(files.path)!r}))).pid, flush=True);"
        "time.sleep(60)"
    )
    driver = subprocess.Popen(
        [sys.executable, "-c", code], env=environment, cwd=ROOT, stdout=subprocess.PIPE, text=True
    )
    assert driver.stdout is not None
    worker = int(driver.stdout.readline())
    wait_for((tmp_path / "site" / "log").is_file)  # it is at work
    driver.kill()
    driver.wait()
    driver.stdout.close()
    wait_for(lambda: not alive(worker))


def alive(process: int) -> bool:
    try:
        state = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0]
    except FileNotFoundError:
        return False
    return state != "Z"


def test_memory_that_is_known_keeps_workers_apart() -> None:
    pool = LocalPool(jobs=3, memory_mb=1000)
    assert pool.has_room(Needs(memory_mb=5000))  # alone, anything may be tried
    pool._running = {JobFiles(Path("a")): (None, Needs(memory_mb=600), None)}  # type: ignore[dict-item]
    assert not pool.has_room(Needs(memory_mb=500))
    assert pool.has_room(Needs(memory_mb=300)) and pool.has_room(Needs())
    assert LocalPool(jobs=1).memory_mb > 100  # type: ignore[operator]


def test_a_lock_is_for_one_and_goes_with_its_holder(tmp_path: Path) -> None:
    path = tmp_path / "a.lock"
    with (
        exclusive(path, 0.0, "x"),
        pytest.raises(ConfigError, match=rf"a\.lock: a run is at it \(process {os.getpid()}\)"),
        exclusive(path, 0.1, "a run is at it"),
    ):
        pass
    with exclusive(path, 0.0, "x"):
        pass


def test_meta_training_starts_in_an_empty_folder_unless_it_goes_on(tmp_path: Path) -> None:
    def begin(inputs: str) -> set[str]:
        clear_of_other_jobs(
            TrainingJob("MEND", "MEND", "", "", "", "", str(tmp_path / "MEND"), "cpu", 1, inputs)
        )
        found = {path.name for path in (tmp_path / "MEND").iterdir()}
        (tmp_path / "MEND" / "state").write_text("half way")
        return found

    assert begin("1") == {STARTED}
    assert begin("1") == {STARTED, "state"}
    assert begin("2") == {STARTED}
