"""Tuning: a small random search with the same budget for every method, on training facts only.

:func:`tune` runs the search of one method on one model; the search space of each method is in
``benchmarks/tuning/<METHOD>.yaml``, and each trial becomes a line of
``benchmarks/results/tuning/<METHOD>-<model>.jsonl``.
"""

from __future__ import annotations

from benchmarks.tuning.search import Budget, tune
from benchmarks.tuning.trials import Trial, best_trial, read_trials, trials_path

__all__ = ["Budget", "Trial", "best_trial", "read_trials", "trials_path", "tune"]
