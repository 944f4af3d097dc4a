"""What a benchmark runs, as YAML."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from dafnet_plugin.errors import ConfigError, did_you_mean
from dafnet_plugin.schema import YamlConfig, not_positive

ROOT = Path(__file__).resolve().parents[1]
"""The repository: where relative paths of a config start."""


@dataclass
class MethodConfig(YamlConfig):
    """One row of the table.

    Attributes:
        name: the method's ``alg_name`` in EasyEdit.
        hparams: its YAML file for editing, relative to the repository.
        training: its YAML file for meta-training; null for methods without.
        variant: tells two entries of one method apart ("paper", "repaired").
    """

    name: str
    hparams: str
    training: str | None = None
    variant: str = ""

    @property
    def label(self) -> str:
        """What the table, and the folders of a run, call it."""
        return f"{self.name}-{self.variant}" if self.variant else self.name

    def problems(self) -> list[str]:
        """See :meth:`YamlConfig.problems`."""
        return [
            f"{key}: {path!r}; there is no such file in {ROOT}"
            for key, path in (("hparams", self.hparams), ("training", self.training))
            if path is not None and not (ROOT / path).is_file()
        ]


@dataclass
class BenchmarkConfig(YamlConfig):
    """A benchmark: facts, a base model, methods, lengths of sequences.

    Attributes:
        name: of the benchmark, and of its folder under ``.cache/benchmarks``.
        source: where facts come from; ``pararel`` and ``counterfact`` are read from the data
            directory.
        methods: keys of :class:`MethodConfig`, once for each method.
        num_edits: lengths of sequences, in edits.
        sequences: disjoint sequences of each length, at most: one number, or one for each entry
            of ``num_edits``.
        family: kind of tiny base model.
        seed: of the facts, the base model and the choice of sequences. Meta-training has a seed
            of its own.
        device: of everything: ``cpu``, ``cuda``, ``cuda:1``, ``mps`` or a CUDA index.
        threads: CPU threads; null leaves torch's choice.
        train_cases, eval_cases: cases used, at most; null for all.
        base_accuracy: share of its facts that the base model shall know.
        base_seconds: time limit of its training.
    """

    name: str
    source: Literal["tinyworld", "pararel", "counterfact"]
    methods: list[dict]
    num_edits: list[int]
    sequences: list[int] | int = 1
    family: Literal["gpt2", "llama"] = "gpt2"
    seed: int = 0
    device: str | int = "cpu"
    threads: int | None = None
    train_cases: int | None = None
    eval_cases: int | None = None
    base_accuracy: float = 0.98
    base_seconds: float = 900.0

    @property
    def entries(self) -> list[MethodConfig]:
        """The methods as objects."""
        return [MethodConfig.from_dict(item) for item in self.methods]

    @property
    def lengths(self) -> list[tuple[int, int]]:
        """Pairs of (edits of a sequence, how many such sequences at most)."""
        counts = self.sequences
        if isinstance(counts, int):
            counts = [counts] * len(self.num_edits)
        return list(zip(self.num_edits, counts, strict=True))

    def select(self, labels: Sequence[str] | None) -> list[MethodConfig]:
        """The methods named on the command line, by name or label; all of them for None.

        Raises:
            ConfigError: a name is not in the config.
        """
        entries = self.entries
        known = {name for entry in entries for name in (entry.name, entry.label)}
        for label in labels or ():
            if label not in known:
                raise ConfigError(
                    f"--only {label}: not in the config{did_you_mean(label, known)}; "
                    f"it has {', '.join(entry.label for entry in entries)}"
                )
        return [e for e in entries if labels is None or {e.name, e.label} & set(labels)]

    def problems(self) -> list[str]:
        """See :meth:`YamlConfig.problems`."""
        found = [] if self.methods else ["methods: []; at least one is needed"]
        labels: list[str] = []
        for index, item in enumerate(self.methods):
            try:
                labels.append(MethodConfig.from_dict(item).label)
            except ConfigError as error:
                found += [f"methods[{index}].{line[4:]}" for line in str(error).splitlines()[1:]]
        for label in sorted({label for label in labels if labels.count(label) > 1}):
            found.append(f"methods: {label} is given twice; set variant to tell them apart")
        counts = self.sequences if isinstance(self.sequences, list) else [self.sequences]
        if isinstance(self.sequences, list) and len(counts) != len(self.num_edits):
            found.append(
                f"sequences: {counts}; allowed: one number, or {len(self.num_edits)}, "
                "as in num_edits"
            )
        for key, values in (("num_edits", self.num_edits), ("sequences", counts)):
            if not values or min(values) < 1 or (key == "num_edits" and _repeats(values)):
                found.append(f"{key}: {values}; allowed: different numbers of at least 1")
        limits = [
            n for n in ("threads", "train_cases", "eval_cases") if getattr(self, n) is not None
        ]
        found += not_positive(self, [*limits, "base_seconds"], "")
        if not 0 < self.base_accuracy <= 1:
            found.append(f"base_accuracy: {self.base_accuracy}; allowed: above 0, at most 1")
        if not self.name or Path(self.name).name != self.name:
            found.append(f"name: {self.name!r}; allowed: the name of a folder")
        return found


def _repeats(values: Sequence[int]) -> bool:
    return len(set(values)) < len(values)
