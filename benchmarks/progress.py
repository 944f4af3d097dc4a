"""How far a worker process has come, as a small file that the driver looks at."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from pathlib import Path

INTERVAL = 0.5
"""Seconds between two writes, at least."""


@dataclass
class ProgressFile:
    """Told by a worker how much is done; cheap enough to be told at every step.

    Attributes:
        begun: when it was told for the first time, by ``time.monotonic()``: after all loading.
    """

    path: Path
    begun: float | None = field(default=None, init=False)
    _written: float = field(default=0.0, init=False)

    def __call__(self, done: float, total: float) -> None:
        """Note that ``done`` of ``total`` are done, in whatever unit."""
        now = time.monotonic()
        self.begun = now if self.begun is None else self.begun
        if now - self._written < INTERVAL and 0 < done < total:
            return
        self._written = now
        # In one write of a few bytes: a reader may see the old numbers, but no part of a line.
        self.path.write_text(f"{done:g} {total:g}\n", encoding="ascii")


def read_progress(path: Path) -> float | None:
    """The share that is done, 0 to 1; None if nothing is known."""
    try:
        done, total = map(float, path.read_text(encoding="ascii").split())
        return min(1.0, max(0.0, done / total))
    except (OSError, ValueError, ZeroDivisionError):
        return None
