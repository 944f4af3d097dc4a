"""What a benchmark is made of: base models, data sets and methods, as YAML."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from dafnet_plugin.schema import YamlConfig

if TYPE_CHECKING:
    from benchmarks.data import DataSpec, ModelSpec

ROOT = Path(__file__).resolve().parents[1]
"""The repository: where relative paths of a config start."""

SIZES = (
    *("n_layer", "n_embd", "n_head", "n_inner"),
    *("num_hidden_layers", "hidden_size", "num_attention_heads", "intermediate_size"),
)
"""Keys of a model that are handed to its ``transformers`` config: GPT-2's, then Llama's."""


@dataclass
class ModelConfig(YamlConfig):
    """A base model, trained on the facts of each data set, or one that exists.

    Attributes:
        name: what the table calls it, and what ``{model}`` in a method's paths stands for.
        family: ``gpt2`` or ``llama``: a tiny model of this kind is trained here.
        path: folder of an existing model instead, relative to the repository.
        base_accuracy: share of its facts that a model trained here shall know.
        base_seconds: time limit of its training.
        n_layer, n_embd, n_head, n_inner, num_hidden_layers, hidden_size, num_attention_heads,
            intermediate_size: other sizes than the usual ones of the family.
    """

    name: str
    family: str = ""
    path: str | None = None
    base_accuracy: float = 0.98
    base_seconds: float = 900.0
    n_layer: int | None = None
    n_embd: int | None = None
    n_head: int | None = None
    n_inner: int | None = None
    num_hidden_layers: int | None = None
    hidden_size: int | None = None
    num_attention_heads: int | None = None
    intermediate_size: int | None = None

    @property
    def spec(self) -> ModelSpec:
        """For :func:`benchmarks.data.prepare`."""
        from benchmarks.data import ModelSpec

        sizes = {name: value for name in SIZES if (value := getattr(self, name)) is not None}
        return ModelSpec(
            name=self.name,
            family=self.family,
            path=None if self.path is None else str(ROOT / self.path),
            sizes=sizes,
            base_accuracy=self.base_accuracy,
            base_seconds=self.base_seconds,
        )

    def problems(self) -> list[str]:
        """See :meth:`YamlConfig.problems`."""
        return self.spec.problems()


@dataclass
class DatasetConfig(YamlConfig):
    """Where facts come from.

    Attributes:
        name: what the table calls it.
        source: one of :data:`benchmarks.data.SOURCES`.
        train_cases, eval_cases: cases used, at most; null for all.
        options: of the source.
    """

    name: str
    source: str
    train_cases: int | None = None
    eval_cases: int | None = None
    options: dict = field(default_factory=dict)

    @property
    def spec(self) -> DataSpec:
        """For :func:`benchmarks.data.prepare`."""
        from benchmarks.data import DataSpec

        return DataSpec(self.name, self.source, self.train_cases, self.eval_cases, self.options)

    def problems(self) -> list[str]:
        """See :meth:`YamlConfig.problems`."""
        return self.spec.problems()


@dataclass
class MethodConfig(YamlConfig):
    """One row of the table.

    Attributes:
        name: the method's ``alg_name`` in EasyEdit.
        hparams: its YAML file for editing, relative to the repository; ``{model}`` and
            ``{family}`` stand for those of the base model.
        training: its YAML file for meta-training, likewise; null for methods without.
        variant: tells entries of one method apart ("paper", "as-is").
        repaired: mend what EasyEdit's implementation gets wrong in sequences of edits, see
            :func:`benchmarks.methods.repair_of`; false runs it as it is.
        options: of how the method is driven, see :func:`benchmarks.methods.get_adapter`.
        training_seconds: instead of the key of the same name for the whole benchmark.
        only_models, only_datasets: names of those it is run on; empty for all.
        max_edits: longer sequences are not run, for methods that take too long: a number for all,
            or by data set (``pararel``) or data set and model (``pararel/tiny-gpt2``).
        only_easyedit: the version that has it, ``wheel`` or ``git``; with the other one, the
            method is left out of the run. Null if both have it.
    """

    name: str
    hparams: str
    training: str | None = None
    variant: str = ""
    repaired: bool = True
    options: dict = field(default_factory=dict)
    training_seconds: float | str | None = None
    only_models: list[str] = field(default_factory=list)
    only_datasets: list[str] = field(default_factory=list)
    max_edits: int | dict[str, int] | None = None
    only_easyedit: Literal["wheel", "git"] | None = None

    @property
    def label(self) -> str:
        """What the table, and the folders of a run, call it."""
        return f"{self.name}-{self.variant}" if self.variant else self.name

    def problems(self) -> list[str]:
        """See :meth:`YamlConfig.problems`."""
        limits = self.max_edits if isinstance(self.max_edits, dict) else {"": self.max_edits}
        return [
            f"max_edits{f'.{place}' if place else ''}: {limit}; allowed: above 0"
            for place, limit in limits.items()
            if limit is not None and limit <= 0
        ]

    def runs_on(self, model: str, dataset: str) -> bool:
        """Whether it is run on a model with the facts of a data set."""
        return (not self.only_models or model in self.only_models) and (
            not self.only_datasets or dataset in self.only_datasets
        )

    def longest(self, model: str, dataset: str) -> float:
        """The longest sequence that it is run on there; infinity without a limit."""
        limits = self.max_edits
        if isinstance(limits, dict):
            limits = limits.get(f"{dataset}/{model}", limits.get(dataset))
        return math.inf if limits is None else limits

    def hparams_path(self, model: ModelConfig) -> Path:
        """The YAML file for editing this model."""
        return filled(self.hparams, model)

    def training_path(self, model: ModelConfig) -> Path | None:
        """The YAML file for meta-training on this model; None for a method without."""
        return None if self.training is None else filled(self.training, model)


def filled(path: str, model: ModelConfig) -> Path:
    """A path of the config with the names of a model in it."""
    return ROOT / path.replace("{model}", model.name).replace("{family}", model.family)
