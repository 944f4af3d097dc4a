"""What a benchmark runs, as YAML: models x data sets x methods x lengths x seeds."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any, Literal

from benchmarks.consistency import ConsistencyConfig
from benchmarks.entries import ROOT, DatasetConfig, MethodConfig, ModelConfig, filled
from benchmarks.targets import target_problems
from dafnet_plugin.errors import ConfigError
from dafnet_plugin.schema import YamlConfig, not_among, not_positive

__all__ = ["ROOT", "BenchmarkConfig", "DatasetConfig", "MethodConfig", "ModelConfig"]


@dataclass
class BenchmarkConfig(YamlConfig):
    """A grid: every method on every model with the facts of every data set, once a seed.

    Attributes:
        name: of the benchmark, and of its folder under ``.cache/benchmarks``.
        models, datasets, methods: keys of :class:`ModelConfig`, :class:`DatasetConfig` and
            :class:`MethodConfig`, once for each.
        num_edits: lengths of sequences, in edits; ``max`` stands for all evaluation cases.
        sequences: disjoint sequences of each length, at most: one number, or one for each entry
            of ``num_edits``.
        clip: a data set with fewer evaluation cases than a length asks for is run with all it
            has, once, and the results say how many those were; false refuses it.
        seeds: of the facts, the base model and the choice of sequences; each is added to the
            seed that a YAML file for meta-training gives.
        device: of everything: ``cpu``, ``cuda``, ``cuda:1``, ``mps`` or a CUDA index.
        threads: CPU threads of each process; null leaves torch's choice.
        training_seconds: how long the methods with meta-training train: a number; or the label
            of the entry (of ``methods``) whose training the others take as long as; or null,
            as their files say.
        consistency: whether factual consistency is measured as well: true, or keys of
            :class:`benchmarks.consistency.ConsistencyConfig`; for data sets whose source makes
            consistency pairs.
        targets: final averages that the benchmark sets out to reach, as the report shows:
            ``{label: {data set: {number of edits: average}}}``.
    """

    name: str
    models: list[dict]
    datasets: list[dict]
    methods: list[dict]
    num_edits: list[int | Literal["max"]]
    sequences: list[int] | int = 1
    clip: bool = True
    seeds: list[int] = field(default_factory=lambda: [0])
    device: str | int = "cpu"
    threads: int | None = None
    training_seconds: float | str | None = None
    consistency: bool | dict = False
    targets: dict = field(default_factory=dict)

    @property
    def model_entries(self) -> list[ModelConfig]:
        """The models as objects."""
        return [ModelConfig.from_dict(item) for item in self.models]

    @property
    def dataset_entries(self) -> list[DatasetConfig]:
        """The data sets as objects."""
        return [DatasetConfig.from_dict(item) for item in self.datasets]

    @property
    def entries(self) -> list[MethodConfig]:
        """The methods as objects."""
        return [MethodConfig.from_dict(item) for item in self.methods]

    @property
    def lengths(self) -> list[tuple[int | Literal["max"], int]]:
        """Pairs of (edits of a sequence, how many such sequences at most)."""
        counts = self.sequences
        if isinstance(counts, int):
            counts = [counts] * len(self.num_edits)
        return list(zip(self.num_edits, counts, strict=True))

    @property
    def consistency_settings(self) -> ConsistencyConfig | None:
        """How consistency is measured; None if it is not."""
        if self.consistency is False:
            return None
        return ConsistencyConfig.from_dict({} if self.consistency is True else self.consistency)

    def pace(self, entry: MethodConfig) -> float | str | None:
        """How long an entry trains: seconds, the label of another entry, or as its file says."""
        limit = self.training_seconds if entry.training_seconds is None else entry.training_seconds
        return None if limit == entry.label else limit

    def problems(self) -> list[str]:
        """See :meth:`YamlConfig.problems`."""
        found = [*self._list_problems(), *self._number_problems()]
        if not found:  # what follows needs whole entries
            found += [*self._path_problems(), *self._pace_problems()]
            found += self._consistency_problems()
            labels = [entry.label for entry in self.entries]
            found += target_problems(self.targets, labels, [d["name"] for d in self.datasets])
        return found

    def _list_problems(self) -> list[str]:
        found: list[str] = []
        kinds: list[tuple[str, type[YamlConfig]]] = [
            *(("models", ModelConfig), ("datasets", DatasetConfig), ("methods", MethodConfig))
        ]
        for key, kind in kinds:
            if not getattr(self, key):
                found.append(f"{key}: []; at least one is needed")
            for index, item in enumerate(getattr(self, key)):
                try:
                    kind.from_dict(item)
                except ConfigError as error:
                    lines = str(error).splitlines()[1:]
                    found += [f"{key}[{index}].{line.removeprefix('  - ')}" for line in lines]
        if found:
            return found
        names = {key: [item["name"] for item in getattr(self, key)] for key, _ in kinds[:2]}
        for key, given in names.items():
            found += [f"{key}: {name} is given twice" for name in _repeated(given)]
        places = [f"{d}/{m}" for d in names["datasets"] for m in names["models"]]
        places = [*names["datasets"], *places]
        for index, entry in enumerate(self.entries):
            for key, known in (("models", names["models"]), ("datasets", names["datasets"])):
                unknown = [name for name in getattr(entry, f"only_{key}") if name not in known]
                if unknown:
                    found.append(
                        f"methods[{index}].only_{key}: {unknown}; allowed: {', '.join(known)}"
                    )
            if isinstance(entry.max_edits, dict):
                found += not_among(f"methods[{index}].max_edits", entry.max_edits, places)
        labels = [
            (entry.label, model, dataset)
            for model in names["models"]
            for dataset in names["datasets"]
            for entry in self.entries
            if entry.runs_on(model, dataset)
        ]
        for label in dict.fromkeys(label for label, *_ in _repeated(labels)):
            found.append(f"methods: {label} is given twice; set variant to tell them apart")
        every = [*((key, name) for key, given in names.items() for name in given)]
        every += [("methods", entry.label) for entry in self.entries]
        found += [f"{key}: name: {name!r}; {_FOLDER}" for key, name in every if not _is_name(name)]
        return found

    def _number_problems(self) -> list[str]:
        found: list[str] = []
        counts = self.sequences if isinstance(self.sequences, list) else [self.sequences]
        if isinstance(self.sequences, list) and len(counts) != len(self.num_edits):
            found.append(
                f"sequences: {counts}; allowed: one number, or {len(self.num_edits)}, "
                "as in num_edits"
            )
        numbers = [n for n in self.num_edits if n != "max"]
        if not self.num_edits or min(numbers, default=1) < 1 or _repeated(self.num_edits):
            found.append(
                f"num_edits: {self.num_edits}; allowed: different numbers of at least 1, or max"
            )
        if not counts or min(counts) < 1:
            found.append(f"sequences: {counts}; allowed: numbers of at least 1")
        if not self.seeds or min(self.seeds) < 0 or _repeated(self.seeds):
            found.append(f"seeds: {self.seeds}; allowed: different numbers of at least 0")
        found += not_positive(self, ["threads"] if self.threads is not None else [], "")
        if not _is_name(self.name):
            found.append(f"name: {self.name!r}; {_FOLDER}")
        return found

    def _path_problems(self) -> list[str]:
        found: dict[str, None] = {}  # once each
        for index, entry in enumerate(self.entries):
            for model in self.model_entries:
                if not any(entry.runs_on(model.name, data["name"]) for data in self.datasets):
                    continue
                for key in ("hparams", "training"):
                    given = getattr(entry, key)
                    path = None if given is None else filled(given, model)
                    if path is not None and not path.is_file():
                        text = f"methods[{index}].{key}: {str(path)!r}; there is no such file"
                        found[text] = None
        return list(found)

    def _pace_problems(self) -> list[str]:
        """Of time limits: not positive, or of an entry that does not train where it is needed."""
        found: dict[str, None] = {}
        for entry in self.entries:
            where = "training_seconds" if entry.training_seconds is None else (
                f"{entry.label}: training_seconds"
            )  # fmt: skip
            pace = self.pace(entry)
            if entry.training is None or pace is None:
                continue
            if isinstance(pace, float | int):
                if pace <= 0:
                    found[f"{where}: {pace}; allowed: above 0"] = None
                continue
            setters = [e for e in self.entries if e.label == pace and e.training is not None]
            if any(isinstance(self.pace(setter), str) for setter in setters):
                found[f"{where}: {pace} itself trains as long as another entry"] = None
            for model in self.models:
                for data in self.datasets:
                    place = model["name"], data["name"]
                    if entry.runs_on(*place) and not any(s.runs_on(*place) for s in setters):
                        trained = [e.label for e in self.entries if e.training is not None]
                        found[
                            f"{where}: {pace!r}; allowed: seconds, or the label of an entry with "
                            f"training on {' and '.join(place)} ({', '.join(trained)})"
                        ] = None
        return list(found)

    def _consistency_problems(self) -> list[str]:
        """Of the settings, and of data sets whose source makes no pairs."""
        from benchmarks.sources import SOURCES

        try:
            if self.consistency_settings is None:
                return []
        except ConfigError as error:
            lines = str(error).splitlines()[1:]
            return [f"consistency.{line.removeprefix('  - ')}" for line in lines]
        able = ", ".join(name for name, source in SOURCES.items() if source.can_pair())
        return [
            f"consistency: the source {data.source} of the data set {data.name} makes no "
            f"consistency pairs; allowed: data sets of {able}, or consistency: false"
            for data in self.dataset_entries
            if not SOURCES[data.source].can_pair()
        ]


_FOLDER = "allowed: the name of a folder, of letters, digits and . _ + -"


def _is_name(text: str) -> bool:
    return bool(re.fullmatch(r"[\w+-][\w.+-]*", text))


def _repeated(values: Iterable[Any]) -> list[Any]:
    """The values that occur more than once, once each."""
    seen: list[Any] = list(values)
    return list(dict.fromkeys(value for value in seen if seen.count(value) > 1))
