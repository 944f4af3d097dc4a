"""Ctrl-C that waits for the step in progress."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any


@dataclass
class Interrupt:
    """Whether somebody asked to stop."""

    asked: bool = False


@contextmanager
def deferred_interrupt() -> Iterator[Interrupt]:
    """Note the first SIGINT instead of raising at once; a second one raises as ever.

    A step that is cut in two has drawn random numbers it did not use, so that a run which goes
    on from there would not be the one that was never stopped. Other threads than the main one
    get no signals; there nothing changes.
    """
    interrupt = Interrupt()
    if threading.current_thread() is not threading.main_thread():
        yield interrupt
        return
    before = signal.getsignal(signal.SIGINT)

    def ask(*_: Any) -> None:
        interrupt.asked = True
        signal.signal(signal.SIGINT, before or signal.default_int_handler)

    signal.signal(signal.SIGINT, ask)
    try:
        yield interrupt
    finally:
        signal.signal(signal.SIGINT, before or signal.default_int_handler)
