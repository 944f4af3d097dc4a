"""Locks that the system lifts when their holder dies, however it dies."""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Iterator
from pathlib import Path

from dafnet_plugin.errors import ConfigError


@contextlib.contextmanager
def exclusive(path: Path, wait: float, who: str) -> Iterator[None]:
    """Hold a lock file while the block runs.

    Args:
        path: of the lock file; it is made, and left there.
        wait: seconds to wait for another holder to let go.
        who: what the other holder is, for the message.

    Raises:
        ConfigError: it is still held; names the file and the process.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    # Opened without the flag of inheritance, so that children do not hold on to it.
    with open(path, "a+", encoding="utf-8") as file:
        deadline = time.monotonic() + wait
        while not _taken(file.fileno()):
            if time.monotonic() > deadline:
                file.seek(0)
                raise ConfigError(f"{path}: {who} (process {file.read().strip() or 'unknown'})")
            time.sleep(0.05)
        file.truncate(0)
        file.write(str(os.getpid()))
        file.flush()
        yield


def _taken(descriptor: int) -> bool:
    try:
        import fcntl
    except ImportError:  # Windows: nothing keeps two runs apart, but each works
        return True
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
