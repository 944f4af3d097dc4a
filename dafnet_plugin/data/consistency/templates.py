"""Pairs made from facts: documents that state some, summaries that exchange one thing.

A document is a few sentences, a fact each, in random order; one of them states the fact that the
pair turns on. The consistent summary says the same in another wording. A contradiction exchanges

- the *entity*: another object of the same type, of an edited fact the one that the edit replaced;
- the *relation*: another relation between things of these types, which the two are not in;
- the *number*: in how many of its sentences the document names the object.

Each fact has a pair for every exchange that the world has something for.
"""

from __future__ import annotations

import random
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Protocol

from dafnet_plugin.data.consistency.pairs import ConsistencyPair, mentions
from dafnet_plugin.errors import ConfigError

NUMBER = "{name} is named in {number} of {sentences} sentences."


@dataclass(frozen=True, slots=True)
class StatedFact:
    """A fact as a document may state it.

    Attributes:
        relation: name of the relation.
        answer: its object, after the edit if there is one.
        prompts: wordings that the answer follows.
        edited: whether an edit makes it so.
        case_id: of this edit.
    """

    subject: str
    relation: str
    answer: str
    prompts: tuple[str, ...]
    edited: bool = False
    case_id: str | None = None

    def sentence(self, prompt: str, answer: str | None = None) -> str:
        """The fact in words, perhaps with another object than its own."""
        text = f"{prompt} {self.answer if answer is None else answer}"
        return text if text.endswith(".") else f"{text}."


@dataclass(frozen=True, slots=True)
class Rewording:
    """Another relation that a subject might be in with the same object, but is not."""

    relation: str
    prompts: tuple[str, ...]


class Knowledge(Protocol):
    """What the builder must know about a world; no answer depends on chance.

    Facts that it gives are true before and after every edit.
    """

    def related(self, fact: StatedFact) -> Sequence[StatedFact]:
        """Other facts about the same subject."""

    def others(self, fact: StatedFact) -> Sequence[StatedFact]:
        """Facts about other subjects."""

    def wrong_objects(self, fact: StatedFact) -> Sequence[str]:
        """Objects of the same type with which the fact would be wrong."""

    def wrong_relations(self, fact: StatedFact) -> Sequence[Rewording]:
        """Relations between things of the same types in which the fact would be wrong."""


def build_pairs(
    facts: Iterable[StatedFact], knowledge: Knowledge, *, seed: int, sentences: int = 3
) -> list[ConsistencyPair]:
    """Make the pairs of some facts, in their order.

    Args:
        seed: of every choice. What is chosen for a fact does not depend on the facts before it.
        sentences: of a document; fewer where the world has no other facts to state.

    Raises:
        ConfigError: ``sentences`` is below 2: there would be nothing to count, and nothing to
            tell the fact from.
    """
    if sentences < 2:
        raise ConfigError(f"sentences: {sentences}; allowed: at least 2")
    return [pair for fact in facts for pair in _Builder(fact, knowledge, seed, sentences).pairs()]


class _Builder:
    """The pairs of one fact."""

    def __init__(self, fact: StatedFact, knowledge: Knowledge, seed: int, sentences: int) -> None:
        self.fact, self.knowledge, self.beside = fact, knowledge, sentences - 1
        self.seed = f"consistency {seed} {fact.relation} {fact.subject} {fact.answer}"

    def pairs(self) -> Iterator[ConsistencyPair]:
        """A pair for each exchange that is possible."""
        for swap, make in (
            ("entity", self._entity),
            ("relation", self._relation),
            ("number", self._number),
        ):
            found = make(random.Random(f"{self.seed} {swap}"))
            if found is not None:
                fact = self.fact
                yield ConsistencyPair(*found, edited=fact.edited, swap=swap, case_id=fact.case_id)

    def _entity(self, rng: random.Random) -> tuple[str, str, str] | None:
        fact, objects = self.fact, self.knowledge.wrong_objects(self.fact)
        if not objects:
            return None
        stated, summary = self._wordings(rng)
        document = self._document(rng, stated, self._company(rng))
        wrong = fact.sentence(summary, rng.choice(objects))
        return document, fact.sentence(summary), wrong

    def _relation(self, rng: random.Random) -> tuple[str, str, str] | None:
        fact, relations = self.fact, self.knowledge.wrong_relations(self.fact)
        if not relations:
            return None
        wrong = rng.choice(relations)
        stated, summary = self._wordings(rng)
        # Where the other relation of the subject is known, the document says what it is.
        document = self._document(rng, stated, self._company(rng, first=wrong.relation))
        return document, fact.sentence(summary), fact.sentence(rng.choice(wrong.prompts))

    def _number(self, rng: random.Random) -> tuple[str, str, str] | None:
        fact = self.fact
        others = [*self.knowledge.related(fact), *self.knowledge.others(fact)]
        sharing = [other for other in others if other.answer == fact.answer]
        wanted = rng.randint(0, min(len(sharing), self.beside))
        silent = (o for o in rng.sample(others, len(others)) if not _names(o, fact.answer))
        company = [*rng.sample(sharing, wanted), *islice(silent, self.beside - wanted)]
        total = 1 + len(company)
        if total < 2:
            return None
        stated, _ = self._wordings(rng)
        right = 1 + wanted
        wrong = rng.choice([number for number in range(1, total + 1) if number != right])
        document = self._document(rng, stated, company)
        said, false = (
            NUMBER.format(name=fact.answer, number=number, sentences=total)
            for number in (right, wrong)
        )
        return document, said, false

    def _wordings(self, rng: random.Random) -> tuple[str, str]:
        """Of the document and of the summary: two different ones if there are two."""
        prompts = self.fact.prompts
        first, second = rng.sample(prompts, 2) if len(prompts) > 1 else prompts * 2
        return first, second

    def _company(self, rng: random.Random, first: str | None = None) -> list[StatedFact]:
        """What else a document states: facts about the subject before others, mixed.

        Of other subjects, one fact is of the same relation if there is one, so that the document
        has two objects to be told apart.
        """
        related = list(self.knowledge.related(self.fact))
        rng.shuffle(related)
        related.sort(key=lambda fact: fact.relation != first)
        chosen = related[: self.beside]
        others = list(self.knowledge.others(self.fact))
        alike = [other for other in others if other.relation == self.fact.relation]
        if alike and len(chosen) < self.beside:
            chosen.append(rng.choice(alike))
        rest = [other for other in others if other not in chosen]
        return chosen + rng.sample(rest, min(len(rest), self.beside - len(chosen)))

    def _document(self, rng: random.Random, stated: str, company: Sequence[StatedFact]) -> str:
        sentences = [self.fact.sentence(stated)]
        sentences += [other.sentence(rng.choice(other.prompts)) for other in company]
        rng.shuffle(sentences)
        return " ".join(sentences)


def _names(fact: StatedFact, name: str) -> bool:
    return any(mentions(fact.sentence(prompt), name) for prompt in fact.prompts)
