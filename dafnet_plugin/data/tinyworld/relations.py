"""The relations of the tiny world, read from ``relations.yaml``."""

from __future__ import annotations

from dataclasses import dataclass
from importlib import resources
from itertools import pairwise
from typing import Any

import yaml

from dafnet_plugin.errors import DataError

# What a type includes besides itself.
SUBTYPES = {"organisation": ("company", "university", "club")}


@dataclass(frozen=True, slots=True)
class Relation:
    """A relation and its sentences.

    Attributes:
        name: a Wikidata property, or two of them joined by ``/`` for a composed relation.
        subject, object: entity types.
        patterns: sentences with ``[X]`` (subject) and, last, ``[Y]`` (object).
        held_out: sentences that the text has only for bystanders.
        besides: sentences that name one object as ``[Z]`` and ask for the other.
        inverse: relation read from the other end; both are one to one.
        path: the two relations that a composed one goes along.
    """

    name: str
    label: str
    subject: str
    object: str
    patterns: tuple[str, ...]
    held_out: tuple[str, ...]
    besides: tuple[str, ...] = ()
    inverse: str | None = None
    path: tuple[str, str] | None = None

    @property
    def many_valued(self) -> bool:
        """Whether a subject has two objects."""
        return bool(self.besides)


def prompt_of(pattern: str, subject: str, other: str = "") -> str:
    """Fill a pattern with a subject (and the other object, for ``besides``), answer cut off."""
    return pattern.removesuffix("[Y]").rstrip().replace("[X]", subject).replace("[Z]", other)


def includes(wanted: str, kind: str) -> bool:
    """Whether an entity of type ``kind`` may stand where ``wanted`` is asked for."""
    return kind == wanted or kind in SUBTYPES.get(wanted, ())


def load_relations() -> dict[str, Relation]:
    """Return all relations by name, simple ones first.

    Raises:
        DataError: the table contradicts itself; says where.
    """
    text = resources.files(__package__).joinpath("relations.yaml").read_text(encoding="utf-8")
    table = yaml.safe_load(text)
    relations: dict[str, Relation] = {}
    for name, entry in table["relations"].items():
        relations[name] = Relation(name=name, **_tuples(entry))
    for entry in table["composed"]:
        first, second = entry["path"]
        name = f"{first}/{second}"
        entry |= {"subject": relations[first].subject, "object": relations[second].object}
        relations[name] = Relation(name=name, **_tuples(entry))
    check_relations(relations)
    return relations


def _tuples(entry: dict[str, Any]) -> dict[str, Any]:
    return {key: tuple(value) if isinstance(value, list) else value for key, value in entry.items()}


def check_relations(relations: dict[str, Relation]) -> None:
    """Check that inverses match, hops join, and no prompt begins another one.

    Raises:
        DataError: names the relation and what is wrong.
    """
    for relation in relations.values():
        if relation.inverse and relations[relation.inverse].inverse != relation.name:
            raise DataError(f"{relation.name}: {relation.inverse} is not its inverse in turn")
        if relation.path:
            first, second = (relations[name] for name in relation.path)
            if not includes(second.subject, first.object):
                raise DataError(f"{relation.name}: {first.name} does not lead to {second.name}")
        for pattern in relation.patterns + relation.held_out + relation.besides:
            if not pattern.endswith(" [Y]") or pattern.count("[X]") != 1:
                raise DataError(f"{relation.name}: {pattern!r} needs one [X], and [Y] at its end")
    _check_prefixes(relations)


def _check_prefixes(relations: dict[str, Relation]) -> None:
    prompts = sorted(
        (prompt_of(pattern, "[X]", "[Z]"), relation.name)
        for relation in relations.values()
        for pattern in relation.patterns + relation.held_out + relation.besides
    )
    # Sorted, a prompt is followed by those that begin with it.
    for (first, owner), (second, other) in pairwise(prompts):
        if second == first or second.startswith(first + " "):
            kinds = relations[owner].subject, relations[other].subject
            if includes(*kinds) or includes(*reversed(kinds)):
                raise DataError(f"{owner}: the prompt {first!r} begins {second!r} of {other}")
