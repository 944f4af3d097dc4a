"""Worker processes on this machine."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from benchmarks.config import ROOT
from benchmarks.jobs import JobFiles, Kind
from dafnet_plugin.files import read_json

GRACE_SECONDS = 20.0
"""What a worker gets after Ctrl-C to save its state."""


@dataclass(frozen=True)
class Needs:
    """What a worker process takes.

    Attributes:
        cpus: its threads; ``gpus``: 1 if it computes on one.
        memory_mb: its peak as earlier runs had it; None if there were none.
    """

    cpus: int = 1
    gpus: int = 0
    memory_mb: float | None = None


@dataclass(frozen=True)
class Ended:
    """How a worker process ended.

    Attributes:
        status: 0; 1 for a failure that the worker has put into words; else the exit status.
        error: what went wrong, in words; empty if nothing did.
        seconds, peak_memory_mb: of the process; None if it could not say. ``setup_seconds`` went
            by before the work proper, with imports and loading.
    """

    status: int
    error: str = ""
    seconds: float | None = None
    setup_seconds: float = 0.0
    peak_memory_mb: float | None = None


class Pool(Protocol):
    """Where worker processes run."""

    def has_room(self, needs: Needs) -> bool:
        """Whether another worker may be started now."""

    def start(self, kind: Kind, files: JobFiles, needs: Needs) -> None:
        """Start a worker on a job file."""

    def ended(self) -> list[tuple[JobFiles, Ended]]:
        """The workers that have ended since the last call."""

    def close(self) -> None:
        """Stop what still runs: gently, then for good."""


class LocalPool:
    """Processes of this machine.

    Args:
        jobs: how many may run at once.
        memory_mb: a worker waits rather than let the known needs of all exceed this; one alone
            may always run. None: all the memory of the machine.
    """

    def __init__(self, jobs: int = 1, memory_mb: float | None = None) -> None:
        self.jobs = jobs
        self.memory_mb = total_memory_mb() if memory_mb is None else memory_mb
        self._running: dict[JobFiles, tuple[subprocess.Popen, Needs, int | None]] = {}

    def has_room(self, needs: Needs) -> bool:
        """Whether another worker may be started now."""
        if not self._running:
            return True
        taken = sum(need.memory_mb or 0.0 for _, need, _ in self._running.values())
        fits = self.memory_mb is None or taken + (needs.memory_mb or 0.0) <= self.memory_mb
        return len(self._running) < self.jobs and fits

    def start(self, kind: Kind, files: JobFiles, needs: Needs) -> None:
        """Start a worker on a job file."""
        self._running[files] = launch(kind, files), needs, oom_kills()

    def ended(self) -> list[tuple[JobFiles, Ended]]:
        """The workers that have ended since the last call."""
        found = []
        for files, (process, _, kills) in list(self._running.items()):
            status = process.poll()
            if status is not None:
                del self._running[files]
                _release(process)
                found.append((files, outcome(files, status, kills)))
        return found

    def close(self) -> None:
        """Interrupt what still runs, so that it may save its state; then kill it."""
        for process, *_ in self._running.values():
            with contextlib.suppress(ProcessLookupError):
                process.send_signal(signal.SIGINT)
        deadline = time.monotonic() + GRACE_SECONDS
        for process, *_ in self._running.values():
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(max(0.0, deadline - time.monotonic()))
            if process.poll() is None:
                process.kill()
                process.wait()
            _release(process)
        self._running.clear()


def launch(
    kind: Kind, files: JobFiles, environment: Mapping[str, str] | None = None
) -> subprocess.Popen:
    """Start ``python -m benchmarks worker`` on a job.

    ``environment`` is added to that of this process. All that it prints goes to its log. It ends
    with the process that started it, however that dies: they share a pipe.
    """
    variables = os.environ | dict(environment or {})
    variables["PYTHONPATH"] = os.pathsep.join(
        filter(None, [str(ROOT), variables.get("PYTHONPATH")])
    )
    variables["PYTHONWARNINGS"] = "ignore::SyntaxWarning"  # of packages that EasyEdit needs
    if variables.get("EASYEDIT_HOME"):
        variables["EASYEDIT_HOME"] = os.path.abspath(variables["EASYEDIT_HOME"])
    files.outcome.unlink(missing_ok=True)
    # Workers start in the output folder: whatever EasyEdit drops where it stands, it drops there.
    with open(files.log, "ab") as log:
        return subprocess.Popen(
            [sys.executable, "-m", "benchmarks", "worker", kind, str(files.path)],
            env=variables,
            cwd=files.path.parent,
            stdin=subprocess.PIPE,
            stdout=log,
            stderr=subprocess.STDOUT,
            start_new_session=True,  # Ctrl-C is for the driver, which passes it on
        )


def outcome(files: JobFiles, status: int, kills_before: int | None) -> Ended:
    """How a process with this exit status ended, by its own words if it had time for any."""
    if files.outcome.is_file():
        data = read_json(files.outcome)
        return Ended(**data)
    log = f"see {files.place}"
    if status >= 0:
        return Ended(status, f"the process ended with status {status}; {log}")
    killed = f"the process was killed by signal {-status} ({_signal_name(-status)})"
    kills = oom_kills()
    known = kills_before is not None and kills is not None
    if -status == signal.SIGKILL and known and kills > kills_before:  # type: ignore[operator]
        killed += ": out of memory"
    return Ended(status, f"{killed}; {log}")


def oom_kills() -> int | None:
    """Processes that the system has killed for want of memory; None where it does not say."""
    counts = []
    # Of this container, and of the machine.
    for place, key in (("/sys/fs/cgroup/memory.events", "oom_kill"), ("/proc/vmstat", "oom_kill")):
        with contextlib.suppress(OSError, ValueError):
            for line in Path(place).read_text(encoding="ascii").splitlines():
                name, _, value = line.partition(" ")
                if name == key:
                    counts.append(int(value))
    return sum(counts) if counts else None


def total_memory_mb() -> float | None:
    """Memory of this machine or container, in MiB."""
    found = []
    with contextlib.suppress(OSError, ValueError, AttributeError):
        found.append(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 1024**2)
    with contextlib.suppress(OSError, ValueError):  # "max" where there is no limit
        text = Path("/sys/fs/cgroup/memory.max").read_text(encoding="ascii")
        found.append(int(text) / 1024**2)
    return min(found, default=None)


def _signal_name(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:
        return "unknown"


def _release(process: subprocess.Popen) -> None:
    if process.stdin is not None:
        process.stdin.close()
