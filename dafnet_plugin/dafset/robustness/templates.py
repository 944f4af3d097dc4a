"""Contexts from templates: true sentences in frames of our own."""

from __future__ import annotations

import functools
import random
from collections.abc import Iterator, Sequence
from importlib import resources
from typing import Any

import yaml

from dafnet_plugin.dafset.robustness.context import (
    BUCKETS,
    RELATED,
    UNRELATED,
    Cell,
    Subject,
    as_sentence,
    word_count,
)

# Words that are capital only because they begin a sentence.
_SMALL = frozenset(
    {"The", "A", "An", "In", "On", "At", "By", "As", "It", "From", "To", "With", "People", "Its"}
    | {"His", "Her", "Their", "One", "There", "This", "That", "For", "Among"}
)


class TemplateSource:
    """Candidates for contexts, from what is known about a sample.

    Args:
        unrelated: true sentences about anything else; beside the everyday ones of the table.
    """

    name = "template"

    def __init__(self, unrelated: Sequence[str] = ()) -> None:
        table = load_templates()
        self.frames: dict[str, list[str]] = table["frames"]
        self.mentions: list[str] = table["mentions"]
        self.unrelated = [*table["everyday"], *unrelated]

    def candidates(self, subject: Subject, cell: Cell, rng: random.Random) -> Iterator[str]:
        """Texts of the cell's length, endlessly unless there is nothing to say."""
        pool = self._pool(subject, cell.content)
        least, most = BUCKETS[cell.length]
        fitting = [
            (frame, sentence)
            for sentence in rng.sample(pool, min(len(pool), 40))
            for frame in self.frames[cell.sentiment]
            if least <= word_count(frame) - 1 + word_count(sentence) <= most
        ]
        while fitting:
            yield fill(*rng.choice(fitting))

    def _pool(self, subject: Subject, content: str) -> Sequence[str]:
        if content == UNRELATED:
            return self.unrelated
        if content == RELATED:
            said = [mention.replace("[X]", subject.name) for mention in self.mentions]
            return list(subject.related) or said
        return list(subject.distracting)


def fill(frame: str, sentence: str) -> str:
    """Put a sentence into a frame."""
    sentence = sentence.strip().rstrip(".!?")
    if not frame.startswith("[S]"):
        first, _, rest = sentence.partition(" ")
        sentence = f"{first.lower()} {rest}" if first in _SMALL else sentence
    # Not str.replace on a pattern: a label is text, whatever characters it has.
    before, _, after = frame.partition("[S]")
    return as_sentence(before + sentence + after)


@functools.cache
def load_templates() -> dict[str, Any]:
    """The table ``templates.yaml``."""
    text = resources.files(__package__).joinpath("templates.yaml").read_text(encoding="utf-8")
    table: dict[str, Any] = yaml.safe_load(text)
    return table
