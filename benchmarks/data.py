"""The facts of a benchmark: cases, text, and a base model that knows them."""

from __future__ import annotations

import json
import random
import sys
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from benchmarks.config import BenchmarkConfig
from dafnet_plugin.cases import EditCase, read_cases, write_cases
from dafnet_plugin.data import counterfact, tinyworld
from dafnet_plugin.data.base_model import BaseModelReport, train_base_model
from dafnet_plugin.data.pararel import build_pararel
from dafnet_plugin.errors import ConfigError, DataError
from dafnet_plugin.files import sha256, write_text

Statements = Sequence[tuple[str, str]]


@dataclass(frozen=True)
class Prepared:
    """Files that methods are trained and evaluated on.

    Attributes:
        train, evaluation: case files; ``texts`` the sentences the base model was trained on,
            once each, as ``{"prompt", "answer"}``.
        model: folder of the base model.
        report: how well it knows its facts.
    """

    train: Path
    evaluation: Path
    texts: Path
    model: Path
    report: BaseModelReport

    @property
    def model_hash(self) -> str:
        """Of the weights."""
        return sha256(self.model / "model.safetensors")


def prepare(config: BenchmarkConfig, data_dir: Path, out: Path) -> Prepared:
    """Make the facts and train the base model, or find both as they were left.

    Raises:
        DataError: a file of the data directory is missing or malformed.
        ConfigError: more edits are asked for than there are evaluation cases.
    """
    if config.source == "tinyworld":
        statements, probes = _tiny_world(config, out)
    elif config.source == "pararel":
        statements = probes = _pararel(config, _folder(data_dir, "pararel"), out)
    else:
        statements = probes = _counterfact(config, _folder(data_dir, "counterfact"), out)
    train, evaluation = _limited(config, out)
    lines = (json.dumps({"prompt": p, "answer": a}, ensure_ascii=False) + "\n" for p, a in probes)
    write_text(out / "statements.jsonl", "".join(lines))
    model = out / f"tiny-{config.family}"
    report = train_base_model(
        statements,
        probes,
        config.family,
        model,
        seed=config.seed,
        device=str(config.device),
        threads=config.threads,
        target_accuracy=config.base_accuracy,
        max_seconds=config.base_seconds,
    )
    print(
        f"{model}: {report.parameters / 1e6:.1f} M parameters, knows {report.accuracy:.1%} of "
        f"{report.probes} sentences; {'found' if report.cached else 'trained'}",
        file=sys.stderr,
    )
    return Prepared(train, evaluation, out / "statements.jsonl", model, report)


def _tiny_world(config: BenchmarkConfig, out: Path) -> tuple[Statements, Statements]:
    tinyworld.build(config.seed, out)
    world = tinyworld.load(out)
    return world.statements, world.probes


def _pararel(config: BenchmarkConfig, folder: Path, out: Path) -> Statements:
    world = build_pararel(folder, seed=config.seed)
    write_cases(out / "cases-train.jsonl", world.train)
    write_cases(out / "cases-eval.jsonl", world.evaluation)
    return world.statements()


def _counterfact(config: BenchmarkConfig, folder: Path, out: Path) -> Statements:
    """As many cases as asked for; a tiny model cannot know the facts of all ten thousand."""
    rng = random.Random(f"counterfact {config.seed}")
    train, evaluation = (
        counterfact.load_counterfact(folder / f"counterfact-{part}.json")
        for part in ("train", "edit")
    )
    train = rng.sample(train, min(config.train_cases or len(train), len(train)))
    unseen = unrelated(evaluation, train)
    evaluation = independent(rng.sample(unseen, len(unseen)))[: config.eval_cases]
    write_cases(out / "cases-train.jsonl", train)
    write_cases(out / "cases-eval.jsonl", evaluation)
    return counterfact.statements([*train, *evaluation])


def unrelated(cases: Iterable[EditCase], train: Iterable[EditCase]) -> list[EditCase]:
    """The cases whose subject no training case edits."""
    seen = {case.request.subject for case in train}
    return [case for case in cases if case.request.subject not in seen]


def independent(cases: Iterable[EditCase]) -> list[EditCase]:
    """Cases that do not get in each other's way, the first ones kept.

    One edit a subject, and no locality probe about a subject that is edited: what it should say
    after the edit would then be another question.
    """
    kept: list[EditCase] = []
    subjects: set[str] = set()
    asked: list[str] = []
    for case in cases:
        subject = case.request.subject or case.request.prompt
        prompts = [probe.prompt for probe in case.locality]
        if (
            subject in subjects
            or any(subject in prompt for prompt in asked)
            or any(name in prompt for name in subjects for prompt in prompts)
        ):
            continue
        kept.append(case)
        subjects.add(subject)
        asked += prompts
    return kept


def _limited(config: BenchmarkConfig, out: Path) -> tuple[Path, Path]:
    """The case files with no more cases than the config wants."""
    found = []
    for part, limit in (("train", config.train_cases), ("eval", config.eval_cases)):
        path = out / f"cases-{part}.jsonl"
        cases = read_cases(path)
        if limit is not None and limit < len(cases):
            path = out / f"cases-{part}-{limit}.jsonl"
            write_cases(path, cases[:limit])
        found.append(path)
        if part == "eval" and min(len(cases), limit or len(cases)) < max(config.num_edits):
            raise ConfigError(
                f"{config.name}: num_edits: {max(config.num_edits)}; allowed: at most "
                f"{min(len(cases), limit or len(cases))}, the number of evaluation cases"
            )
    return found[0], found[1]


def _folder(data_dir: Path, name: str) -> Path:
    folder = data_dir / name
    if not folder.is_dir():
        raise DataError(
            f"{folder}: there is no such folder; say with --data-dir where the real data are"
        )
    return folder
