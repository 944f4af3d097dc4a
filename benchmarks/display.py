"""What a person sees of a run: a line for each worker with a bar, or plain lines in a log."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence

from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeElapsedColumn

from benchmarks.pool import Ended
from benchmarks.progress import read_progress
from benchmarks.schedule import Task

MAX_BARS = 12
"""A cluster may run hundreds of workers at once; so many of them are shown."""


class Display:
    """Shows tasks as they start and end.

    Args:
        console: standard error by default. Bars are drawn on a terminal only; elsewhere there is
            a line for each task that has ended.
    """

    def __init__(self, console: Console | None = None) -> None:
        self.console = console or Console(stderr=True, highlight=False)
        self._bars = Progress(
            TextColumn("{task.description}"),
            BarColumn(bar_width=24),
            TextColumn("{task.percentage:>3.0f}%"),
            TimeElapsedColumn(),
            console=self.console,
            transient=True,
        )
        self._running: dict[str, tuple[Task, TaskID]] = {}
        self._whole: TaskID | None = None
        self._over = self._total = 0

    @contextlib.contextmanager
    def showing(self, tasks: Sequence[Task]) -> Iterator[None]:
        """Show the progress of these tasks while the block runs."""
        self._over, self._total = 0, len(tasks)
        if not self.console.is_terminal:
            yield
            return
        with self._bars:
            self._whole = self._bars.add_task("all", total=self._total)
            yield

    def note(self, text: str, style: str = "") -> None:
        """A line that stays."""
        self.console.print(escape(text), style=style, soft_wrap=True)

    def skipped(self, task: Task) -> None:
        """See :class:`benchmarks.schedule.Observer`."""
        self._count()

    def started(self, task: Task) -> None:
        """See :class:`benchmarks.schedule.Observer`."""
        if self.console.is_terminal and len(self._running) < MAX_BARS:
            self._running[task.name] = task, self._bars.add_task(escape(task.name), total=None)

    def ended(self, task: Task, how: Ended) -> None:
        """See :class:`benchmarks.schedule.Observer`."""
        self._count()
        if task.name in self._running:
            self._bars.remove_task(self._running.pop(task.name)[1])
        place = f"[{self._over}/{self._total}] {task.name}"
        took = "" if how.seconds is None else f" ({duration(how.seconds)})"
        if how.status == 0:
            self.note(f"{place}{took}")
        else:
            error = how.error or "some sequences failed; the table says why"
            self.note(f"{place}: {error}{took}", style="red")

    def refresh(self) -> None:
        """See :class:`benchmarks.schedule.Observer`."""
        for task, bar in self._running.values():
            share = read_progress(task.files.progress)
            if share is not None:
                self._bars.update(bar, total=1.0, completed=share)

    def _count(self) -> None:
        self._over += 1
        if self._whole is not None:
            self._bars.update(self._whole, completed=self._over)


def duration(seconds: float) -> str:
    """Seconds as a person says them: ``45 s``, ``3 min``, ``2 h 05 min``."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 90 else f"{minutes // 60} h {minutes % 60:02d} min"
