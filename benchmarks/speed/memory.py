"""Peak memory: of a process of its own, or, in a smoke test, counted in this one."""

from __future__ import annotations

import ctypes
import gc
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch

from benchmarks.isolated import sent_from
from benchmarks.resources import Meter
from benchmarks.speed.counting import Allocations
from benchmarks.speed.timing import seconds

Prepare = Callable[..., Callable[[], object]]
"""Builds what is needed and returns the work to be measured; a function of a module."""


@dataclass(frozen=True)
class Peak:
    """Of some work.

    Attributes:
        extra: bytes at the peak beyond those in use when the work began.
        held: likewise, when it was done and what it returned was kept.
        whole: bytes of the whole process at the peak; None where bytes were counted.
        seconds: that the work took, once.
    """

    extra: int
    held: int
    whole: int | None
    seconds: float


class ProcessDiedError(RuntimeError):
    """A process ended without saying what it measured, perhaps for lack of memory."""


def peak_of(smoke: bool, threads: int, prepare: Prepare, *arguments: Any) -> Peak:
    """Peak memory of what ``prepare(*arguments)`` returns.

    Resident memory of a new process, which does nothing else (``VmHWM``, set back when the work
    begins). A smoke test counts the bytes of tensors in this process instead.

    Raises:
        ProcessDiedError: the process ended early.
    """
    return counted(prepare, *arguments) if smoke else _apart(threads, prepare, arguments)


def counted(prepare: Prepare, *arguments: Any) -> Peak:
    """The same by counting the bytes of tensors, in this process."""
    work = prepare(*arguments)
    with Allocations() as allocations:
        kept: list[object] = []
        took = seconds(lambda: kept.append(work()))
        return Peak(allocations.peak, allocations.live, None, took)


def _apart(threads: int, prepare: Prepare, arguments: tuple[Any, ...]) -> Peak:
    found, status = sent_from(_measured, threads, prepare, arguments)
    if not isinstance(found, Peak):
        raise ProcessDiedError(
            f"{prepare.__name__}{arguments[2:]}: the process ended with {status}"
        )
    return found


def _measured(sender: Any, threads: int, prepare: Prepare, arguments: tuple[Any, ...]) -> None:
    torch.set_num_threads(threads)
    work = prepare(*arguments)
    _give_back()
    meter = Meter(torch.device("cpu"))
    before = meter.memory()
    with meter.running():
        kept = work()
    held = meter.memory() - before
    del kept  # only now
    sender.send(Peak(int(meter.peak or 0) - before, held, meter.peak, meter.seconds[0]))


def _give_back() -> None:
    """Let the system have what preparing has freed; the work would use it again unseen."""
    gc.collect()
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
    if trim is not None:  # glibc only
        trim(0)
