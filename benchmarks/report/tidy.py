"""All numbers as one tidy CSV: a row for each number."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator
from typing import Any

from benchmarks.intervals import Interval, field_interval
from benchmarks.report.consistency import CONSISTENCY, swap_pairs, swap_share
from benchmarks.report.cost_tables import SIDE_EFFECTS
from benchmarks.report.model import WHEN, Group, Section, Study
from benchmarks.report.score_tables import criterion, criterion_counts
from benchmarks.report.view import errors, hashes
from dafnet_plugin.data.consistency import SWAPS

COLUMNS = (
    *("dataset", "model", "method", "variant", "num_edits", "when", "measure"),
    *("value", "low", "high", "units", "unit", "best", "below_best"),
    *("sequences", "failed", "expected", "status", "error", "seeds", "config_hash"),
)
MEASURES = (
    *("retention", "seconds_per_edit", "seconds_growth", "memory_mb", "peak_memory_mb"),
    *("stored_mb", "training_seconds"),
    *(name for _, before, after, _ in SIDE_EFFECTS for name in (before, after) if name),
    *(name for _, before, after, _ in CONSISTENCY for name in (before, after) if name),
)


def csv_text(study: Study) -> str:
    """The CSV, with :data:`COLUMNS`; cells without a number have a row that says so.

    ``best`` and ``below_best`` (beyond the 95 % interval of the paired difference) are told of
    final scores only. ``when`` is empty for what is measured once a sequence.
    """
    text = io.StringIO()
    writer = csv.DictWriter(text, COLUMNS, restval="", lineterminator="\n")
    writer.writeheader()
    for section in study.sections:
        for label in section.labels:
            for n in section.lengths:
                group = section.groups[label, n]
                for row in _rows(section, group):
                    writer.writerow(_identity(study, section, group) | row)
    return text.getvalue()


def _identity(study: Study, section: Section, group: Group) -> dict[str, Any]:
    method, variant = study.entries[group.label]
    return {
        "dataset": section.dataset,
        "model": section.model,
        "method": method,
        "variant": variant,
        "num_edits": group.num_edits,
        "sequences": len(group.ok),
        "failed": len(group.failed),
        "expected": group.expected,
        "status": group.status,
        "error": "; ".join(errors(group.failed)),
        "seeds": " ".join(map(str, sorted({result.seed for result in group.results}))),
        "config_hash": hashes(group.results),
    }


def _rows(section: Section, group: Group) -> Iterator[dict[str, Any]]:
    if not group.shown:
        yield {}
        return
    for when in WHEN:
        for name, score in group.scores[when].items():
            verdict = section.verdicts.get((group.num_edits, name)) if when == "final" else None
            row = {"when": when, "measure": name} | _interval(score)
            if verdict:
                comparison = verdict.comparisons.get(group.label)
                row["best"] = int(group.label in verdict.best)
                row["below_best"] = int(comparison is not None and comparison.clear)
            yield row
    for criterion_name in sorted({name for result in group.ok for name in result.criteria}):
        cases, _ = criterion_counts(group, criterion_name)
        for when in WHEN:
            value = criterion(group, criterion_name, when)
            if value is not None:
                yield {
                    "when": when,
                    "measure": f"portability:{criterion_name}",
                    "value": _number(value),
                    "units": cases,
                    "unit": "cases",
                }
    yield from _swap_rows(group)
    for name in MEASURES:
        if interval := field_interval(group.ok, name):
            yield {"measure": name} | _interval(interval)


def _swap_rows(group: Group) -> Iterator[dict[str, Any]]:
    """Consistency of edited facts by what is exchanged, before and at the end, by both scores."""
    for swap in SWAPS:
        for score, prefix in (("consistency", ""), ("consistency_pmi", "pmi_")):
            for when, key in (("before", "before"), ("final", "after")):
                value = swap_share(group, swap, prefix + key)
                if value is not None:
                    yield {
                        "when": when,
                        "measure": f"{score}:{swap}",
                        "value": _number(value),
                        "units": swap_pairs(group, swap),
                        "unit": "pairs",
                    }


def _interval(interval: Interval) -> dict[str, Any]:
    return {
        "value": _number(interval.value),
        "low": _number(interval.low),
        "high": _number(interval.high),
        "units": interval.units,
        "unit": interval.unit,
    }


def _number(value: float | None) -> str:
    return "" if value is None else f"{value:.6g}"
