"""What every benchmark is given."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from benchmarks.speed.memory import Peak, Prepare, peak_of
from benchmarks.speed.sizes import ModelSize, Sizes


@dataclass(frozen=True)
class Context:
    """Sizes and circumstances of a run.

    Attributes:
        seed: of models and facts.
        threads: of torch.
        work: folder for what is kept between runs (the tiny world's base model).
    """

    sizes: Sizes
    seed: int
    threads: int
    work: Path

    def peak(
        self, prepare: Prepare, who: str, edits: int = 0, size: ModelSize | None = None
    ) -> Peak:
        """Peak memory of some work, see :func:`benchmarks.speed.memory.peak_of`."""
        return peak_of(
            self.sizes.smoke, self.threads, prepare, self.sizes, self.seed, who, edits, size
        )
