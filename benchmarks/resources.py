"""Memory and time of a process while it edits."""

from __future__ import annotations

import re
import resource
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import torch

from benchmarks.scoring import mean

MIB = 2**20
_PROC = Path("/proc/self")


class Meter:
    """Measures what happens inside :meth:`running`, and nothing of what happens in between.

    On CUDA memory is what tensors take on the device. Elsewhere it is the resident memory of the
    process: on Linux the peak is set back at each start, so that it is that of the measured
    parts; where that cannot be done it is the highest of the whole process so far.

    Attributes:
        seconds: of each measured part, by the wall clock.
        peak: in bytes, the highest of all parts; None before the first.
    """

    def __init__(self, device: torch.device) -> None:
        self._device = device
        self.seconds: list[float] = []
        self.peak: int | None = None

    def memory(self) -> int:
        """Bytes in use now."""
        if self._device.type == "cuda":
            return torch.cuda.memory_allocated(self._device)
        return _status("VmRSS") or _highest()

    @contextmanager
    def running(self) -> Iterator[None]:
        """Measure what is done in this block, if it succeeds."""
        self._reset_peak()
        self._synchronise()
        start = time.perf_counter()
        yield
        self._synchronise()
        self.seconds.append(time.perf_counter() - start)
        self.peak = max(self.peak or 0, self._read_peak())

    def _reset_peak(self) -> None:
        if self._device.type == "cuda":
            torch.cuda.reset_peak_memory_stats(self._device)
            return
        try:
            (_PROC / "clear_refs").write_text("5")  # see proc(5): sets VmHWM to VmRSS
        except OSError:
            return  # no Linux, or not allowed

    def _read_peak(self) -> int:
        if self._device.type == "cuda":
            return torch.cuda.max_memory_allocated(self._device)
        return _status("VmHWM") or _highest()

    def _synchronise(self) -> None:
        if self._device.type == "cuda":
            torch.cuda.synchronize(self._device)
        elif self._device.type == "mps":
            torch.mps.synchronize()


def growth(seconds: Sequence[float]) -> float | None:
    """Mean of the last tenth over that of the first tenth; None below 20 parts."""
    if len(seconds) < 20:
        return None
    tenth = len(seconds) // 10
    first, last = mean(seconds[:tenth]), mean(seconds[-tenth:])
    return last / first if first and last is not None else None


def _status(field: str) -> int | None:
    """A field of ``/proc/self/status`` in bytes; None without such a file."""
    try:
        found = re.search(rf"^{field}:\s*(\d+) kB", (_PROC / "status").read_text(), re.MULTILINE)
    except OSError:
        return None
    return int(found[1]) * 1024 if found else None


def _highest() -> int:
    """The highest resident memory of this process so far."""
    found = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return found if sys.platform == "darwin" else found * 1024
