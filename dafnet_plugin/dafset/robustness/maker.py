"""Makes the contexts of a sample: one for each of some cells, each checked."""

from __future__ import annotations

import itertools
import random
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from typing import Protocol

from dafnet_plugin.dafset.robustness.context import (
    DISTRACTING,
    RELATED,
    Cell,
    Context,
    ContextConfig,
    Subject,
    as_sentence,
    bucket_of,
    mentions,
    spread,
    word_count,
)
from dafnet_plugin.dafset.robustness.corpus import CorpusSource
from dafnet_plugin.dafset.robustness.sentiment import SentimentScorer, label_of
from dafnet_plugin.dafset.robustness.templates import TemplateSource


class ContextSource(Protocol):
    """Where candidates come from.

    Attributes:
        name: what contexts from it say as their source.
    """

    name: str

    def candidates(self, subject: Subject, cell: Cell, rng: random.Random) -> Iterator[str]:
        """Texts that may be what the cell asks for; they are checked."""


class ContextMaker:
    """Makes contexts from templates, from a corpus and from a language model.

    A context is taken only if it is what it is meant to be: of the length asked for, with the
    sentiment that a library finds in it, with the subject's name if related and without it if
    not, and without any name to be avoided.

    Args:
        config: how many, and what from.
        seed: the same seed, subject and material give the same contexts.
        unrelated: true sentences about anything else, for templates.
        corpus: passages of plain text.
        generated: a source that goes before the others, such as
            :class:`dafnet_plugin.dafset.robustness.generator.GeneratedSource`.

    Attributes:
        missing: cells that no source could fill, with how often.
    """

    def __init__(
        self,
        config: ContextConfig | None = None,
        *,
        seed: int = 0,
        unrelated: Sequence[str] = (),
        corpus: Iterable[str] = (),
        generated: ContextSource | None = None,
    ) -> None:
        self.config, self.seed = config or ContextConfig(), seed
        self.scorer = SentimentScorer()
        self.generated = generated
        self.templates = TemplateSource(unrelated)
        self.corpus = CorpusSource(corpus, self.scorer)
        self.missing: Counter[Cell] = Counter()

    def plan(self, subject: Subject) -> list[Cell]:
        """The cells that a subject's contexts are wanted of."""
        return spread(self._rng(subject, "cells"))[: self.config.per_sample]

    def contexts(self, subject: Subject) -> list[Context]:
        """The contexts of a sample, ``per_sample`` of them unless there is too little to say.

        A cell that cannot be filled is counted, and the next one in the plan takes its place.
        """
        made: list[Context] = []
        seen: set[str] = set()
        for cell in spread(self._rng(subject, "cells")):
            if len(made) == self.config.per_sample:
                break
            found = self._fill(subject, cell, seen)
            if found is None:
                self.missing[cell] += 1
                continue
            seen.add(found.text)
            made.append(found)
        return made

    def _fill(self, subject: Subject, cell: Cell, seen: set[str]) -> Context | None:
        rng = self._rng(subject, str(cell))
        ordinary: list[ContextSource] = [self.corpus, self.templates]
        if rng.random() >= self.config.corpus_share:
            ordinary.reverse()
        sources = [*([self.generated] if self.generated else []), *ordinary]
        for source in sources:
            tried = itertools.islice(source.candidates(subject, cell, rng), self.config.tries)
            for text in map(as_sentence, tried):
                if text not in seen and (found := self._checked(subject, cell, text, source.name)):
                    return found
        return None

    def _checked(self, subject: Subject, cell: Cell, text: str, source: str) -> Context | None:
        """The text as a context, if it is what the cell asks for."""
        if bucket_of(word_count(text)) != cell.length or mentions(text, subject.avoid):
            return None
        if mentions(text, subject.names) != (cell.content == RELATED):
            return None
        if source == "generated" and cell.content == DISTRACTING:
            return None  # whether it is a true fact about others cannot be known
        score = self.scorer.score(text)
        if label_of(score) != cell.sentiment:
            return None
        return Context(text, cell, score, source)

    def _rng(self, subject: Subject, what: str) -> random.Random:
        return random.Random(f"contexts {self.seed} {subject.key} {what}")
