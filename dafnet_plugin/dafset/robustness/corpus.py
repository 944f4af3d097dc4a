"""Contexts from a corpus: sentences that somebody wrote, sorted by length and sentiment."""

from __future__ import annotations

import random
import re
from collections import defaultdict
from collections.abc import Iterable, Iterator

from dafnet_plugin.dafset.robustness.context import (
    RELATED,
    UNRELATED,
    Cell,
    Subject,
    as_sentence,
    bucket_of,
    mentions,
    word_count,
)
from dafnet_plugin.dafset.robustness.sentiment import SentimentScorer

MIN_WORDS = 3
_END = re.compile(r"(?<=[.!?])\s+(?=[\"'(]?[A-Z])")


class CorpusSource:
    """Sentences of a corpus as candidates.

    Sentences about the subject are related, those with none of its names unrelated. Facts about
    other entities cannot be told from other text, so that there are no distracting ones.

    Args:
        texts: passages or sentences.
        limit: of sentences kept, the first ones; memory and time grow with them.
    """

    name = "corpus"

    def __init__(
        self, texts: Iterable[str], scorer: SentimentScorer, *, limit: int = 200_000
    ) -> None:
        self.sentences: list[str] = []
        self._by_kind: dict[tuple[str, str], list[int]] = defaultdict(list)
        self._by_word: dict[str, list[int]] = defaultdict(list)
        for sentence in dict.fromkeys(split_sentences(texts)):
            length = bucket_of(word_count(sentence))
            if length is None or word_count(sentence) < MIN_WORDS:
                continue
            if len(self.sentences) >= limit:
                break
            number = len(self.sentences)
            self.sentences.append(sentence)
            self._by_kind[length, scorer.label(sentence)].append(number)
            for word in set(re.findall(r"\w+", sentence.lower())):
                self._by_word[word].append(number)

    def candidates(self, subject: Subject, cell: Cell, rng: random.Random) -> Iterator[str]:
        """Sentences of the cell, in random order, each once."""
        if cell.content not in (RELATED, UNRELATED):
            return
        fitting = self._by_kind.get((cell.length, cell.sentiment), [])
        if cell.content == RELATED:
            about = self._about(subject)
            fitting = [number for number in fitting if number in about]
        # Drawn one by one: most of a large corpus is never looked at.
        for number in rng.sample(fitting, min(len(fitting), 200)):
            yield self.sentences[number]

    def _about(self, subject: Subject) -> set[int]:
        """Sentences with one of the names; looked up by the rarest word of each."""
        found: set[int] = set()
        for name in subject.names:
            words = re.findall(r"\w+", name.lower())
            rows = [self._by_word.get(word, []) for word in words]
            for number in min(rows, key=len, default=[]):
                if mentions(self.sentences[number], [name]):
                    found.add(number)
        return found


def split_sentences(texts: Iterable[str]) -> Iterator[str]:
    """Passages cut where a full stop is followed by a capital; abbreviations may be cut too."""
    for text in texts:
        for part in _END.split(text.strip()):
            if sentence := as_sentence(part):
                yield sentence
