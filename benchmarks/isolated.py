"""A function in a process of its own, which has nothing of this one's memory."""

from __future__ import annotations

import multiprocessing
from collections.abc import Callable
from typing import Any


def sent_from(target: Callable[..., object], *arguments: Any) -> tuple[Any, int | None]:
    """Call ``target(sender, *arguments)`` in a new process, and wait until that has ended.

    Args:
        target: a function of a module; sends one thing with ``sender.send``.

    Returns:
        what was sent, None if the process ended before; and its exit status.
    """
    context = multiprocessing.get_context("spawn")
    receiver, sender = context.Pipe(duplex=False)
    process = context.Process(target=target, args=(sender, *arguments))
    process.start()
    sender.close()
    try:
        found = receiver.recv()
    except EOFError:
        found = None
    finally:
        process.join()
    return found, process.exitcode
