"""The facts of a benchmark as files, and a base model that knows them."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from benchmarks.sources import SOURCES, Task, World
from dafnet_plugin.cases import write_cases
from dafnet_plugin.data.base_model import (
    FAMILIES,
    SIZES,
    BaseModelConfig,
    BaseModelReport,
    resized,
    train_base_model,
)
from dafnet_plugin.data.statements import Statement
from dafnet_plugin.errors import ConfigError, did_you_mean
from dafnet_plugin.files import write_json, write_text


@dataclass(frozen=True)
class DataSpec:
    """Where facts come from.

    Attributes:
        name: of the data set in the benchmark.
        source: one of :data:`benchmarks.sources.SOURCES`.
        train_cases, eval_cases: cases used, at most; None for as many as the source has by
            default.
        options: of the source, see its class.
    """

    name: str
    source: str
    train_cases: int | None = None
    eval_cases: int | None = None
    options: Mapping[str, Any] = field(default_factory=dict)

    def problems(self) -> list[str]:
        """What is wrong with it, each with its key."""
        found = [
            f"{key}: {value}; allowed: above 0, or null"
            for key in ("train_cases", "eval_cases")
            if (value := getattr(self, key)) is not None and value < 1
        ]
        if self.source not in SOURCES:
            hint = did_you_mean(self.source, SOURCES)
            return [*found, f"source: {self.source!r}{hint}; allowed: {', '.join(SOURCES)}"]
        try:
            SOURCES[self.source].from_dict(dict(self.options))
        except ConfigError as error:
            found += [f"options.{line[4:]}" for line in str(error).splitlines()[1:]]
        return found


@dataclass(frozen=True)
class ModelSpec:
    """A base model.

    Attributes:
        name: of the model in the benchmark.
        family: ``"gpt2"`` or ``"llama"``: a tiny model of this kind is trained on the facts.
        path: folder of an existing model, which is used as it is.
        sizes: of a model trained here, by their names in ``transformers``.
        base_accuracy: share of the facts that a model trained here shall know.
        base_seconds: time limit of its training.
    """

    name: str
    family: str = ""
    path: str | None = None
    sizes: Mapping[str, int] = field(default_factory=dict)
    base_accuracy: float = 0.98
    base_seconds: float = 900.0

    def problems(self) -> list[str]:
        """What is wrong with it, each with its key."""
        if self.path is not None:
            if self.sizes:
                names = ", ".join(self.sizes)
                return [f"{names}: only for models trained here, which have no path"]
            if not (Path(self.path) / "config.json").is_file():
                return [f"path: {self.path!r}; there is no model (config.json) in it"]
            return []
        found = []
        if self.family not in FAMILIES:
            hint = did_you_mean(self.family, FAMILIES)
            found.append(
                f"family: {self.family!r}{hint}; allowed: {', '.join(FAMILIES)}, or a path"
            )
        elif unknown := [name for name in self.sizes if name not in SIZES[self.family]]:
            allowed = ", ".join(SIZES[self.family])
            found.append(f"{', '.join(unknown)}: not a size of {self.family}; it has {allowed}")
        else:
            try:
                resized(BaseModelConfig(), self.family, self.sizes)
            except ConfigError as error:
                found.append(str(error))
        if not 0 < self.base_accuracy <= 1:
            found.append(f"base_accuracy: {self.base_accuracy}; allowed: above 0, at most 1")
        if self.base_seconds <= 0:
            found.append(f"base_seconds: {self.base_seconds}; allowed: above 0")
        return found


@dataclass(frozen=True)
class Facts:
    """Files of facts.

    Attributes:
        train, evaluation: cases.
        texts: what the base model shall know, each sentence once, as ``{"prompt", "answer"}``.
        bystanders: facts, in the same form, that no case edits and no locality probe of an
            evaluation asks for.
        train_cases, eval_cases: their number.
    """

    train: Path
    evaluation: Path
    texts: Path
    bystanders: Path
    train_cases: int
    eval_cases: int


@dataclass(frozen=True)
class Prepared:
    """Files that methods are trained and evaluated on.

    Attributes:
        train, evaluation, texts, bystanders: see :class:`Facts`.
        model: folder of the base model.
        report: how well it knows its facts; None for a model that existed.
    """

    train: Path
    evaluation: Path
    texts: Path
    bystanders: Path
    model: Path
    report: BaseModelReport | None


def prepare(
    spec: DataSpec,
    model: ModelSpec,
    seed: int,
    data_dir: Path,
    out: Path,
    device: str = "cpu",
    threads: int | None = None,
    beside: Iterable[Path] = (),
) -> Prepared:
    """Make the facts and train the base model, or find it as it was left.

    Args:
        seed: of the facts and of the base model.
        data_dir: where the files of real data sets are, each in a folder of its source's name.
        out: folder for all that is made.
        device, threads: of training.
        beside: folders of other calls: a base model there that was made of the same facts in the
            same way is copied instead of trained once more.

    Raises:
        DataError: a file of the data directory is missing or malformed.
        ConfigError: the data set or the model is described wrongly; lists every problem.
    """
    if problems := model.problems():
        raise ConfigError(_listed(model.name, problems))
    facts, world = _write_facts(spec, seed, data_dir, out)
    files = (facts.train, facts.evaluation, facts.texts, facts.bystanders)
    if model.path is not None:
        return Prepared(*files, Path(model.path), None)
    name = f"tiny-{model.family}"
    report = train_base_model(
        world.statements,
        world.probes,
        model.family,
        out / name,
        seed=seed,
        device=device,
        threads=threads,
        target_accuracy=model.base_accuracy,
        max_seconds=model.base_seconds,
        sizes=model.sizes,
        others=[folder / name for folder in beside],
    )
    write_json(out / "base-report.json", asdict(report))
    return Prepared(*files, Path(report.directory), report)


def prepare_facts(spec: DataSpec, seed: int, data_dir: Path, out: Path) -> Facts:
    """Make the facts only, which takes seconds.

    Raises:
        DataError: a file of the data directory is missing or malformed.
        ConfigError: the data set is described wrongly; lists every problem.
    """
    return _write_facts(spec, seed, data_dir, out)[0]


def _write_facts(spec: DataSpec, seed: int, data_dir: Path, out: Path) -> tuple[Facts, World]:
    if problems := spec.problems():
        raise ConfigError(_listed(spec.name, problems))
    options = SOURCES[spec.source].from_dict(dict(spec.options))
    world = options.world(Task(seed, data_dir, out, spec.train_cases, spec.eval_cases))
    train, evaluation = world.train[: spec.train_cases], world.evaluation[: spec.eval_cases]
    facts = Facts(
        train=out / "cases-train.jsonl",
        evaluation=out / "cases-eval.jsonl",
        texts=out / "statements.jsonl",
        bystanders=out / "bystanders.jsonl",
        train_cases=len(train),
        eval_cases=len(evaluation),
    )
    write_cases(facts.train, train)
    write_cases(facts.evaluation, evaluation)
    _write_statements(facts.texts, world.probes)
    _write_statements(facts.bystanders, world.bystanders)
    return facts, world


def _write_statements(path: Path, statements: Iterable[Statement]) -> None:
    lines = (json.dumps(item._asdict(), ensure_ascii=False) + "\n" for item in statements)
    write_text(path, "".join(lines))


def _listed(name: str, problems: Iterable[str]) -> str:
    found = list(problems)
    return f"{name}: {len(found)} problem(s)\n" + "\n".join(f"  - {line}" for line in found)
