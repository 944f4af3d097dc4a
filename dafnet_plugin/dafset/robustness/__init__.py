"""Robustness: contexts put before a sample's questions, and samples that say the opposite.

Contexts vary in length, in content and in sentiment (:mod:`~.context`); candidates come from
templates, from a corpus and from a language model, and each is checked before it is taken
(:mod:`~.maker`). :func:`add_robustness` does it for the samples of ``robust.json``.
"""

from dafnet_plugin.dafset.robustness.apply import add_robustness
from dafnet_plugin.dafset.robustness.context import (
    BUCKETS,
    CELLS,
    CONTENTS,
    SENTIMENTS,
    Cell,
    Context,
    ContextConfig,
    Subject,
)
from dafnet_plugin.dafset.robustness.counters import Opposite, Value, opposite
from dafnet_plugin.dafset.robustness.generator import GeneratedSource
from dafnet_plugin.dafset.robustness.maker import ContextMaker
from dafnet_plugin.dafset.robustness.sentiment import SentimentScorer

__all__ = [
    "BUCKETS",
    "CELLS",
    "CONTENTS",
    "SENTIMENTS",
    "Cell",
    "Context",
    "ContextConfig",
    "ContextMaker",
    "GeneratedSource",
    "Opposite",
    "SentimentScorer",
    "Subject",
    "Value",
    "add_robustness",
    "opposite",
]
