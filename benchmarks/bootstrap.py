"""Means of random draws, for bootstrap intervals.

Arrays of values are [units, ...]; NaN stands for a value that a unit does not have, and a mean is
that of the values there are.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
LEVEL = 0.95
_BLOCK = 2**21
"""Draws that are held in memory at once."""


def resample(values: Array, resamples: int, rng: np.random.Generator) -> Array:
    """Means of as many units as there are, drawn with replacement.  [resamples, ...]"""
    return _resample(values, np.full(resamples, len(values)), rng)


def resample_twice(groups: Sequence[Array], resamples: int, rng: np.random.Generator) -> Array:
    """Draw groups, and units within each; means of the groups' means.  [resamples, ...]"""
    chosen = _counts(len(groups), np.full(resamples, len(groups)), rng)
    total, weight = np.zeros(()), np.zeros(())
    for times, values in zip(chosen.T, groups, strict=True):
        # A group that is drawn twice has its units drawn twice, as if it were two.
        means = _resample(values, times * len(values), rng)
        known = np.isfinite(means) * times.reshape(-1, *[1] * (means.ndim - 1))
        total = total + np.where(known > 0, means, 0.0) * known
        weight = weight + known
    return _ratio(total, weight)


def mean_of_known(values: Array, axis: int) -> Array:
    """The mean of what is not NaN; NaN where nothing is."""
    known = np.isfinite(values)
    return _ratio(np.where(known, values, 0.0).sum(axis), known.sum(axis))


def ends(drawn: Array) -> tuple[float, float]:
    """The interval that the middle 95 % of the draws [resamples] fill."""
    tail = (1 - LEVEL) / 2
    low, high = np.nanquantile(drawn, [tail, 1 - tail]).tolist()
    return low, high


def _resample(values: Array, draws: NDArray[np.int_], rng: np.random.Generator) -> Array:
    """Means of ``draws[i]`` units each.  [units, ...] -> [len(draws), ...]"""
    flat = values.reshape(len(values), -1)
    known = np.isfinite(flat)
    weights, filled = known.astype(float), np.where(known, flat, 0.0)
    parts = []
    for part in np.array_split(draws, max(1, len(draws) * len(values) // _BLOCK)):
        counts = _counts(len(values), part, rng).astype(float)
        parts.append(_ratio(counts @ filled, counts @ weights))
    return np.concatenate(parts).reshape(len(draws), *values.shape[1:])


def _counts(units: int, draws: NDArray[np.int_], rng: np.random.Generator) -> NDArray[np.int_]:
    """How often each unit is among ``draws[i]`` drawn ones.  [len(draws), units]"""
    rows = np.repeat(np.arange(len(draws)), draws)
    places = rows * units + rng.integers(0, units, len(rows))
    return np.bincount(places, minlength=len(draws) * units).reshape(len(draws), units)


def _ratio(total: Array, weight: Array) -> Array:
    return np.where(weight > 0, total / np.maximum(weight, 1), np.nan)
