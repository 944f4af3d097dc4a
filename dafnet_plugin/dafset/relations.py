"""The relations that samples are about, with their sentences: ``relations.yaml`` or your own."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from importlib import resources
from pathlib import Path
from typing import Any

from dafnet_plugin.errors import ConfigError, did_you_mean
from dafnet_plugin.schema import YamlConfig

MIN_CLOZE, MIN_QUESTIONS = 4, 2
"""What the shipped table has of every relation; a table of your own needs two sentences."""
PROPERTY, CLASS = re.compile(r"P[1-9]\d*"), re.compile(r"Q[1-9]\d*")


@dataclass(frozen=True, slots=True)
class EntityType:
    """What a subject or an object is.

    Attributes:
        classes: Wikidata classes, any of which will do; none: not checked.
        domain: the field that facts about such subjects are counted under.
    """

    name: str
    label: str
    classes: tuple[str, ...] = ()
    domain: str = "other"


@dataclass(frozen=True, slots=True)
class Relation:
    """A Wikidata property and how it is said.

    Attributes:
        id: the property, ``"P36"``.
        subject, object: names of types.
        cloze: sentences with ``[X]`` for the subject and ``[Y]`` for the object at the end.
        questions: questions with ``[X]``; the object is the answer.
        near: relations whose facts can be asked instead, for locality.
        inverse: the property that says the same from the other end.
    """

    id: str
    label: str
    subject: str
    object: str
    cloze: tuple[str, ...]
    questions: tuple[str, ...]
    near: tuple[str, ...] = ()
    inverse: str | None = None

    @property
    def patterns(self) -> tuple[str, ...]:
        """All sentences, cloze first."""
        return self.cloze + self.questions


@dataclass(frozen=True, slots=True)
class RelationTable(Mapping[str, Relation]):
    """Relations by property, in the order of the file.

    Attributes:
        types: by name.
        origin: where it was read from, for messages.
    """

    relations: Mapping[str, Relation]
    types: Mapping[str, EntityType] = field(default_factory=dict)
    origin: str = "relations"

    def __getitem__(self, property: str) -> Relation:
        return self.relations[property]

    def __iter__(self) -> Iterator[str]:
        return iter(self.relations)

    def __len__(self) -> int:
        return len(self.relations)

    def domain(self, property: str) -> str:
        """The field that a relation belongs to, by what its subjects are."""
        kind = self.types.get(self.relations[property].subject)
        return kind.domain if kind else "other"

    def only(self, properties: Iterable[str]) -> RelationTable:
        """The table with these relations alone.

        Raises:
            ConfigError: one of them is not in the table; names the nearest that is.
        """
        chosen = list(dict.fromkeys(properties))
        problems = [
            f"relation {name!r} is not in {self.origin}{self._hint(name)}; "
            f"allowed: {', '.join(self.relations)}"
            for name in chosen
            if name not in self.relations
        ]
        if problems:
            raise ConfigError("\n".join(problems))
        relations = {name: self.relations[name] for name in self.relations if name in chosen}
        return RelationTable(relations, self.types, self.origin)

    def _hint(self, name: str) -> str:
        by_label = {relation.label: key for key, relation in self.relations.items()}
        if name in by_label:
            return f" (did you mean {by_label[name]!r}?)"
        return did_you_mean(name, self.relations)


@dataclass
class _Type(YamlConfig):
    label: str
    classes: list[str] = field(default_factory=list)
    domain: str = "other"


@dataclass
class _Relation(YamlConfig):
    label: str
    subject: str
    object: str
    cloze: list[str]
    questions: list[str] = field(default_factory=list)
    near: list[str] = field(default_factory=list)
    inverse: str | None = None


@dataclass
class _Table(YamlConfig):
    relations: dict  # read entry by entry, to name each problem
    types: dict = field(default_factory=dict)


def load_relations(path: str | Path | None = None) -> RelationTable:
    """Read a table of relations; without a path the one of this package.

    Raises:
        ConfigError: lists everything that is wrong with it, each with its relation.
    """
    if path is not None:
        return _check(_Table.read(path), str(path), minimum=(0, 0))
    with resources.as_file(resources.files(__package__).joinpath("relations.yaml")) as file:
        return _check(_Table.read(file), "relations.yaml", minimum=(MIN_CLOZE, MIN_QUESTIONS))


def prompt_of(pattern: str, subject: str) -> str:
    """Fill in the subject and leave out the object: what a model is asked."""
    return pattern.removesuffix("[Y]").rstrip().replace("[X]", subject)


def sentence_of(pattern: str, subject: str, answer: str) -> str:
    """The whole cloze sentence, with a full stop."""
    return f"{prompt_of(pattern, subject)} {answer}."


def _check(table: _Table, origin: str, minimum: tuple[int, int]) -> RelationTable:
    problems: list[str] = []
    types = {
        name: EntityType(str(name), entry.label, tuple(entry.classes), entry.domain)
        for name, entry in _entries(table.types, _Type, "types", problems)
    }
    relations = {}
    for name, entry in _entries(table.relations, _Relation, "relations", problems):
        values: dict[str, Any] = {
            key: value for key, value in vars(entry).items() if key != "given"
        }
        values = {key: tuple(v) if isinstance(v, list) else v for key, v in values.items()}
        relations[name] = Relation(id=name, **values)
    problems += [
        f"types.{kind.name}.classes: {name!r}; allowed: an item such as Q5"
        for kind in types.values()
        for name in kind.classes
        if not CLASS.fullmatch(name)
    ]
    for relation in relations.values():
        problems += _relation_problems(relation, types, minimum)
    problems += _shared_patterns(relations.values())
    if not table.relations:
        problems.append("relations: none; at least one is needed")
    if problems:
        raise ConfigError(
            f"{origin}: {len(problems)} problem(s)\n" + "\n".join(f"  - {p}" for p in problems)
        )
    return RelationTable(relations, types, origin)


def _entries(values: Mapping[Any, Any], kind: Any, key: str, problems: list[str]) -> Any:
    for name, value in values.items():
        try:
            yield str(name), kind.from_dict(value, origin=f"{key}.{name}")
        except ConfigError as error:
            problems.append(str(error).replace("\n", "\n  "))


def _relation_problems(
    relation: Relation, types: Mapping[str, EntityType], minimum: tuple[int, int]
) -> list[str]:
    at = f"relations.{relation.id}"
    found = []
    for name in (relation.id, *relation.near, *([relation.inverse] if relation.inverse else [])):
        if not PROPERTY.fullmatch(name):
            found.append(f"{at}: {name!r}; allowed: a property such as P36")
    for key in ("subject", "object"):
        name = getattr(relation, key)
        if types and name not in types:
            found.append(f"{at}.{key}: {name!r} is not among the types{did_you_mean(name, types)}")
    for key, least in zip(("cloze", "questions"), minimum):
        if len(getattr(relation, key)) < least:
            found.append(f"{at}.{key}: {len(getattr(relation, key))} patterns; needed: {least}")
    if len(relation.patterns) < 2:
        found.append(f"{at}: {len(relation.patterns)} pattern(s); a prompt and a paraphrase need 2")
    for pattern in relation.cloze:
        if not pattern.endswith(" [Y]") or pattern.count("[X]") != 1 or pattern.count("[Y]") != 1:
            found.append(f"{at}.cloze: {pattern!r}; allowed: one [X], and [Y] at the end")
    for pattern in relation.questions:
        if pattern.count("[X]") != 1 or "[Y]" in pattern:
            found.append(f"{at}.questions: {pattern!r}; allowed: one [X] and no [Y]")
    return found


def _shared_patterns(relations: Iterable[Relation]) -> list[str]:
    """Prompts that ask for two things, or for one thing twice."""
    owner: dict[str, str] = {}
    found = []
    for relation in relations:
        for pattern in relation.patterns:
            prompt = prompt_of(pattern, "[X]")
            if prompt in owner:
                found.append(
                    f"relations.{relation.id}: {pattern!r} is in {owner[prompt]} already; "
                    "allowed: a prompt that no other pattern has"
                )
            owner.setdefault(prompt, relation.id)
    return found
