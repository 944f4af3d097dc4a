"""ParaRel: real facts (Wikidata triples) and paraphrase patterns.

A relation has ``triples/<id>.jsonl`` (``sub_label``, ``obj_label``) and
``patterns/<id>.jsonl`` (``"[X] was born in [Y]."``). Only patterns whose last word is ``[Y]``
are used: they split into a prompt and an answer. The base model is trained on every chosen
fact in every chosen pattern, so all prompts of the edit cases are text it knows.
"""

from __future__ import annotations

import random
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from dafnet_plugin.cases import EditCase, EditRequest, Probe
from dafnet_plugin.data.records import Place, Records
from dafnet_plugin.data.statements import Statement
from dafnet_plugin.errors import ConfigError, DataError
from dafnet_plugin.files import read_jsonl

GENERALITY_PROBES = 2


@dataclass(frozen=True, slots=True)
class ParaRelFact:
    """A triple with the prompts that ask for its object (one for each pattern used)."""

    relation: str
    subject: str
    answer: str
    prompts: tuple[str, ...]

    def statements(self) -> list[Statement]:
        """The fact in every pattern."""
        return [Statement(prompt, self.answer) for prompt in self.prompts]


@dataclass(frozen=True, slots=True)
class ParaRelWorld:
    """Facts for a base model, and the edit cases on them.

    Attributes:
        facts: all chosen facts; subjects are unique.
        train: cases for meta-training; their locality probes are about subjects of other
            training cases.
        evaluation: cases on other subjects; their locality probes are about the subjects of
            neither, so that no edit of an evaluation changes what a probe should say, and no
            training step has protected it.
        bystanders: facts about subjects that no case edits and no probe asks about.
    """

    facts: tuple[ParaRelFact, ...]
    train: tuple[EditCase, ...]
    evaluation: tuple[EditCase, ...]
    bystanders: tuple[ParaRelFact, ...] = ()

    def statements(self) -> list[Statement]:
        """The text that the base model is trained on, which is also what it shall know."""
        return [statement for fact in self.facts for statement in fact.statements()]


def build_pararel(
    directory: str | Path,
    *,
    seed: int = 0,
    relations: int = 25,
    facts_per_relation: int = 76,
    min_patterns: int = 3,
    max_patterns: int = 6,
    train_share: float = 0.61,
    eval_share: float = 0.31,
    bystander_share: float = 0.0,
) -> ParaRelWorld:
    """Choose facts and make edit cases.

    Args:
        directory: holds ``triples/`` and ``patterns/``.
        seed: of the choice of facts, the split, the new objects and the probes.
        relations: at most so many, those with most usable facts first.
        facts_per_relation: at most so many.
        min_patterns: relations with fewer usable patterns are left out.
        max_patterns: patterns used for each relation.
        train_share: share of the facts (hence subjects) edited in meta-training.
        eval_share: share edited in evaluations.
        bystander_share: share that is left alone; the rest is for the locality probes of
            evaluations.

    Raises:
        ConfigError: the shares leave nothing for the locality probes.
        DataError: a file is missing or malformed, or no relation is usable.
    """
    shares = (train_share, eval_share, bystander_share)
    check_shares(*shares)
    rng = random.Random(f"pararel {seed}")
    patterns = _usable_patterns(Path(directory) / "patterns", min_patterns, max_patterns)
    triples = {name: _triples(Path(directory) / "triples" / f"{name}.jsonl") for name in patterns}
    facts = _choose(patterns, triples, relations, facts_per_relation, rng)
    split = _split(facts, *shares)
    return ParaRelWorld(
        facts=tuple(facts),
        train=_cases("train", split["train"], split["train"], rng),
        evaluation=_cases("eval", split["eval"], split["rest"], rng),
        bystanders=tuple(split["bystanders"]),
    )


def check_shares(train_share: float, eval_share: float, bystander_share: float) -> None:
    """Check that something is left for the locality probes of evaluations.

    Raises:
        ConfigError: it is not, or a share is negative.
    """
    total = train_share + eval_share + bystander_share
    if not (train_share > 0 and eval_share > 0 and bystander_share >= 0 and total < 1):
        raise ConfigError(
            f"train_share is {train_share}, eval_share {eval_share} and bystander_share "
            f"{bystander_share}; positive numbers (the last may be 0) with a sum below 1 are needed"
        )


def load_pararel(
    path: str | Path,
    *,
    size: int | None = None,
    skip_bad: bool = False,
    split: str = "eval",
    seed: int = 0,
) -> Records[EditCase]:
    """Load the cases of one split (``"train"`` or ``"eval"``) of a ParaRel directory.

    ``skip_bad`` is taken for the sake of one interface; a broken line of a ParaRel file is
    always an error, because leaving it out would change which facts are chosen.
    """
    if split not in ("train", "eval"):
        raise DataError(f"split is {split!r}; allowed: 'train', 'eval'")
    world = build_pararel(path, seed=seed)
    return Records((world.train if split == "train" else world.evaluation)[:size])


def _usable_patterns(folder: Path, minimum: int, maximum: int) -> dict[str, list[str]]:
    """Map relation -> prompt patterns with ``[X]`` in them, the answer following."""
    files = sorted(folder.glob("P*.jsonl"), key=lambda path: int(path.stem[1:]))
    if not files:
        raise DataError(f"{folder}: no P*.jsonl files; ParaRel's patterns are needed")
    usable = {}
    for path in files:
        prompts: dict[str, None] = {}
        for index, record in enumerate(read_jsonl(path)):
            pattern = Place(path, index).text(record, "pattern").rstrip(" .")
            prompt = pattern.removesuffix("[Y]").rstrip()
            if pattern.endswith("[Y]") and prompt.count("[X]") == 1 and "[Y]" not in prompt:
                prompts[prompt] = None
        if len(prompts) >= minimum:
            usable[path.stem] = list(prompts)[:maximum]
    if not usable:
        raise DataError(f"{folder}: no relation with {minimum} patterns that end in [Y]")
    return usable


def _triples(path: Path) -> list[tuple[str, str]]:
    """Return (subject, object) pairs in file order."""
    return [
        (Place(path, index).text(record, "sub_label"), Place(path, index).text(record, "obj_label"))
        for index, record in enumerate(read_jsonl(path))
    ]


def _choose(
    patterns: dict[str, list[str]],
    triples: dict[str, list[tuple[str, str]]],
    relations: int,
    facts_per_relation: int,
    rng: random.Random,
) -> list[ParaRelFact]:
    """Pick facts so that no subject occurs twice.

    Unique subjects keep the split by subject simple, and make sure that two relations whose
    patterns read alike never give one prompt two answers.
    """
    ranked = sorted(patterns, key=lambda name: -len({s for s, _ in triples[name]}))[:relations]
    # Scarce relations choose first, else common ones could take their subjects.
    taken: set[str] = set()
    facts: list[ParaRelFact] = []
    for name in reversed(ranked):
        pairs = list(triples[name])
        rng.shuffle(pairs)
        chosen = 0
        for subject, answer in pairs:
            # A subject that names its object ("University of Paris", "Paris") is a fact one
            # can read off the prompt: nothing to edit.
            if subject in taken or answer.lower() in subject.lower():
                continue
            if chosen == facts_per_relation:
                break
            taken.add(subject)
            chosen += 1
            prompts = tuple(pattern.replace("[X]", subject) for pattern in patterns[name])
            facts.append(ParaRelFact(name, subject, answer, prompts))
    return facts


def _split(
    facts: Sequence[ParaRelFact], train_share: float, eval_share: float, bystander_share: float
) -> dict[str, list[ParaRelFact]]:
    """Deal the facts of each relation out, so that every part has facts of every relation."""
    parts: dict[str, list[ParaRelFact]] = {"train": [], "eval": [], "rest": [], "bystanders": []}
    for members in _by_relation(facts).values():
        train = round(len(members) * train_share)
        evaluation = train + round(len(members) * eval_share)
        asked = len(members) - round(len(members) * bystander_share)
        parts["train"] += members[:train]
        parts["eval"] += members[train:evaluation]
        parts["rest"] += members[evaluation:asked]
        parts["bystanders"] += members[asked:]
    return parts


def _by_relation(facts: Iterable[ParaRelFact]) -> dict[str, list[ParaRelFact]]:
    groups: dict[str, list[ParaRelFact]] = defaultdict(list)
    for fact in facts:
        groups[fact.relation].append(fact)
    return groups


def _cases(
    split: str,
    facts: Sequence[ParaRelFact],
    asked: Sequence[ParaRelFact],
    rng: random.Random,
) -> tuple[EditCase, ...]:
    """One case for each fact, in random order, with locality probes that ask for ``asked``."""
    related, objects = _by_relation(asked), _by_relation(facts)
    cases: list[EditCase] = []
    for fact in rng.sample(facts, len(facts)):
        targets = sorted({other.answer for other in objects[fact.relation]} - {fact.answer})
        neighbours = [other for other in related[fact.relation] if other is not fact]
        strangers = [other for other in asked if other.relation != fact.relation]
        if targets and neighbours and strangers:
            locality = (rng.choice(neighbours), rng.choice(strangers))
            cases.append(_case(f"pararel-{split}-{len(cases)}", fact, targets, locality, rng))
    return tuple(cases)


def _case(
    case_id: str,
    fact: ParaRelFact,
    objects: Sequence[str],
    locality: Iterable[ParaRelFact],
    rng: random.Random,
) -> EditCase:
    target = rng.choice(objects)
    prompts = list(fact.prompts)
    rng.shuffle(prompts)
    return EditCase(
        case_id=case_id,
        request=EditRequest(prompts[0], target, fact.subject, fact.answer),
        generality=tuple(Probe(prompt, target) for prompt in prompts[1 : 1 + GENERALITY_PROBES]),
        locality=tuple(Probe(rng.choice(other.prompts), other.answer) for other in locality),
    )
