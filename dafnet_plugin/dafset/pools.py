"""Facts that have each property, with what was measured of them."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dafnet_plugin.dafset.config import BuildConfig, moment
from dafnet_plugin.dafset.evidence import Row
from dafnet_plugin.dafset.frequency import Mentions, count_mentions
from dafnet_plugin.dafset.likelihood import Asked, load_scorer, log_likelihoods
from dafnet_plugin.dafset.longtail import MEASURES, long_tailed
from dafnet_plugin.dafset.popularity import best_connected, most_viewed, subject_counts
from dafnet_plugin.dafset.relations import RelationTable
from dafnet_plugin.dafset.select import Graph, changed, degree_of, ended, recent, spread
from dafnet_plugin.files import sha256

if TYPE_CHECKING:
    from ibis import Table

OVERSAMPLE = 2
"""Facts of a property that are fetched for each sample wanted: not all become samples."""
COLUMNS = {
    **dict.fromkeys(("subject", "relation", "object", "subject_label", "object_label"), "string"),
    **dict.fromkeys(("modified", "views"), "int64"),
    "lot": "string",
    "degree": "int64",
    "frequency": "int64",
    "log_likelihood": "float64",
}


@dataclass
class Pools:
    """What :func:`find_pools` found.

    Attributes:
        pools: property -> facts that have it, in the order of preference, measured.
        notes: what a reader of the data set should know about the selection; plain JSON data.
    """

    pools: Mapping[str, Sequence[Row]]
    notes: dict[str, Any] = field(default_factory=dict)


def find_pools(
    graph: Graph,
    changes: Table | None,
    facts: Table,
    table: RelationTable,
    config: BuildConfig,
    work: Path,
    dump_date: str | None,
) -> Pools:
    """Find the facts of each property among those that may be edited, and measure them.

    Args:
        changes: since an earlier state of the graph.
        work: for what mentions and likelihoods have been found already.
        dump_date: ISO date of the graph; None if it is not known.
    """
    engine, limit = graph.engine, OVERSAMPLE * config.size
    editable = facts.filter(~facts.reserved)
    notes: dict[str, Any] = {}
    found: dict[str, list[dict[str, Any]]] = {}
    if "recent" in config.properties:
        found["recent"] = _recent(graph, changes, editable, config, dump_date, limit, notes)
    if "popular" in config.properties:
        popular = _popular(graph, editable, config, notes)
        found["popular"] = engine.rows(spread(popular, limit, "popular"))
    if "robust" in config.properties:
        found["robust"] = engine.rows(spread(editable, limit, "robust"))
    if "long_tail" in config.properties:
        pool = max(limit, config.long_tail.pool * config.size)
        found["long_tail"] = engine.rows(spread(editable, pool, "long tail"))
    _measure(graph, [row for rows in found.values() for row in rows], table, config, work, notes)
    if "long_tail" in found:
        found["long_tail"] = _long_tail(graph, found["long_tail"], config, limit, notes)
    return Pools(found, notes)


def _recent(
    graph: Graph,
    changes: Table | None,
    editable: Table,
    config: BuildConfig,
    dump_date: str | None,
    limit: int,
    notes: dict[str, Any],
) -> list[dict[str, Any]]:
    """Facts that changed since an earlier state first, then those of modified entities."""
    engine = graph.engine
    until = moment(config.recent.until or dump_date or "")
    if until is None:
        latest = engine.rows(editable.aggregate(latest=editable.modified.max()))
        until = latest[0]["latest"]
    rows: list[dict[str, Any]] = []
    if changes is not None:
        rows = engine.rows(spread(changed(editable, changes), limit, "changed"))
        known = changes.group_by("kind").agg(count=changes.count()).order_by("kind")
        notes["recent_changes"] = {row["kind"]: row["count"] for row in engine.rows(known)}
    if until is None:
        notes["recent"] = "no entity of the source says when it was modified"
        return rows
    since = until - round(config.recent.days * 86_400)
    notes["recent"] = {"since": since, "until": until}
    there = {(row["subject"], row["relation"]) for row in rows}
    modified = recent(editable, since)
    old = {(row["subject"], row["relation"]): row["old"] for row in
           engine.rows(ended(graph, modified).order_by(["subject", "relation"]))}  # fmt: skip
    for row in engine.rows(spread(modified, limit, "recent")):
        key = row["subject"], row["relation"]
        if key not in there:
            rows.append(row | {"old": old.get(key)})
    return rows[:limit]


def _popular(graph: Graph, editable: Table, config: BuildConfig, notes: dict[str, Any]) -> Table:
    known = graph.engine.rows(subject_counts(editable))[0]
    viewed = known["viewed"] or 0
    most = min(config.popular.subjects, math.ceil(config.popular.share * (viewed or known["all"])))
    if viewed:
        notes["popular"] = f"the {most} most viewed subjects of {viewed}"
        return most_viewed(editable, most)
    # Said in the data card: a graph without page views still has well connected entities.
    notes["popular"] = f"no page views are known: the {most} subjects of highest degree"
    degrees = degree_of(graph, editable.select("subject").distinct())
    return best_connected(editable, degrees, most)


def _measure(
    graph: Graph,
    rows: Sequence[dict[str, Any]],
    table: RelationTable,
    config: BuildConfig,
    work: Path,
    notes: dict[str, Any],
) -> None:
    """Add the three measures to rows, None for those that were not made."""
    engine = graph.engine
    subjects = engine.memory(
        [{"subject": name} for name in sorted({row["subject"] for row in rows})],
        {"subject": "string"},
    )
    degrees = {row["subject"]: row["degree"] for row in engine.rows(degree_of(graph, subjects))}
    frequencies: Mapping[str, int] = {}
    if config.corpus:
        named = graph.entities.semi_join(subjects, graph.entities.id == subjects.subject)
        names = {
            row["id"]: [row["label"] or "", *(row["aliases"] or [])]
            for row in engine.rows(named.select("id", "label", "aliases"))
        }
        frequencies = count_mentions(Mentions(names), config.corpus, work / "frequency")
        notes["corpus"] = [{"name": Path(f).name, "sha256": sha256(f)} for f in config.corpus]
    likelihoods: Mapping[tuple[str, str], float | None] = {}
    if config.model:
        scorer = load_scorer(config.model, device=config.device, batch_size=config.batch_size)
        asked = {
            Asked(row["subject"], row["relation"], row["subject_label"], row["object_label"])
            for row in rows
        }
        result = log_likelihoods(sorted(asked), table, scorer, work / "likelihood")
        likelihoods = result.values
        notes["model"] = {**result.model, "facts_without_likelihood": dict(result.skipped)}
    for row in rows:
        row["degree"] = degrees.get(row["subject"], 0)
        row["frequency"] = frequencies.get(row["subject"])
        row["log_likelihood"] = likelihoods.get((row["subject"], row["relation"]))


def _long_tail(
    graph: Graph,
    rows: Sequence[dict[str, Any]],
    config: BuildConfig,
    limit: int,
    notes: dict[str, Any],
) -> list[dict[str, Any]]:
    made = {name for name in MEASURES if any(row[name] is not None for row in rows)}
    by = tuple(name for name in config.long_tail.by if name in made)
    settings = config.long_tail
    notes["long_tail"] = {"by": list(by), "quantile": settings.quantile, "pool": len(rows),
                          "combine": settings.combine}  # fmt: skip
    if not by:
        return []
    measured = graph.engine.memory(rows, COLUMNS)
    tail = long_tailed(measured, settings.quantile, by, settings.combine)
    return graph.engine.rows(spread(tail.select(*COLUMNS), limit, "tail"))
