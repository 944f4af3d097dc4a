"""Writes a tiny world to a directory, in every format that is needed."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from dafnet_plugin.cases import EditCase, write_cases
from dafnet_plugin.data.case_files import load_cases
from dafnet_plugin.data.records import Records
from dafnet_plugin.data.statements import Statement
from dafnet_plugin.data.tinyworld.edits import WorldCase, make_cases, unrelated_facts
from dafnet_plugin.data.tinyworld.generate import WorldConfig, generate
from dafnet_plugin.data.tinyworld.split import EVAL, TRAIN, split_subjects
from dafnet_plugin.data.tinyworld.text import (
    NQ,
    NQ_PREFIX,
    Line,
    fact_exposures,
    plain_prompts,
    write_world,
)
from dafnet_plugin.data.tinyworld.world import Key, World
from dafnet_plugin.errors import DataError
from dafnet_plugin.files import read_json, read_jsonl, sha256, write_json, write_text

FORMAT_VERSION = 2  # raised whenever the same seed would give other bytes
MANIFEST = "world.json"
FILES = (
    "text.jsonl",
    "entities.jsonl",
    "facts.jsonl",
    "bystanders.jsonl",
    *(f"cases-{part}.jsonl" for part in (TRAIN, EVAL)),
    *(
        f"{name}-{part}.json"
        for name in ("zsre", "counterfact", "ripple")
        for part in (TRAIN, EVAL)
    ),
)


@dataclass(frozen=True, slots=True)
class TinyWorld:
    """A generated world with its text and cases.

    Attributes:
        split: ``"train"``, ``"eval"`` or ``"bystander"`` for each subject.
        lines: the text, each sentence once with its count.
        train, evaluation: cases in random order.
        bystanders: facts that no case edits and no locality probe of an evaluation asks for.
    """

    world: World
    split: Mapping[str, str]
    lines: Sequence[Line]
    train: Sequence[WorldCase]
    evaluation: Sequence[WorldCase]
    bystanders: Sequence[Statement]


@dataclass(frozen=True, slots=True)
class WorldData:
    """What training and evaluation need of a built world.

    Attributes:
        statements: the text, each sentence as often as the world says it.
        probes: each sentence once: what a base model shall know.
        bystanders: facts that no case edits and no locality probe of an evaluation asks for.
    """

    statements: list[Statement]
    probes: list[Statement]
    train: list[EditCase]
    evaluation: list[EditCase]
    bystanders: list[Statement]


def make(seed: int, config: WorldConfig | None = None) -> TinyWorld:
    """Generate a world in memory; the same seed gives the same one."""
    config = config or WorldConfig()
    world = generate(seed, config)
    split = split_subjects(world, seed, config)
    lines = write_world(world, split, seed, config)
    stated = plain_prompts(lines)
    evaluation = make_cases(world, split, stated, EVAL, seed, config.edits_per_subject)
    return TinyWorld(
        world=world,
        split=split,
        lines=lines,
        train=make_cases(world, split, stated, TRAIN, seed),
        evaluation=evaluation,
        bystanders=[
            Statement(stated[key][0], world.label(world.objects(key)[0]))
            for key in unrelated_facts(world, split, evaluation, seed)
        ],
    )


def build(seed: int, directory: str | Path, config: WorldConfig | None = None) -> Path:
    """Write a world: text, entities, facts, cases, and the cases as published formats.

    The manifest ``world.json`` is written last, with the hash of every other file; a
    directory whose manifest fits is complete and is left as it is.

    Returns:
        The directory.
    """
    directory, config = Path(directory), config or WorldConfig()
    if _is_built(directory, seed, config):
        return directory
    tiny = make(seed, config)
    entities = tiny.world.entities.values()
    write_text(directory / "text.jsonl", _lines(asdict(line) for line in tiny.lines))
    write_text(directory / "entities.jsonl", _lines(asdict(entity) for entity in entities))
    write_text(directory / "facts.jsonl", _lines(_facts(tiny)))
    bystanders = _lines(statement._asdict() for statement in tiny.bystanders)
    write_text(directory / "bystanders.jsonl", bystanders)
    for part, cases in ((TRAIN, tiny.train), (EVAL, tiny.evaluation)):
        write_cases(directory / f"cases-{part}.jsonl", [item.case for item in cases])
        write_json(directory / f"zsre-{part}.json", list(zsre_records(tiny, cases)))
        write_json(directory / f"counterfact-{part}.json", list(counterfact_records(cases)))
        write_json(directory / f"ripple-{part}.json", [item.record.to_json() for item in cases])
    counts = {"facts": len(list(tiny.world.facts())), "sentences": len(tiny.lines)}
    write_json(
        directory / MANIFEST,
        {
            **_recipe(seed, config),
            "counts": counts | {TRAIN: len(tiny.train), EVAL: len(tiny.evaluation)},
            "sha256": {name: sha256(directory / name) for name in FILES},
        },
    )
    return directory


def load(directory: str | Path) -> WorldData:
    """Read back what :func:`build` wrote.

    Raises:
        DataError: the directory is not a built world, or a file has been changed.
    """
    directory = Path(directory)
    manifest = read_json(directory / MANIFEST)
    for name, digest in manifest.get("sha256", {}).items():
        if not (directory / name).is_file() or sha256(directory / name) != digest:
            raise DataError(f"{directory / name} is not as {MANIFEST} says; build the world again")
    lines = [Line(**record) for record in read_jsonl(directory / "text.jsonl")]
    return WorldData(
        statements=statements(lines),
        probes=list(dict.fromkeys(Statement(line.prompt, line.answer) for line in lines)),
        train=load_cases(directory / f"cases-{TRAIN}.jsonl"),
        evaluation=load_cases(directory / f"cases-{EVAL}.jsonl"),
        bystanders=[Statement(**item) for item in read_jsonl(directory / "bystanders.jsonl")],
    )


def load_tinyworld(
    path: str | Path, *, size: int | None = None, skip_bad: bool = False, split: str = EVAL
) -> Records[EditCase]:
    """Load the cases of one split (``"train"`` or ``"eval"``) of a built world.

    Raises:
        DataError: there is no such split, or a record is malformed.
    """
    if split not in (TRAIN, EVAL):
        raise DataError(f"split is {split!r}; allowed: {TRAIN!r}, {EVAL!r}")
    return load_cases(Path(path) / f"cases-{split}.jsonl", size=size, skip_bad=skip_bad)


def statements(lines: Iterable[Line]) -> list[Statement]:
    """The text, each sentence as often as its count."""
    return [Statement(line.prompt, line.answer) for line in lines for _ in range(line.count)]


def zsre_records(tiny: TinyWorld, cases: Iterable[WorldCase]) -> Iterable[dict[str, Any]]:
    """Cases with MEND's fields; locality is asked the way EasyEdit insists on.

    The text has some sentences with that prefix, and locality uses only those: about facts of
    the training subjects in training, of bystanders in evaluations, as everywhere.
    """
    asked = {line.key: line for line in tiny.lines if line.kind == NQ}
    pools: dict[str, list[Line]] = {}
    for line in asked.values():
        pools.setdefault(tiny.split[line.subject], []).append(line)
    for index, item in enumerate(cases):
        request = item.case.request
        line = _nq_line(tiny, item, asked, pools, index)
        truth = request.ground_truth or ""
        yield {
            "subject": request.subject,
            "src": request.prompt,
            "pred": truth,
            "rephrase": item.case.generality[0].prompt,
            "alt": request.target_new,
            "answers": [truth],
            "loc": line.prompt,
            "loc_ans": line.answer,
            "cond": f"{truth} >> {request.target_new} || {request.prompt}",
        }


def _nq_line(
    tiny: TinyWorld,
    item: WorldCase,
    asked: Mapping[Key, Line],
    pools: Mapping[str, list[Line]],
    index: int,
) -> Line:
    """The prefixed sentence of a locality fact, or of another fact about such subjects."""
    for key in item.locality_facts:
        if key in asked:
            return asked[key]
    pool = pools[tiny.split[item.locality_facts[0][0]]]
    changes = tiny.world.changes(item.edit)
    for step in range(len(pool)):
        line = pool[(index + step) % len(pool)]
        if line.subject != item.edit.subject and line.key not in changes:
            return line
    raise DataError(f"no text with {NQ_PREFIX!r} is left for {item.case.case_id}")


def counterfact_records(cases: Iterable[WorldCase]) -> Iterable[dict[str, Any]]:
    """Cases in EasyEdit's flat form."""
    for index, item in enumerate(cases):
        request, locality = item.case.request, item.case.locality[0]
        yield {
            "case_id": index,
            "prompt": request.prompt,
            "target_new": request.target_new,
            "subject": request.subject,
            "ground_truth": request.ground_truth,
            "rephrase_prompt": item.case.generality[-1].prompt,
            "locality_prompt": locality.prompt,
            "locality_ground_truth": locality.answer,
        }


def _facts(tiny: TinyWorld) -> Iterable[dict[str, Any]]:
    exposures = fact_exposures(tiny.lines)
    for key, objects in tiny.world.facts():
        relation = tiny.world.relations[key[1]]
        yield {
            "subject": key[0],
            "relation": key[1],
            "objects": list(objects),
            "subject_label": tiny.world.label(key[0]),
            "relation_label": relation.label,
            "object_labels": [tiny.world.label(entity) for entity in objects],
            "composed": relation.path is not None,
            "split": tiny.split[key[0]],
            "exposure": exposures[key],
        }


def _recipe(seed: int, config: WorldConfig) -> dict[str, Any]:
    return {"format": FORMAT_VERSION, "seed": seed, "config": asdict(config)}


def _is_built(directory: Path, seed: int, config: WorldConfig) -> bool:
    if not (directory / MANIFEST).is_file():
        return False
    try:
        manifest = read_json(directory / MANIFEST)
        recipe = {key: manifest[key] for key in ("format", "seed", "config")}
        digests = manifest["sha256"]
    except (DataError, KeyError, TypeError):
        return False
    return recipe == _recipe(seed, config) and all(
        (directory / name).is_file() and sha256(directory / name) == digests.get(name)
        for name in FILES
    )


def _lines(records: Iterable[dict[str, Any]]) -> str:
    return "".join(json.dumps(record, ensure_ascii=False) + "\n" for record in records)
