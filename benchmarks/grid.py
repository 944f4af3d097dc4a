"""The grid: which cells there are, which of them are asked for, and their sequences of edits."""

from __future__ import annotations

import math
import random
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from benchmarks.config import BenchmarkConfig, DatasetConfig, MethodConfig, ModelConfig
from benchmarks.jobs import Sequence as EditSequence
from dafnet_plugin.errors import ConfigError, did_you_mean


@dataclass(frozen=True)
class Setting:
    """A model that knows the facts of a data set, of one seed."""

    dataset: DatasetConfig
    model: ModelConfig
    seed: int

    @property
    def name(self) -> str:
        """What messages call it; also its folder, relative to that of the run."""
        return f"{self.dataset.name}/{self.model.name}/seed-{self.seed}"

    def __hash__(self) -> int:
        return hash(self.name)


@dataclass(frozen=True)
class Cell:
    """One method in a setting: what one process runs."""

    setting: Setting
    entry: MethodConfig

    @property
    def name(self) -> str:
        """What messages call it; also its folder, relative to that of the run."""
        return f"{self.setting.name}/{self.entry.label}"

    @property
    def longest(self) -> float:
        """The longest sequence it is run on."""
        return self.entry.longest(self.setting.model.name, self.setting.dataset.name)

    def __hash__(self) -> int:
        return hash(self.name)


class Filter:
    """What ``--only`` asks for.

    Args:
        words: names or labels of methods, and ``dataset=NAME``, ``model=NAME``, ``seed=NUMBER``,
            each any number of times; a cell must match one word of each kind that is given.
            None or none: all cells.

    Raises:
        ConfigError: a word that matches nothing in the config.
    """

    KEYS = ("dataset", "model", "seed")

    def __init__(self, config: BenchmarkConfig, words: Sequence[str] | None = None) -> None:
        known = {
            "dataset": [entry.name for entry in config.dataset_entries],
            "model": [entry.name for entry in config.model_entries],
            "seed": [str(seed) for seed in config.seeds],
            "method": [n for e in config.entries for n in dict.fromkeys((e.label, e.name))],
        }
        self._wanted: dict[str, set[str]] = {}
        for word in words or ():
            key, equals, value = word.partition("=")
            if not equals:
                key, value = "method", word
            if key not in known:
                raise ConfigError(
                    f"--only {word}: unknown key{did_you_mean(key, self.KEYS)}; allowed: names of "
                    f"methods, and {', '.join(f'{key}=...' for key in self.KEYS)}"
                )
            if value not in known[key]:
                raise ConfigError(
                    f"--only {word}: not in the config{did_you_mean(value, known[key])}; "
                    f"it has {', '.join(dict.fromkeys(known[key]))}"
                )
            self._wanted.setdefault(key, set()).add(value)

    def __call__(self, cell: Cell) -> bool:
        """Whether a cell is asked for."""
        names = {
            "dataset": {cell.setting.dataset.name},
            "model": {cell.setting.model.name},
            "seed": {str(cell.setting.seed)},
            "method": {cell.entry.name, cell.entry.label},
        }
        return all(names[key] & wanted for key, wanted in self._wanted.items())


def cells_of(config: BenchmarkConfig) -> list[Cell]:
    """Every cell: by seed, data set and model, methods in the order of the config."""
    return [
        Cell(Setting(dataset, model, seed), entry)
        for seed in config.seeds
        for dataset in config.dataset_entries
        for model in config.model_entries
        for entry in config.entries
        if entry.runs_on(model.name, dataset.name)
    ]


def choose_sequences(
    config: BenchmarkConfig, seed: int, cases: int, longest: float = math.inf
) -> list[EditSequence]:
    """Disjoint sequences of each length; the same seed and number of cases give the same.

    Args:
        longest: sequences beyond this are left out.
        cases: how many evaluation cases there are. A longer length becomes one sequence of all
            of them, unless another length is as long already.

    Raises:
        ConfigError: there are no cases; or fewer than a length, and the config has ``clip: false``.
    """
    if not cases:
        raise ConfigError(f"{config.name}: there are no evaluation cases")
    order = list(range(cases))
    random.Random(f"sequences {seed}").shuffle(order)
    counts: dict[int, int] = {}
    for length, count in config.lengths:
        if length != "max" and length > cases and not config.clip:
            raise ConfigError(
                f"num_edits: {length}; allowed: at most {cases}, the number of evaluation cases "
                "(clip: true runs what there is)"
            )
        edits = cases if length == "max" else min(length, cases)
        counts[edits] = max(counts.get(edits, 0), min(count, cases // edits))
    return [
        EditSequence(edits, number, order[number * edits : (number + 1) * edits])
        for edits, count in sorted(counts.items())
        for number in range(count)
        if edits <= longest
    ]


def clipped(config: BenchmarkConfig, cases: int) -> list[int]:
    """The lengths that so many evaluation cases cannot fill."""
    return [length for length in config.num_edits if length != "max" and length > cases]


def folder_of(out: Path, place: Setting | Cell) -> Path:
    """Where the files of a setting, or of a method's meta-training in it, go."""
    return out / place.name
