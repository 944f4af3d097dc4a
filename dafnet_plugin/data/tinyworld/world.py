"""Entities, facts, and what follows when a fact is edited."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property

from dafnet_plugin.data.tinyworld.relations import Relation, includes
from dafnet_plugin.errors import DataError

Key = tuple[str, str]  # entity id, relation name


@dataclass(frozen=True, slots=True)
class Entity:
    """Something with a name.

    Attributes:
        id: ``"Q1"``, ``"Q2"``, ...
        kind: its type.
        aliases: other names; the text says that they are names of it.
        popularity: rank among all entities, 1 the most mentioned.
    """

    id: str
    kind: str
    label: str
    aliases: tuple[str, ...] = ()
    popularity: int = 1


@dataclass(frozen=True, slots=True)
class Edit:
    """A simple fact is to have another object: (subject, relation, new object)."""

    subject: str
    relation: str
    object: str


@dataclass(frozen=True, slots=True)
class Changes:
    """What an edit does to the world, composed facts included.

    Attributes:
        changed: facts with other objects than before, or that did not exist.
        retracted: facts that no longer hold and are replaced by nothing known.
    """

    changed: Mapping[Key, tuple[str, ...]]
    retracted: frozenset[Key]

    def __contains__(self, key: Key) -> bool:
        return key in self.changed or key in self.retracted


@dataclass(frozen=True)
class World:
    """A state of affairs; editing gives a new one and leaves this one as it is.

    Attributes:
        entities: by id.
        relations: by name, composed ones included.
        simple: (subject, relation) -> objects; two of them when many-valued, else one.
    """

    entities: Mapping[str, Entity]
    relations: Mapping[str, Relation]
    simple: Mapping[Key, tuple[str, ...]]
    _composed: dict[Key, tuple[str, ...]] = field(default_factory=dict, repr=False, compare=False)
    _changes: dict[Edit, Changes] = field(
        default_factory=dict, init=False, repr=False, compare=False
    )

    def __post_init__(self) -> None:
        hops = [relation for relation in self.relations.values() if relation.path]
        by_first: dict[str, list[Relation]] = {}
        for relation in hops:
            assert relation.path is not None
            by_first.setdefault(relation.path[0], []).append(relation)
        for (subject, name), middle in self.simple.items():
            for relation in by_first.get(name, ()):
                assert relation.path is not None
                end = self.simple.get((middle[0], relation.path[1]))
                if end:
                    self._composed[subject, relation.name] = end[:1]

    def label(self, entity: str) -> str:
        """The name of an entity."""
        return self.entities[entity].label

    def of_kind(self, kind: str) -> list[str]:
        """Ids of all entities of a type, subtypes included."""
        return [entity.id for entity in self.entities.values() if includes(kind, entity.kind)]

    def facts(self) -> Iterable[tuple[Key, tuple[str, ...]]]:
        """All facts, simple ones first."""
        yield from self.simple.items()
        yield from self._composed.items()

    def objects(self, key: Key) -> tuple[str, ...]:
        """Objects of a simple or composed fact; empty when there is none."""
        return self.simple.get(key) or self._composed.get(key, ())

    def after(self, edit: Edit) -> World:
        """Return the world in which the edit has happened.

        A many-valued relation gains the object and keeps the others. A relation with an
        inverse stays one to one: the new object points back at the subject, and whoever was
        bound to one of the two before is so no longer.

        Raises:
            DataError: the edit makes no sense in this world; says why.
        """
        self._check(edit)
        relation, key = self.relations[edit.relation], (edit.subject, edit.relation)
        simple = dict(self.simple)
        if relation.many_valued:
            simple[key] = (edit.object, *simple[key])
        elif relation.inverse:
            back = relation.inverse
            for old in simple.get(key, ()):
                simple.pop((old, back), None)
            for holder in simple.get((edit.object, back), ()):
                simple.pop((holder, edit.relation), None)
            simple[key] = (edit.object,)
            simple[edit.object, back] = (edit.subject,)
        else:
            simple[key] = (edit.object,)
        return replace(self, simple=simple, _composed={})

    def changes(self, edit: Edit) -> Changes:
        """Return every simple and composed fact that the edit changes or ends."""
        if edit not in self._changes:
            self._changes[edit] = self.compare(self.after(edit))
        return self._changes[edit]

    def compare(self, after: World) -> Changes:
        """Return what is different in another state of this world."""
        old, new = self._known, dict(after.facts())
        return Changes(
            changed={key: objects for key, objects in new.items() if old.get(key) != objects},
            retracted=frozenset(old.keys() - new.keys()),
        )

    @cached_property
    def _known(self) -> dict[Key, tuple[str, ...]]:
        return dict(self.facts())

    def _check(self, edit: Edit) -> None:
        relation = self.relations.get(edit.relation)
        if relation is None or relation.path:
            raise DataError(f"{edit.relation!r} is not a simple relation of this world")
        if (edit.subject, edit.relation) not in self.simple:
            raise DataError(f"{edit.subject!r} has no {edit.relation} that could be edited")
        if edit.object not in self.entities:
            raise DataError(f"{edit.object!r} is not an entity of this world")
        if not includes(relation.object, self.entities[edit.object].kind):
            raise DataError(f"{edit.object!r} is no {relation.object}, as {edit.relation} needs")
        if edit.object in self.simple[edit.subject, edit.relation]:
            raise DataError(f"{edit.object!r} is {edit.relation} of {edit.subject!r} already")
        if edit.object == edit.subject:
            raise DataError(f"{edit.subject!r} cannot be {edit.relation} of itself")
