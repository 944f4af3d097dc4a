"""Pairs of the tiny world, whose every fact is known."""

from __future__ import annotations

import random
from collections import defaultdict
from collections.abc import Iterable, Sequence

from dafnet_plugin.data.consistency.pairs import ConsistencyPair
from dafnet_plugin.data.consistency.templates import Rewording, StatedFact, build_pairs
from dafnet_plugin.data.tinyworld import TinyWorld
from dafnet_plugin.data.tinyworld.relations import includes, prompt_of
from dafnet_plugin.data.tinyworld.split import BYSTANDER
from dafnet_plugin.data.tinyworld.world import Key


def tinyworld_pairs(
    tiny: TinyWorld,
    case_ids: Iterable[str],
    *,
    seed: int,
    sentences: int = 3,
    untouched: int = 60,
) -> list[ConsistencyPair]:
    """Make pairs on edited facts, then on untouched ones.

    Args:
        tiny: the world before all edits.
        case_ids: evaluation cases whose facts pairs are made of; no pair states a fact that any
            evaluation case of the world changes, but for its own.
        seed: of every choice.
        sentences: of a document.
        untouched: facts about bystanders that pairs are made of, at most.
    """
    knowledge = _Knowledge(tiny)
    wanted = set(case_ids)
    edited = [fact for fact in knowledge.edited() if fact.case_id in wanted]
    pool = knowledge.pool
    rng = random.Random(f"untouched facts {seed}")
    kept = rng.sample(pool, min(untouched, len(pool)))
    return build_pairs([*edited, *kept], knowledge, seed=seed, sentences=sentences)


class _Knowledge:
    """See :class:`~dafnet_plugin.data.consistency.templates.Knowledge`."""

    def __init__(self, tiny: TinyWorld) -> None:
        self._tiny, self._world = tiny, tiny.world
        self._right: dict[Key, set[str]] = defaultdict(set)  # before, or after some edit
        for key, objects in self._world.simple.items():
            self._right[key] |= {*objects}
        touched: set[Key] = set()
        for item in tiny.evaluation:
            changes = self._world.changes(item.edit)
            touched |= changes.changed.keys() | changes.retracted
            for key, objects in changes.changed.items():
                self._right[key] |= {*objects}
        self._about: dict[str, list[StatedFact]] = defaultdict(list)
        self.pool: list[StatedFact] = []
        self._keys: dict[tuple[str, str], Key] = {}  # by subject and relation, in words
        for key, objects in self._world.simple.items():
            fact = self._fact(key, self._world.label(objects[0]))
            self._keys[fact.subject, fact.relation] = key
            if key not in touched:
                self._about[fact.subject].append(fact)
                if tiny.split[key[0]] == BYSTANDER:
                    self.pool.append(fact)

    def edited(self) -> Iterable[StatedFact]:
        """The facts of the evaluation cases, as they are after the edit."""
        for item in self._tiny.evaluation:
            key = item.edit.subject, item.edit.relation
            yield self._fact(key, self._world.label(item.edit.object), item.case.case_id)

    def related(self, fact: StatedFact) -> Sequence[StatedFact]:
        """See :meth:`Knowledge.related`."""
        some = self._about.get(fact.subject, ())
        return [other for other in some if other.relation != fact.relation]

    def others(self, fact: StatedFact) -> Sequence[StatedFact]:
        """See :meth:`Knowledge.others`; facts that no evaluation case changes."""
        about = self._about.items()
        return [other for name, some in about if name != fact.subject for other in some]

    def wrong_objects(self, fact: StatedFact) -> Sequence[str]:
        """See :meth:`Knowledge.wrong_objects`.

        A relation with two objects keeps the old ones: another object is wrong there.
        """
        key = self._key(fact)
        relation = self._world.relations[key[1]]
        if fact.edited and not relation.many_valued:
            return [self._world.label(self._world.simple[key][0])]
        right = self._right[key] | {key[0]}
        objects = self._world.of_kind(relation.object)
        return [self._world.label(entity) for entity in objects if entity not in right]

    def wrong_relations(self, fact: StatedFact) -> Sequence[Rewording]:
        """See :meth:`Knowledge.wrong_relations`.

        Those whose one object the document can state, and so speak against the summary, if there
        are any: where other facts about the subject are edited too, there may be none.
        """
        subject, name = self._key(fact)
        kind, relations = self._world.entities[subject].kind, self._world.relations
        stated = {other.relation for other in self.related(fact)}
        found = [
            other
            for other in relations.values()
            if other.path is None
            and other.name != name
            and includes(other.subject, kind)
            and other.object == relations[name].object
            and fact.answer not in map(self._world.label, self._right[subject, other.name])
        ]
        opposed = [other for other in found if other.name in stated and not other.many_valued]
        return [
            Rewording(other.name, self._prompts(other.name, fact.subject))
            for other in opposed or found
        ]

    def _key(self, fact: StatedFact) -> Key:
        return self._keys[fact.subject, fact.relation]

    def _fact(self, key: Key, answer: str, case_id: str | None = None) -> StatedFact:
        subject, name = self._world.label(key[0]), key[1]
        prompts = self._prompts(name, subject)
        return StatedFact(subject, name, answer, prompts, case_id is not None, case_id)

    def _prompts(self, relation: str, subject: str) -> tuple[str, ...]:
        patterns = self._world.relations[relation].patterns
        return tuple(prompt_of(pattern, subject) for pattern in patterns)
