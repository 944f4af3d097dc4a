"""A bench that measures factual consistency as well."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from benchmarks.consistency.config import ConsistencyConfig
from benchmarks.consistency.measure import Consistency
from benchmarks.editing import SIDE_EFFECT_SEQUENCES, Bench
from benchmarks.jobs import CellJob
from benchmarks.jobs import Sequence as EditSequence
from benchmarks.results import Details
from dafnet_plugin.data.consistency import load_pairs
from dafnet_plugin.errors import ConfigError


@dataclass
class ConsistencyBench(Bench):
    """See :class:`benchmarks.editing.Bench`; whatever that measures is as it is without this.

    As for side effects, not every one of many short sequences is asked: the first
    :data:`benchmarks.editing.SIDE_EFFECT_SEQUENCES` of each length.
    """

    consistency: Consistency | None = None

    @classmethod
    def build(cls, job: CellJob) -> ConsistencyBench:
        """Load the model through EasyEdit, take stock of it, and read the pairs.

        Raises:
            ConfigError: the job does not measure consistency.
            DataError: a pair does not fit the model's context.
        """
        if job.consistency is None or job.pairs is None:
            raise ConfigError(f"{job.label}: the job has no settings of consistency, or no pairs")
        bench = super().build(job)
        assert isinstance(bench, cls)
        bench.consistency = Consistency(
            bench.editor.model,
            bench.editor.tok,
            bench.adapter,
            load_pairs(job.pairs),
            bench.cases,
            ConsistencyConfig.from_dict(job.consistency),
            seed=bench.seed,
        )
        return bench

    def run(
        self, sequence: EditSequence, progress: Callable[[int], object] = lambda _: None
    ) -> tuple[dict[str, Any], Details]:
        """See :meth:`Bench.run`."""
        if self.consistency is not None and sequence.number < SIDE_EFFECT_SEQUENCES:
            self.consistency.prepare(self.editor.model, sequence.cases)
        return super().run(sequence, progress)

    def _side_effects(self, model: Any, sequence: EditSequence) -> dict[str, Any]:
        fields = super()._side_effects(model, sequence)
        if self.consistency is not None and sequence.number < SIDE_EFFECT_SEQUENCES:
            fields |= self.consistency.compare(model, sequence.cases)
        return fields
