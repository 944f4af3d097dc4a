"""Pairs of ParaRel's facts.

Its triples say what is known to be right, not what is wrong: a fact counts as wrong if no triple
of its relation has it. Where a summary exchanges the relation, the document says nothing of the
other one, while in the tiny world it mostly speaks against it. Types are not told either: objects
of one relation are taken to be of one type, and which relations are between things of the same
types is listed here.
"""

from __future__ import annotations

import random
from collections import defaultdict
from collections.abc import Iterable, Sequence
from functools import cache
from pathlib import Path

from dafnet_plugin.cases import EditCase
from dafnet_plugin.data.consistency.pairs import ConsistencyPair
from dafnet_plugin.data.consistency.templates import Rewording, StatedFact, build_pairs
from dafnet_plugin.data.pararel import ParaRelFact, ParaRelWorld
from dafnet_plugin.data.records import Place
from dafnet_plugin.files import read_jsonl

KINDRED = (
    ("P19", "P20", "P937"),  # a person was born, died, worked in a place
    ("P159", "P740"),  # an organisation has its headquarters, was founded in a place
)
"""Relations between things of the same types, of which none says nearly what another says: a
product is often developed by who produces it, and a work written in its original language."""

SEVERAL = frozenset(
    ("P39", "P47", "P101", "P106", "P108", "P190", "P361", "P463", "P530", "P937", "P1303", "P1412")
)
"""Relations in which a subject often has several objects: the old one stays right after an edit,
so that the contradiction names another."""


def pararel_pairs(
    world: ParaRelWorld,
    directory: str | Path,
    cases: Iterable[EditCase],
    *,
    seed: int,
    sentences: int = 3,
    untouched: int = 60,
) -> list[ConsistencyPair]:
    """Make pairs on edited facts, then on untouched ones.

    Args:
        world: facts and cases, as :func:`dafnet_plugin.data.pararel.build_pararel` made them.
        directory: holds ``triples/``.
        cases: of the world's evaluation, whose facts pairs are made of; no pair states a fact
            that any evaluation case of the world changes, but for its own.
        seed: of every choice.
        sentences: of a document.
        untouched: facts about bystanders that pairs are made of, at most.

    Raises:
        DataError: a file of triples is missing or malformed.
    """
    knowledge = _Knowledge(world, Path(directory))
    edited = [knowledge.after(case) for case in cases]
    rng = random.Random(f"untouched facts {seed}")
    spare = [_fact(fact) for fact in world.bystanders if knowledge.is_untouched(fact)]
    kept = rng.sample(spare, min(untouched, len(spare)))
    return build_pairs([*edited, *kept], knowledge, seed=seed, sentences=sentences)


class _Knowledge:
    """See :class:`~dafnet_plugin.data.consistency.templates.Knowledge`."""

    def __init__(self, world: ParaRelWorld, directory: Path) -> None:
        self._directory = directory
        self._facts = {fact.subject: fact for fact in world.facts}
        self._edited = {case.request.subject or "" for case in world.evaluation}
        self._pool = [_fact(fact) for fact in world.facts if self.is_untouched(fact)]
        self._objects: dict[str, list[str]] = defaultdict(list)
        self._patterns: dict[str, tuple[str, ...]] = {}
        for fact in world.facts:
            if fact.answer not in self._objects[fact.relation]:
                self._objects[fact.relation].append(fact.answer)
            self._patterns.setdefault(
                fact.relation,
                tuple(prompt.replace(fact.subject, "[X]", 1) for prompt in fact.prompts),
            )
        self._triples = cache(self._read_triples)

    def is_untouched(self, fact: ParaRelFact) -> bool:
        """Whether no evaluation case edits its subject, or a subject that its subject names."""
        return not any(name in fact.subject for name in self._edited)

    def after(self, case: EditCase) -> StatedFact:
        """The fact of a case after its edit."""
        fact = self._facts[case.request.subject or ""]
        return StatedFact(
            fact.subject,
            fact.relation,
            case.request.target_new,
            fact.prompts,
            edited=True,
            case_id=case.case_id,
        )

    def related(self, fact: StatedFact) -> Sequence[StatedFact]:
        """See :meth:`Knowledge.related`; ParaRel's worlds have one fact for each subject."""
        return []

    def others(self, fact: StatedFact) -> Sequence[StatedFact]:
        """See :meth:`Knowledge.others`."""
        return [other for other in self._pool if other.subject != fact.subject]

    def wrong_objects(self, fact: StatedFact) -> Sequence[str]:
        """See :meth:`Knowledge.wrong_objects`."""
        old = self._facts[fact.subject].answer
        if fact.edited and fact.relation not in SEVERAL:
            return [old]
        right = {fact.answer, old, *self._triples(fact.relation).get(fact.subject, ())}
        return [name for name in self._objects[fact.relation] if name not in right]

    def wrong_relations(self, fact: StatedFact) -> Sequence[Rewording]:
        """See :meth:`Knowledge.wrong_relations`."""
        return [
            Rewording(name, tuple(p.replace("[X]", fact.subject) for p in self._patterns[name]))
            for group in KINDRED
            if fact.relation in group
            for name in group
            if name != fact.relation
            and name in self._patterns
            and fact.answer not in self._triples(name).get(fact.subject, ())
        ]

    def _read_triples(self, relation: str) -> dict[str, set[str]]:
        """Subject -> its objects."""
        path = self._directory / "triples" / f"{relation}.jsonl"
        found: dict[str, set[str]] = defaultdict(set)
        for index, record in enumerate(read_jsonl(path)):
            place = Place(path, index)
            found[place.text(record, "sub_label")].add(place.text(record, "obj_label"))
        return found


def _fact(fact: ParaRelFact) -> StatedFact:
    return StatedFact(fact.subject, fact.relation, fact.answer, fact.prompts)
