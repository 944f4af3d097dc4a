"""What should follow from an edit of the tiny world, in the six criteria of RippleEdits."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from dafnet_plugin.data.ripple_records import RippleQuery, RippleTest
from dafnet_plugin.data.tinyworld.relations import prompt_of
from dafnet_plugin.data.tinyworld.text import ALIAS_PATTERNS, ALIAS_RELATION
from dafnet_plugin.data.tinyworld.together import Together
from dafnet_plugin.data.tinyworld.world import Changes, Edit, Key, World

MOST_TESTS = 4  # of one criterion for one edit; a country has dozens of citizens


@dataclass
class Consequences:
    """Makes the tests of one edit.

    Attributes:
        world: before the edit.
        edit: of a simple fact.
        stated: prompts in which the text states each fact.
        rng: chooses among prompts and, where there are many, among tests.
        together: the edits that are made besides; tests that one of them spoils are left out.
    """

    world: World
    edit: Edit
    stated: Mapping[Key, Sequence[str]]
    rng: random.Random
    together: Together | None = None
    after: World = field(init=False)
    changes: Changes = field(init=False)

    def __post_init__(self) -> None:
        self.after = self.world.after(self.edit)
        self.changes = self.world.changes(self.edit)

    def tests(self) -> dict[str, tuple[RippleTest, ...]]:
        """Return the tests by criterion; a criterion that does not apply has none."""
        criteria: dict[str, Callable[[], Iterable[RippleTest]]] = {
            "Relation_Specificity": self._relation_specificity,
            "Logical_Generalization": self._logical_generalization,
            "Subject_Aliasing": self._subject_aliasing,
            "Compositionality_I": self._compositionality_one,
            "Compositionality_II": self._compositionality_two,
            "Forgetfulness": self._forgetfulness,
        }
        return {name: self._few(self._standing(make())) for name, make in criteria.items()}

    def _relation_specificity(self) -> Iterable[RippleTest]:
        """Other facts about the subject, which stay as they are and were known before."""
        for key in self.world.simple:
            if key[0] == self.edit.subject and key not in self.changes:
                query = self._query(key, self.world)
                yield RippleTest((query,), condition_queries=(query,))

    def _logical_generalization(self) -> Iterable[RippleTest]:
        """The same fact told from the other end."""
        inverse = self.world.relations[self.edit.relation].inverse
        if inverse:
            yield RippleTest((self._query((self.edit.object, inverse), self.after),))

    def _subject_aliasing(self) -> Iterable[RippleTest]:
        """The edited fact, asked about the subject under another name."""
        subject = self.world.entities[self.edit.subject]
        for alias in subject.aliases:
            names = {"label": subject.label, "alias": alias}
            prompt, _, last = ALIAS_PATTERNS[-1].rpartition(" ")
            known = RippleQuery(
                prompt.format(**names),
                ((last.format(**names),),),
                _details(subject.id, ALIAS_RELATION, (subject.id,)),
            )
            pattern = self.rng.choice(self.world.relations[self.edit.relation].patterns)
            query = RippleQuery(
                prompt_of(pattern, alias),
                (self._names(self.edit.object),),
                _details(subject.id, self.edit.relation, (self.edit.object,)),
            )
            yield RippleTest((query,), condition_queries=(known,))

    def _compositionality_one(self) -> Iterable[RippleTest]:
        """From the subject through its new object to a fact about that."""
        for relation in self.world.relations.values():
            if relation.path and relation.path[0] == self.edit.relation:
                second = (self.edit.object, relation.path[1])
                # A fact about the new object that the edit itself ends or makes is not known
                # to the model; what follows from it is no test of putting two facts together.
                if self.world.objects(second) and second not in self.changes:
                    query = self._query((self.edit.subject, relation.name), self.after)
                    yield RippleTest((query,), condition_queries=(self._query(second, self.world),))

    def _compositionality_two(self) -> Iterable[RippleTest]:
        """From another entity to the subject and on to its new object."""
        for relation in self.world.relations.values():
            if relation.path and relation.path[1] == self.edit.relation:
                for key, objects in self.world.simple.items():
                    first = key[1] == relation.path[0] and objects[0] == self.edit.subject
                    if first and key not in self.changes:
                        query = self._query((key[0], relation.name), self.after)
                        yield RippleTest(
                            (query,), condition_queries=(self._query(key, self.world),)
                        )

    def _forgetfulness(self) -> Iterable[RippleTest]:
        """The other objects of a many-valued relation; any of them is a right answer."""
        relation = self.world.relations[self.edit.relation]
        if not relation.many_valued:
            return
        subject, kept = self.world.label(self.edit.subject), self._old_objects()
        for pattern in relation.besides:
            queries = tuple(
                self._besides(prompt_of(pattern, subject, self.world.label(self.edit.object)), old)
                for old in kept
            )
            known = self._besides(prompt_of(pattern, subject, self.world.label(kept[0])), kept[1])
            yield RippleTest(queries, "OR", (known,))

    def _besides(self, prompt: str, target: str) -> RippleQuery:
        details = _details(self.edit.subject, self.edit.relation, (target,))
        return RippleQuery(prompt, (self._names(target),), details)

    def _old_objects(self) -> tuple[str, ...]:
        return self.world.simple[self.edit.subject, self.edit.relation]

    def _query(self, key: Key, world: World) -> RippleQuery:
        """Ask for a fact as the text states it, or as it states such facts of others."""
        relation = world.relations[key[1]]
        prompts = self.stated.get(key) or [
            prompt_of(pattern, world.label(key[0])) for pattern in relation.patterns
        ]
        target = world.objects(key)[0]
        details = _details(key[0], key[1], (target,))
        if relation.path:
            middle = world.objects((key[0], relation.path[0]))[0]
            details |= {
                "query_type": "two_hop",
                "relation": relation.path[0],
                "target_ids": [middle],
                "second_relation": relation.path[1],
                "second_hop_target_ids": [target],
            }
        return RippleQuery(self.rng.choice(list(prompts)), (self._names(target),), details)

    def _names(self, entity: str) -> tuple[str, ...]:
        return (self.world.label(entity), *self.world.entities[entity].aliases)

    def _standing(self, tests: Iterable[RippleTest]) -> list[RippleTest]:
        """The tests that hold after all edits."""
        if self.together is None:
            return list(tests)
        index = self.together.owners[self.edit.subject, self.edit.relation]
        return [test for test in tests if self.together.stands(test, index)]

    def _few(self, tests: list[RippleTest]) -> tuple[RippleTest, ...]:
        return tuple(tests if len(tests) <= MOST_TESTS else self.rng.sample(tests, MOST_TESTS))


def _details(subject: str, relation: str, targets: tuple[str, ...]) -> dict[str, Any]:
    return {
        "query_type": "regular",
        "subject_id": subject,
        "relation": relation,
        "target_ids": list(targets),
    }
