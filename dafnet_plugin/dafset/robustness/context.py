"""What contexts are, and in what they vary."""

from __future__ import annotations

import itertools
import random
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from dafnet_plugin.data.dafset import MAX_PREFIX_WORDS
from dafnet_plugin.errors import ConfigError

BUCKETS = {"short": (1, 8), "medium": (9, 16), "long": (17, MAX_PREFIX_WORDS)}
"""Lengths of contexts, in words from and to; no longer than what DAFSet's readers keep."""

RELATED, UNRELATED, DISTRACTING = "related", "unrelated", "distracting"
CONTENTS = (RELATED, UNRELATED, DISTRACTING)
"""About the subject; about nothing of the sample; the same relation of other entities."""

POSITIVE, NEGATIVE, NEUTRAL = "positive", "negative", "neutral"
SENTIMENTS = (POSITIVE, NEGATIVE, NEUTRAL)


class Cell(NamedTuple):
    """One combination of what contexts vary in."""

    length: str
    content: str
    sentiment: str

    def __str__(self) -> str:
        return " ".join(self)


CELLS = tuple(itertools.starmap(Cell, itertools.product(BUCKETS, CONTENTS, SENTIMENTS)))


@dataclass(frozen=True, slots=True)
class Context:
    """A text put before a prompt, and what it was found to be.

    Attributes:
        text: one sentence with its full stop, of at most 30 words.
        cell: length, content and sentiment.
        score: of the sentiment, -1 (negative) to 1 (positive).
        source: ``"template"``, ``"corpus"`` or ``"generated"``.
    """

    text: str
    cell: Cell
    score: float
    source: str


@dataclass(frozen=True)
class ContextConfig:
    """How many contexts a sample gets, and what from.

    Attributes:
        per_sample: number of contexts, 1 to 27; the first nine differ pairwise in at least two
            of length, content and sentiment, and each three in a row have all lengths, contents
            and sentiments.
        corpus_share: share of the contexts wanted from the corpus where there is one, 0 to 1.
        tries: candidates looked at for each context and source before giving up.
    """

    per_sample: int = 6
    corpus_share: float = 0.5
    tries: int = 60

    def __post_init__(self) -> None:
        problems = []
        if not 1 <= self.per_sample <= len(CELLS):
            problems.append(f"per_sample is {self.per_sample}; allowed: 1 to {len(CELLS)}")
        if not 0 <= self.corpus_share <= 1:
            problems.append(f"corpus_share is {self.corpus_share}; allowed: 0 to 1")
        if self.tries < 1:
            problems.append(f"tries is {self.tries}; allowed: at least 1")
        if problems:
            raise ConfigError("contexts: " + "; ".join(problems))


@dataclass(frozen=True)
class Subject:
    """What is known of a sample when its contexts are made.

    Attributes:
        key: of the sample; the same key and seed give the same contexts.
        name: of its subject.
        avoid: names that no context may have: old and new answer, those of probes.
        related: true sentences about the subject, none of the edited relation.
        distracting: true sentences about other entities, of the edited relation.
        aliases: other names of the subject.
    """

    key: str
    name: str
    avoid: Sequence[str] = ()
    related: Sequence[str] = ()
    distracting: Sequence[str] = ()
    aliases: Sequence[str] = ()

    @property
    def names(self) -> tuple[str, ...]:
        """All names of the subject."""
        return (self.name, *self.aliases)


def spread(rng: random.Random) -> list[Cell]:
    """All cells in an order whose beginnings are balanced.

    An orthogonal array: of the first nine, every pair of values of two factors occurs once.
    """
    names = [rng.sample(list(values), 3) for values in (BUCKETS, CONTENTS, SENTIMENTS)]
    first, second = rng.sample([1, 2], 2)
    order = []
    for shift in (0, first, second):
        for turn in range(3):
            for row in range(3):
                column = (row + turn) % 3
                picked = (row, column, (row + column + shift) % 3)
                order.append(Cell(*(of[index] for of, index in zip(names, picked))))
    return order


def word_count(text: str) -> int:
    """Words as DAFSet's readers count them when they cut a context."""
    return len(text.split())


def bucket_of(words: int) -> str | None:
    """The length bucket of so many words; None if no context has so many."""
    for name, (least, most) in BUCKETS.items():
        if least <= words <= most:
            return name
    return None


def mentions(text: str, names: Iterable[str]) -> bool:
    """Whether a text has any of the names, as whole words and in any case."""
    return any(
        re.search(rf"(?<!\w){re.escape(name)}(?!\w)", text, re.IGNORECASE)
        for name in names
        if name.strip()
    )


def as_sentence(text: str) -> str:
    """One line that begins with a capital and ends in a full stop."""
    line = " ".join(text.split()).rstrip(" .!?;,")
    return f"{line[:1].upper()}{line[1:]}." if line else ""
