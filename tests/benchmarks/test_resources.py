"""Time and memory of what is measured, and only of that."""

from __future__ import annotations

import sys
import time
from pathlib import Path

import pytest
import torch

from benchmarks import resources
from benchmarks.resources import MIB, Meter, growth

CPU = torch.device("cpu")
linux = pytest.mark.skipif(sys.platform != "linux", reason="memory is set back on Linux only")


def fill(mebibytes: int) -> bytearray:
    return bytearray(mebibytes * MIB)  # large enough to be given back when it is dropped


@linux
def test_the_peak_is_that_of_the_measured_parts() -> None:
    meter = Meter(CPU)
    if not _can_reset():
        pytest.skip("this system does not let a process set back its peak")
    large = fill(256)
    del large
    start = meter.memory()
    with meter.running():
        fill(64)
    assert meter.peak is not None
    assert 60 * MIB < meter.peak - start < 128 * MIB
    before = meter.peak
    large = fill(256)
    del large
    with meter.running():
        pass
    assert meter.peak == before


def _can_reset() -> bool:
    try:
        Path("/proc/self/clear_refs").write_text("5")
    except OSError:
        return False
    return True


def test_elsewhere_the_peak_is_that_of_the_process(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(resources, "_PROC", tmp_path / "nowhere")
    meter = Meter(CPU)
    with meter.running():
        pass
    assert meter.peak is not None and meter.peak > 10 * MIB
    assert meter.memory() > 10 * MIB


def test_on_cuda_memory_is_that_of_the_device(monkeypatch: pytest.MonkeyPatch) -> None:
    """With the functions of torch replaced, so that it runs without such a device."""
    device, calls = torch.device("cuda", 1), []
    monkeypatch.setattr(torch.cuda, "memory_allocated", lambda d: 5 * MIB if d == device else 0)
    monkeypatch.setattr(torch.cuda, "max_memory_allocated", lambda d: 9 * MIB if d == device else 0)
    monkeypatch.setattr(torch.cuda, "reset_peak_memory_stats", lambda d: calls.append(d))
    monkeypatch.setattr(torch.cuda, "synchronize", lambda d: calls.append(("wait", d)))
    meter = Meter(device)
    with meter.running():
        calls.append("work")
    assert (meter.memory(), meter.peak) == (5 * MIB, 9 * MIB)
    # The clock stops when the device has done its work, not when it has been given it.
    assert calls == [device, ("wait", device), "work", ("wait", device)]


def test_time_counts_only_inside_and_only_what_succeeds() -> None:
    meter = Meter(CPU)
    with meter.running():
        time.sleep(0.02)
    time.sleep(0.05)
    with pytest.raises(ValueError), meter.running():
        raise ValueError
    with meter.running():
        pass
    assert len(meter.seconds) == 2
    assert 0.02 <= meter.seconds[0] < 0.05 and meter.seconds[1] < 0.02


def test_growth_is_the_last_tenth_over_the_first() -> None:
    assert growth([1.0, 1.0, *[9.0] * 16, 3.0, 4.0]) == 3.5
    assert growth([2.0] * 100) == 1.0
    assert growth([1.0] * 19) is None
    assert growth([]) is None
