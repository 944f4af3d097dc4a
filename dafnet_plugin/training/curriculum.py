"""How long the sequences of meta-training are."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Protocol

import torch


class Curriculum(Protocol):
    """Draws the length of the next sequence, in edits, and learns from its loss."""

    longest: int

    def draw(self, progress: float, generator: torch.Generator) -> int:
        """Return a length; ``progress`` is the share of training done, 0 to 1."""

    def observe(self, loss: float) -> None:
        """Take note of a step's loss in nats."""


@dataclass
class Ramp:
    """n log-uniform in 1..N; N rises geometrically to ``max_edits`` and stays there.

    Attributes:
        max_edits: the longest sequence.
        share: share of training after which N has reached it.
        longest: N at the last draw.
    """

    max_edits: int
    share: float
    longest: int = 1

    def draw(self, progress: float, generator: torch.Generator) -> int:
        """See :class:`Curriculum`."""
        reached = min(1.0, progress / self.share) if self.share else 1.0
        self.longest = round(self.max_edits**reached)
        return round(math.exp(torch.rand((), generator=generator).item() * math.log(self.longest)))

    def observe(self, loss: float) -> None:
        """The ramp follows progress, not loss."""


@dataclass
class Plateau:
    """The paper's: n uniform in 1..N; N grows when the loss stops improving.

    N grows by a quarter, at least 10, whenever the running loss (factor 0.01) has not improved
    for ``patience / max(1, log10 N)`` iterations.
    """

    max_edits: int
    patience: int
    longest: int = 1
    running_loss: float = math.inf
    best_loss: float = math.inf
    since_best: int = 0

    def draw(self, progress: float, generator: torch.Generator) -> int:
        """See :class:`Curriculum`."""
        return int(torch.randint(1, self.longest + 1, (), generator=generator))

    def observe(self, loss: float) -> None:
        """See :class:`Curriculum`."""
        first = math.isinf(self.running_loss)
        self.running_loss = loss if first else 0.99 * self.running_loss + 0.01 * loss
        if self.running_loss < self.best_loss:
            self.best_loss, self.since_best = self.running_loss, 0
            return
        self.since_best += 1
        if self.since_best > self.patience / max(1.0, math.log10(self.longest)):
            grown = self.longest + max(round(0.25 * self.longest), 10)
            self.longest = min(self.max_edits, grown)
            self.best_loss, self.since_best = math.inf, 0
