"""Long-tailness: rarely mentioned, weakly connected, unlikely to the model.

The three measures are independent of each other, and any of them may be missing. A fact's place
in each is a quantile from 0 (the rarest) to 1 among the facts for which it was measured.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from dafnet_plugin.dafset.extras import require
from dafnet_plugin.errors import ConfigError

if TYPE_CHECKING:
    from ibis import Table

MEASURES = ("frequency", "degree", "log_likelihood")
COMBINATIONS = ("mean", "any", "all")


def with_quantiles(measured: Table) -> Table:
    """Add ``<measure>_quantile``, null where the measure is.

    Args:
        measured: facts with the columns of ``MEASURES``.
    """
    ibis = require("ibis")
    columns = {}
    for name in MEASURES:
        value = measured[name]
        # Nulls form a group of their own: engines do not agree on where they sort.
        rank = ibis.percent_rank().over(group_by=value.isnull(), order_by=value)
        columns[f"{name}_quantile"] = ibis.ifelse(value.isnull(), ibis.null("float64"), rank)
    return measured.mutate(**columns)


def long_tailed(measured: Table, quantile: float, by: tuple[str, ...], combine: str) -> Table:
    """Facts in the long tail.

    Args:
        measured: facts with the columns of ``MEASURES``.
        quantile: the share that counts as tail, above 0 and at most 1.
        by: which measures count.
        combine: ``"mean"`` of the quantiles that are known, ``"any"`` of them low enough, or
            ``"all"`` that are known.

    Raises:
        ConfigError: an unknown measure or combination, or a quantile out of range.
    """
    problems = [f"measure {name!r}; allowed: {', '.join(MEASURES)}" for name in by
                if name not in MEASURES]  # fmt: skip
    if not by:
        problems.append(f"no measure; allowed: {', '.join(MEASURES)}")
    if combine not in COMBINATIONS:
        problems.append(f"combine: {combine!r}; allowed: {', '.join(COMBINATIONS)}")
    if not 0 < quantile <= 1:
        problems.append(f"quantile: {quantile}; allowed: above 0, at most 1")
    if problems:
        raise ConfigError("long tail: " + "; ".join(problems))
    ranked = with_quantiles(measured)
    quantiles = [ranked[f"{name}_quantile"] for name in by]
    known = sum((column.notnull().cast("int64") for column in quantiles[1:]),
                start=quantiles[0].notnull().cast("int64"))  # fmt: skip
    if combine == "mean":
        total = quantiles[0].fill_null(0.0)
        for column in quantiles[1:]:
            total = total + column.fill_null(0.0)
        return ranked.filter((known > 0) & (total <= quantile * known))
    low = [column <= quantile for column in quantiles]
    if combine == "any":
        chosen = low[0].fill_null(False)
        for column in low[1:]:
            chosen = chosen | column.fill_null(False)
    else:
        chosen = low[0].fill_null(True)
        for column in low[1:]:
            chosen = chosen & column.fill_null(True)
    return ranked.filter((known > 0) & chosen)
