"""What the graph says about chosen facts: what else is true, what may be asked beside an edit."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from dafnet_plugin.dafset.extras import require
from dafnet_plugin.dafset.popularity import Neighbourhood
from dafnet_plugin.dafset.select import Graph

if TYPE_CHECKING:
    from ibis import Table

Row = Mapping[str, Any]
PROBES = 200
"""Locality probes of a relation that are fetched to choose from."""
ABOUT = 8
"""Further facts of a subject that are fetched, for contexts."""


@dataclass(frozen=True)
class Evidence:
    """Everything about the chosen facts that making samples of them needs.

    Attributes:
        candidates: (relation, true object) -> objects that could stand in, nearest first.
        true: (subject, relation) -> all its objects, of any rank and time.
        probes: relation -> facts about subjects that no sample edits.
        linked: (probe's subject, edited subject): a statement joins them, or two lead from the
            first to the second, so that an edit of the second may change what is true of the
            first.
        about: subject -> other facts about it.
        names: id -> label, of earlier objects.
    """

    candidates: Mapping[tuple[str, str], Sequence[Row]]
    true: Mapping[tuple[str, str], frozenset[str]]
    probes: Mapping[str, Sequence[Row]]
    linked: frozenset[tuple[str, str]]
    about: Mapping[str, Sequence[Row]]
    names: Mapping[str, str]


def gather(graph: Graph, facts: Table, chosen: Sequence[Row], *, hops: int, seed: int) -> Evidence:
    """Ask the graph.

    Args:
        facts: all facts, those kept for probes among them.
        chosen: facts that may be edited; ``old`` is an earlier object, or None.
        hops: how far from the true object a new one may be, in statements.
    """
    engine = graph.engine
    text = "string"
    keys = engine.memory(
        _unique({"subject": row["subject"], "relation": row["relation"]} for row in chosen),
        {"subject": text, "relation": text},
    )
    edited = keys.select("subject").distinct()
    tails = engine.memory(
        _unique({"relation": row["relation"], "object": row["object"]} for row in chosen),
        {"relation": text, "object": text},
    )
    near = engine.rows(Neighbourhood(graph, facts, hops, seed).candidates(tails))
    true = engine.rows(
        graph.statements.semi_join(keys, ["subject", "relation"])
        .select("subject", "relation", "object")
        .distinct()
    )
    probes = engine.rows(_first(facts.filter(facts.reserved), "relation", PROBES))
    asked = engine.memory(_unique({"subject": row["subject"]} for row in probes), {"subject": text})
    linked = engine.rows(_linked(graph, asked, edited))
    about = engine.rows(_first(facts.semi_join(edited, "subject"), "subject", ABOUT))
    old = engine.memory(
        _unique({"id": row["old"]} for row in chosen if row.get("old")), {"id": text}
    )
    names = engine.rows(graph.names().semi_join(old, "id"))
    return Evidence(
        candidates=_grouped(near, "relation", "object"),
        true={
            key: frozenset(row["object"] for row in rows)
            for key, rows in _grouped(true, "subject", "relation").items()
        },
        probes={key[0]: rows for key, rows in _grouped(probes, "relation").items()},
        linked=frozenset((row["probe"], row["edited"]) for row in linked),
        about={key[0]: rows for key, rows in _grouped(about, "subject").items()},
        names={row["id"]: row["label"] for row in names},
    )


def _first(facts: Table, by: str, limit: int) -> Table:
    """Some facts of each relation or subject, at random but always the same."""
    ibis = require("ibis")
    order = [facts.lot, facts.subject, facts.object]
    turns = facts.mutate(turn=ibis.row_number().over(group_by=facts[by], order_by=order))
    return turns.filter(turns.turn < limit).order_by([by, "turn"])


def _linked(graph: Graph, asked: Table, edited: Table) -> Table:
    """(probe, edited): see :class:`Evidence`."""
    rows = graph.statements.filter(graph.statements.current)
    rows = rows.select(source="subject", target="object").distinct()
    probes, edits = asked.select(probe="subject"), edited.select(edited="subject")
    forward = probes.join(rows, probes.probe == rows.source).select("probe", "target")
    towards = edits.join(rows, edits.edited == rows.target).select("edited", "source")
    one = forward.join(edits, forward.target == edits.edited).select("probe", "edited")
    back = towards.join(probes, towards.source == probes.probe).select("probe", "edited")
    # From a subject of an edit to a probe's, the other direction.
    backward = edits.join(rows, edits.edited == rows.source).select("edited", "target")
    inward = backward.join(probes, backward.target == probes.probe).select("probe", "edited")
    two = forward.join(towards, forward.target == towards.source).select("probe", "edited")
    return one.union(back).union(inward).union(two).distinct()


def _unique(rows: Iterable[dict[str, Any]]) -> list[dict[str, Any]]:
    return [dict(pairs) for pairs in sorted({tuple(row.items()) for row in rows})]


def _grouped(rows: Iterable[Row], *names: str) -> dict[Any, list[Row]]:
    groups: dict[Any, list[Row]] = {}
    for row in rows:
        groups.setdefault(tuple(row[name] for name in names), []).append(row)
    return groups
