"""What a person sees of a run: a progress bar, TensorBoard scalars, validation scores."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Any

from tqdm import tqdm

from dafnet_plugin.training.validation import Scores

_SHOWN = {"reliability": "rel", "generality": "gen", "locality": "loc", "text": "text"}


class Reporter:
    """Progress bar and scalars of one run; a context manager that closes both.

    Args:
        directory: TensorBoard files go below it, None writes none.
        progress: share of the run that is done already, 0 to 1.
        silent: show no bar and print nothing.
        interval: steps between updates of the losses shown and written.
    """

    def __init__(
        self, directory: Path | None, progress: float, *, silent: bool, interval: int
    ) -> None:
        self.silent, self.interval = silent, interval
        self._writer: Any = None
        if directory is not None:
            from torch.utils.tensorboard import SummaryWriter

            self._writer = SummaryWriter(directory / "tensorboard")
        self._bar = tqdm(
            total=1000,
            initial=round(1000 * progress),
            desc="meta-training",
            bar_format="{desc}: {percentage:3.0f}%|{bar}| [{elapsed}<{remaining}{postfix}]",
            disable=silent,
        )

    def __enter__(self) -> Reporter:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._bar.close()
        if self._writer is not None:
            self._writer.close()

    def step(
        self, iteration: int, progress: float, losses: Mapping[str, float], longest: int
    ) -> None:
        """Show one step; losses in nats, ``longest`` is the curriculum's N in edits."""
        self._bar.update(round(1000 * progress) - self._bar.n)
        if iteration % self.interval:
            return
        shown = {_SHOWN[name]: f"{loss:.2f}" for name, loss in losses.items() if name in _SHOWN}
        self._bar.set_postfix(shown | {"edits": f"<={longest}"})
        for name, value in losses.items():
            self._scalar(f"train/{name}", value, iteration)
        self._scalar("train/longest_sequence", longest, iteration)

    def validation(self, iteration: int, scores: Mapping[int, Scores]) -> None:
        """Show the scores of a validation."""
        for edits, score in scores.items():
            for name, value in dataclasses.asdict(score).items():
                self._scalar(f"validation/{edits}_edits/{name}", value, iteration)
        if not self.silent:
            self._bar.write(f"iteration {iteration}: {describe(scores)}")

    def _scalar(self, name: str, value: float, iteration: int) -> None:
        if self._writer is not None:
            self._writer.add_scalar(name, value, iteration)


def describe(scores: Mapping[int, Scores]) -> str:
    """Scores of several sequence lengths in a line: reliability/generality/locality."""
    return "  ".join(
        f"{edits} edits {s.reliability:.3f}/{s.generality:.3f}/{s.locality:.3f}"
        for edits, s in scores.items()
    )
