"""Which statements can become samples, as Ibis expressions: DuckDB and Spark run the same.

Ids, labels and Wikidata's rows become *facts*: (subject, relation, object) with names that a
prompt can use, and one true answer. Everything random is an MD5 digest of seed and ids, so that
the choice depends neither on the engine nor on the order of the rows.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dafnet_plugin.dafset.engine import Engine
from dafnet_plugin.dafset.extras import require
from dafnet_plugin.dafset.relations import RelationTable
from dafnet_plugin.errors import DataError

if TYPE_CHECKING:
    from ibis import Table

INSTANCE_OF, SUBCLASS_OF = "P31", "P279"
MAX_LABEL = 80
"""Characters; a longer label is a title or a description, not a name."""
FACT_COLUMNS = ("subject", "relation", "object", "subject_label", "object_label")


@dataclass(frozen=True)
class Graph:
    """A store, opened.

    Attributes:
        entities, statements: its tables.
    """

    engine: Engine
    entities: Table
    statements: Table

    def names(self) -> Table:
        """(id, label) of what has a usable name; names of common things fill gaps."""
        entities = self.entities.select("id", label=self.entities.label.strip())
        label = entities.label
        named = entities.filter(
            label.notnull()
            & (label.length() > 0)
            & (label.length() <= MAX_LABEL)
            & ~label.re_search(r"^[QPL][0-9]+$")
        )
        common = self.engine.memory(common_labels(), {"id": "string", "label": "string"})
        return named.union(common.anti_join(named, "id"))


def open_graph(engine: Engine, store: str | Path) -> Graph:
    """Open the Parquet files of a store.

    Raises:
        DataError: a folder without them.
    """
    tables = {}
    for name in ("entities", "statements"):
        folder = Path(store) / name
        if not any(folder.glob("*.parquet")):
            raise DataError(f"{folder}: no *.parquet; a store written by ingestion is needed")
        tables[name] = engine.table(folder)
    return Graph(engine, tables["entities"], tables["statements"])


def common_labels() -> list[dict[str, str]]:
    """English labels of common objects, for files that have only the ids of objects."""
    text = resources.files(__package__).joinpath("common_labels.tsv").read_text(encoding="utf-8")
    rows = (line.split("\t") for line in text.splitlines() if line and not line.startswith("#"))
    return [{"id": row[0], "label": row[1]} for row in rows]


def chance(*parts: Any) -> Any:
    """A reproducible random text of 32 hexadecimal digits: the MD5 of the parts, a column."""
    ibis = require("ibis")
    text = ibis.literal("")
    for part in parts:
        text = text + (ibis.literal(part + " ") if isinstance(part, str) else part + " ")
    return text.hexdigest("md5")


def share_below(share: float) -> str:
    """The digest below which a share of all digests is."""
    return "g" if share >= 1 else f"{round(share * 16**8):08x}"


def statements_of(graph: Graph, table: RelationTable, seed: int, reserved_share: float) -> Table:
    """Current statements of the table's relations, each with a reason against it, or none.

    Args:
        reserved_share: of the subjects is kept for locality probes and never edited.

    Returns:
        the columns of a fact and ``modified`` (seconds since 1970), ``views``, ``lot`` (for
        random order), ``reserved`` and ``reason``.
    """
    ibis = require("ibis")
    all_statements, names = graph.statements, graph.names()
    current = all_statements.filter(
        all_statements.current & all_statements.relation.isin(list(table))
    )
    current = current.select("subject", "relation", "object").distinct()
    key = [current.subject, current.relation]
    current = current.mutate(objects=current.count().over(group_by=key))
    subjects = names.select(subject="id", subject_label="label")
    objects = names.select(object="id", object_label="label")
    known = current.left_join(subjects, "subject").drop("subject_right")
    known = known.left_join(objects, "object").drop("object_right")
    name = [known.relation, known.subject_label]
    known = known.mutate(
        first=known.subject.min().over(group_by=name), last=known.subject.max().over(group_by=name)
    )
    known = _mark_wrong_types(known, graph, table)
    about = graph.entities.select(
        subject="id",
        modified=graph.entities.modified.epoch_seconds().cast("int64"),
        views=graph.entities.views.cast("int64"),
    )
    known = known.left_join(about, "subject").drop("subject_right")
    said, answer = known.subject_label, known.object_label
    reason = ibis.cases(
        (said.isnull(), "no name of the subject"),
        (answer.isnull(), "no name of the object"),
        (known.subject == known.object, "subject and object are the same"),
        (known.objects > 1, "several objects"),
        (said.contains(answer) | answer.contains(said), "the name gives the object away"),
        (known.first != known.last, "several subjects of that name"),
        (known.wrong_subject, "subject of another type"),
        (known.wrong_object, "object of another type"),
        else_=ibis.null("string"),
    )
    return known.select(
        *FACT_COLUMNS,
        "modified",
        "views",
        lot=chance(f"{seed}", known.relation, known.subject),
        reserved=chance(f"reserved {seed}", known.subject) < share_below(reserved_share),
        reason=reason,
    )


def facts_of(statements: Table) -> Table:
    """The statements that nothing is against."""
    return statements.filter(statements.reason.isnull()).drop("reason")


def named_by_hand(graph: Graph, facts: Table) -> Table:
    """One row: how many facts have an object whose name is not the source's but ours."""
    own = graph.entities.filter(graph.entities.label.notnull()).select(object="id")
    rows = facts.anti_join(own, "object")
    return rows.aggregate(count=rows.count())


def dropped(statements: Table) -> Table:
    """(reason, count), sorted."""
    against = statements.filter(statements.reason.notnull())
    return against.group_by("reason").agg(count=against.count()).order_by("reason")


def degree_of(graph: Graph, subjects: Table) -> Table:
    """(subject, degree): statements of any relation from and to each subject."""
    rows = graph.statements.filter(graph.statements.current)
    ends = rows.select(subject="subject").union(rows.select(subject="object"))
    ends = ends.semi_join(subjects, "subject")
    return ends.group_by("subject").agg(degree=ends.count())


def recent(facts: Table, since: int) -> Table:
    """Facts of entities modified at or after a time (seconds since 1970)."""
    return facts.filter(facts.modified >= since)


def spread(facts: Table, limit: int, draw: str) -> Table:
    """At most so many facts, as many of one relation as of another as far as there are.

    Args:
        draw: a word; draws under other words are independent of this one.
    """
    ibis = require("ibis")
    drawn = facts.mutate(lot=chance(draw, facts.lot))
    order = [drawn.lot, drawn.subject, drawn.object]
    turns = drawn.mutate(turn=ibis.row_number().over(group_by=drawn.relation, order_by=order))
    return turns.order_by(["turn", "lot", "subject", "relation"]).limit(limit)


def changed(facts: Table, changes: Table) -> Table:
    """Facts that an earlier state had not, or had otherwise, with ``change`` and ``old``.

    Args:
        changes: rows of :class:`dafnet_plugin.dafset.changes.Change`.

    An object that only was merged into another is no change; nor is it known what was replaced
    where a relation had several objects.
    """
    known = changes.filter(changes.kind.isin(["new", "changed"]) & ~changes.old_vanished)
    rows = changes.group_by(["subject", "relation"]).agg(rows=changes.count())
    single = known.semi_join(rows.filter(rows.rows == 1), ["subject", "relation"])
    single = single.select("subject", "relation", object="new", change="kind", old="old")
    return facts.inner_join(single, ["subject", "relation", "object"])


def ended(graph: Graph, facts: Table) -> Table:
    """(subject, relation, old): what held last before, by the end dates that statements have."""
    rows = graph.statements.filter(graph.statements.end.notnull() & ~graph.statements.current)
    rows = rows.semi_join(facts, ["subject", "relation"])
    key = [rows.subject, rows.relation]
    rows = rows.mutate(latest=rows.end.max().over(group_by=key))
    last = rows.filter(rows.end == rows.latest)
    return last.group_by(["subject", "relation"]).agg(old=last.object.min())


def classes_below(pairs: Iterable[tuple[str, str]], roots: Iterable[str]) -> set[str]:
    """Classes that are one of ``roots`` or below one.

    Args:
        pairs: (class, class above it).
    """
    below: dict[str, list[str]] = {}
    for lower, upper in pairs:
        below.setdefault(upper, []).append(lower)
    found, waiting = set(roots), list(roots)
    while waiting:
        for lower in below.get(waiting.pop(), ()):
            if lower not in found:
                found.add(lower)
                waiting.append(lower)
    return found


def _mark_wrong_types(known: Table, graph: Graph, table: RelationTable) -> Table:
    """Add ``wrong_subject`` and ``wrong_object``: known to be of none of the classes.

    An entity whose classes lead nowhere (no P279 in a partial store) is given the benefit of
    the doubt, as is one without a class.
    """
    ibis = require("ibis")
    instances = graph.statements.filter(
        (graph.statements.relation == INSTANCE_OF) & graph.statements.current
    ).select(entity="subject", of="object")
    members, decided = _members(graph, table)
    undecided = instances.anti_join(decided, "of").select("entity").distinct()
    judged = instances.select("entity").distinct().anti_join(undecided, "entity")
    judged = judged.mutate(judged=ibis.literal(True))
    fits = instances.join(members, "of").select("entity", "kind").distinct()
    fits = fits.mutate(fits=ibis.literal(True))
    for side in ("subject", "object"):
        wanted = graph.engine.memory(
            [
                {"relation": name, "kind": getattr(relation, side)}
                for name, relation in table.items()
                if _classes(table, getattr(relation, side))
            ],
            {"relation": "string", "kind": "string"},
        )
        known = known.left_join(wanted, "relation").drop("relation_right")
        known = known.left_join(judged, known[side] == judged.entity).drop("entity")
        known = known.left_join(fits, [known[side] == fits.entity, known.kind == fits.kind]).drop(
            "entity", "kind_right"
        )
        wrong = known.kind.notnull() & known.judged.notnull() & known.fits.isnull()
        known = known.mutate(**{f"wrong_{side}": wrong}).drop("kind", "judged", "fits")
    return known


def _members(graph: Graph, table: RelationTable) -> tuple[Table, Table]:
    """(kind, of): classes of each type; (of): classes whose place is known."""
    rows = graph.statements.filter(
        (graph.statements.relation == SUBCLASS_OF) & graph.statements.current
    ).select("subject", "object")
    pairs = [(row["subject"], row["object"]) for row in graph.engine.rows(rows)]
    # All types of the table, also those of no relation: what is one of them is decided.
    roots = {kind: _classes(table, kind) for kind in sorted(table.types)}
    members = [
        {"kind": kind, "of": name}
        for kind, classes in roots.items()
        for name in sorted(classes_below(pairs, classes))
    ]
    decided = {lower for lower, _ in pairs} | {row["of"] for row in members}
    engine = graph.engine
    return (
        engine.memory(members, {"kind": "string", "of": "string"}),
        engine.memory([{"of": name} for name in sorted(decided)], {"of": "string"}),
    )


def _classes(table: RelationTable, kind: str) -> tuple[str, ...]:
    types: Mapping[str, Any] = table.types
    return types[kind].classes if kind in types else ()
