"""Sentiment of a text, judged by a library."""

from __future__ import annotations

import functools
from typing import Any

from dafnet_plugin.dafset.extras import require
from dafnet_plugin.dafset.robustness.context import NEGATIVE, NEUTRAL, POSITIVE

THRESHOLD = 0.05
"""VADER's own: a compound score of at least this is positive, of at most minus this negative."""


class SentimentScorer:
    """VADER (Hutto & Gilbert, ICWSM 2014): a lexicon with rules, no model to download.

    Raises:
        ConfigError: the library is not installed; says how to get it.
    """

    def __init__(self) -> None:
        self._vader: Any = require("vaderSentiment.vaderSentiment").SentimentIntensityAnalyzer()
        self.score = functools.lru_cache(maxsize=65536)(self._score)

    def label(self, text: str) -> str:
        """``"positive"``, ``"negative"`` or ``"neutral"``."""
        return label_of(self.score(text))

    def _score(self, text: str) -> float:
        """VADER's compound score, -1 to 1."""
        return float(self._vader.polarity_scores(text)["compound"])


def label_of(score: float) -> str:
    """The sentiment that a compound score stands for."""
    if score >= THRESHOLD:
        return POSITIVE
    return NEGATIVE if score <= -THRESHOLD else NEUTRAL
