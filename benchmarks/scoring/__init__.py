"""EasyEdit's scores, in batches, and what becomes of them as further edits follow."""

from benchmarks.scoring.asking import Ask, Speaker, plain_logits
from benchmarks.scoring.course import Course
from benchmarks.scoring.examples import Examples
from benchmarks.scoring.scorer import Scorer
from benchmarks.scoring.scores import KINDS, Scores, mean, mean_scores

__all__ = [
    "KINDS",
    "Ask",
    "Course",
    "Examples",
    "Scorer",
    "Scores",
    "Speaker",
    "mean",
    "mean_scores",
    "plain_logits",
]
