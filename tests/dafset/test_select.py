"""Selection on a small graph; every test runs on DuckDB and on Spark."""

from __future__ import annotations

import hashlib
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from dafnet_plugin.dafset.changes import compare_stores
from dafnet_plugin.dafset.engine import Engine, open_engine
from dafnet_plugin.dafset.longtail import long_tailed
from dafnet_plugin.dafset.pools import COLUMNS
from dafnet_plugin.dafset.popularity import (
    Neighbourhood,
    best_connected,
    most_viewed,
    subject_counts,
)
from dafnet_plugin.dafset.relations import RelationTable, load_relations
from dafnet_plugin.dafset.select import (
    Graph,
    changed,
    classes_below,
    common_labels,
    degree_of,
    dropped,
    ended,
    facts_of,
    open_graph,
    recent,
    spread,
    statements_of,
)
from dafnet_plugin.dafset.store import Store
from dafnet_plugin.errors import ConfigError
from tests.dafset.small_store import NOW, small_world, write_small_store

Rows = list[dict[str, Any]]


@pytest.fixture(scope="module", params=["duckdb", pytest.param("spark", marks=pytest.mark.slow)])
def engine(request: pytest.FixtureRequest) -> Engine:
    if request.param == "spark":
        request.getfixturevalue("spark")
    return open_engine(request.param, threads=1)


@pytest.fixture(scope="module")
def table() -> RelationTable:
    return load_relations()


@pytest.fixture(scope="module")
def graph(engine: Engine, tmp_path_factory: pytest.TempPathFactory) -> Graph:
    return open_graph(engine, write_small_store(tmp_path_factory.mktemp("store")))


@pytest.fixture(scope="module")
def statements(graph: Graph, table: RelationTable, tmp_path_factory: pytest.TempPathFactory) -> Any:
    path = tmp_path_factory.mktemp("work") / "statements.parquet"
    graph.engine.save(statements_of(graph, table, 0, 0.2), path)
    return graph.engine.table(path)


@pytest.fixture(scope="module")
def facts(statements: Any) -> Any:
    return facts_of(statements)


def test_each_reason_against_a_statement(graph: Graph, statements: Any) -> None:
    reasons = {row["reason"]: row["count"] for row in graph.engine.rows(dropped(statements))}
    assert reasons == {
        "no name of the subject": 2,
        "no name of the object": 1,
        "subject and object are the same": 1,
        "several objects": 2,
        "the name gives the object away": 1,
        "several subjects of that name": 2,
        "subject of another type": 1,
        "object of another type": 1,
    }


def test_what_is_left(graph: Graph, facts: Any) -> None:
    rows = graph.engine.rows(facts)
    assert len(rows) == 6 * 4 + 24 + 90 * 5
    assert not [row for row in rows if row["subject"].startswith("Q70")]
    row = next(row for row in rows if row["subject"] == "Q6001" and row["relation"] == "P19")
    assert (row["object"], row["subject_label"], row["object_label"]) == (
        "Q2001", "Person B1", "TownBburg",
    )  # fmt: skip
    assert row["modified"] == int(NOW.timestamp()) - (6001 % 40) * 86_400
    assert row["views"] == (6001 * 7919) % 1000
    # Written here once more, so that no engine can have an MD5 of its own.
    assert row["lot"] == hashlib.md5(b"0 P19 Q6001 ").hexdigest()
    reserved = {row["subject"] for row in rows if row["reserved"]}
    assert reserved == {
        name for name in {row["subject"] for row in rows}
        if hashlib.md5(f"reserved 0 {name} ".encode()).hexdigest() < "33333333"
    }  # fmt: skip
    assert 0.1 < len(reserved) / 120 < 0.3


def test_degree(graph: Graph, facts: Any) -> None:
    rows = graph.engine.rows(degree_of(graph, facts.select("subject").distinct()))
    degrees = {row["subject"]: row["degree"] for row in rows}
    world = [row for row in small_world()[1] if row["current"]]
    ends = Counter(row["subject"] for row in world) + Counter(row["object"] for row in world)
    assert degrees == {name: ends[name] for name in degrees} and len(degrees) == 120


def test_recency(graph: Graph, facts: Any) -> None:
    since = int(NOW.timestamp()) - 7 * 86_400
    rows = graph.engine.rows(recent(facts, since))
    assert {int(row["subject"][1:]) % 40 for row in rows} == set(range(8))


def test_popularity(graph: Graph, facts: Any) -> None:
    rows = graph.engine.rows(facts)
    views = {row["subject"]: row["views"] for row in rows}
    best = sorted(views, key=lambda name: (-views[name], name))[:5]
    assert {r["subject"] for r in graph.engine.rows(most_viewed(facts, 5))} == set(best)
    assert graph.engine.rows(subject_counts(facts)) == [{"all": 120, "viewed": 120}]
    degrees = degree_of(graph, facts.select("subject").distinct())
    hubs = {r["subject"] for r in graph.engine.rows(best_connected(facts, degrees, 6))}
    assert hubs == {f"Q{1000 + n}" for n in range(6)}, "countries have most statements"


def test_a_draw_is_even_and_reproducible(graph: Graph, facts: Any) -> None:
    rows = graph.engine.rows(spread(facts, 24, "a"))
    assert Counter(row["relation"] for row in rows) == dict.fromkeys(
        ("P17", "P19", "P20", "P27", "P30", "P36", "P37", "P103", "P106", "P1376"), 2
    ) | {row["relation"]: 3 for row in rows[20:]}
    assert rows == graph.engine.rows(spread(facts, 24, "a"))
    assert rows != graph.engine.rows(spread(facts, 24, "b"))


def test_new_objects(graph: Graph, facts: Any) -> None:
    tails = graph.engine.memory(
        [{"relation": "P19", "object": "Q2001"}, {"relation": "P27", "object": "Q1000"},
         {"relation": "P30", "object": "Q5000"}],
        {"relation": "string", "object": "string"},
    )  # fmt: skip
    rows = graph.engine.rows(Neighbourhood(graph, facts, 2, 0).candidates(tails))
    found: dict[str, dict[str, int | None]] = {}
    for row in rows:
        found.setdefault(row["relation"], {})[row["candidate"]] = row["hops"]
    # Two statements from Q2001: the other cities of its country, and people's other cities.
    near = {name for name, hops in found["P19"].items() if hops == 2}
    assert {"Q2000", "Q2002", "Q2003"} <= near and "Q2001" not in found["P19"]
    assert all(name.startswith("Q20") for name in found["P19"])
    # Countries that share a continent are two statements apart; the others only fill up.
    assert found["P27"] == {"Q1002": 2, "Q1004": 2, "Q1001": None, "Q1003": None, "Q1005": None}
    assert found["P30"] == {"Q5001": None}
    order = [row["hops"] for row in rows if row["relation"] == "P27"]
    assert order == [2, 2, None, None, None], "the nearest first"


def test_one_hop_finds_neighbours_only(graph: Graph, facts: Any) -> None:
    tails = graph.engine.memory(
        [{"relation": "P27", "object": "Q1000"}], {"relation": "string", "object": "string"}
    )
    rows = graph.engine.rows(Neighbourhood(graph, facts, 1, 0).candidates(tails))
    assert {row["hops"] for row in rows} == {None}, "no country is next to a country"


def test_changes(engine: Engine, facts: Any, tmp_path: Path) -> None:
    entities, statements = small_world()
    for row in statements:
        if (row["subject"], row["relation"]) == ("Q6003", "P19"):
            row["object"] = "Q2009"  # moved since
    unknown = ("Q6004", "P106")
    before = [s for s in statements if (s["subject"], s["relation"]) != unknown]
    merged = {**before[0], "subject": "Q6006", "relation": "P27", "object": "Q77777"}
    before = [s for s in before if (s["subject"], s["relation"]) != ("Q6006", "P27")]
    twice = [{**merged, "subject": "Q6005", "object": name} for name in ("Q1004", "Q1005")]
    kept = [s for s in before if (s["subject"], s["relation"]) != ("Q6005", "P27")]
    old = write_small_store(tmp_path / "old", entities, [*kept, merged, *twice])
    new = write_small_store(tmp_path / "new")
    compare_stores(Store(old), Store(new), tmp_path / "changes.parquet")
    rows = engine.rows(changed(facts, engine.table(tmp_path / "changes.parquet")))
    found = {(row["subject"], row["relation"]): (row["change"], row["old"]) for row in rows}
    assert found == {
        ("Q6003", "P19"): ("changed", "Q2009"),
        ("Q6004", "P106"): ("new", None),
    }, "not what was merged, nor what replaced one of two objects"


def test_what_has_ended(graph: Graph, facts: Any) -> None:
    assert graph.engine.rows(ended(graph, facts)) == [
        {"subject": "Q6000", "relation": "P27", "old": "Q1005"}
    ]


MEASURED: Rows = [
    dict.fromkeys(COLUMNS)
    | {"subject": f"Q{n}", "relation": "P19", "lot": str(n), "degree": n, "frequency": 9 - n,
       "log_likelihood": -1.0 * n if n % 2 else None}
    for n in range(10)
]  # fmt: skip


@pytest.mark.parametrize(
    ("by", "combine", "expected"),
    [
        (("degree",), "mean", {0, 1, 2, 3}),
        (("frequency",), "mean", {6, 7, 8, 9}),
        (("log_likelihood",), "all", {9, 7}),
        (("degree", "frequency"), "mean", set()),
        (("degree", "frequency"), "any", {0, 1, 2, 3, 6, 7, 8, 9}),
        (("degree", "log_likelihood"), "all", {0, 2}),
        (("frequency", "log_likelihood"), "mean", {6, 7, 8, 9}),
    ],
)
def test_the_long_tail(
    engine: Engine, by: tuple[str, ...], combine: str, expected: set[int]
) -> None:
    measured = engine.memory(MEASURED, COLUMNS)
    rows = engine.rows(long_tailed(measured, 0.34, by, combine))
    assert {int(row["subject"][1:]) for row in rows} == expected


def test_wrong_long_tails() -> None:
    with pytest.raises(ConfigError, match=r"'rarity'; allowed: .*quantile: 2"):
        long_tailed(None, 2, ("rarity",), "mean")
    with pytest.raises(ConfigError, match=r"no measure.*combine: 'sum'; allowed: mean"):
        long_tailed(None, 0.1, (), "sum")


def test_types_follow_subclasses(engine: Engine, tmp_path: Path, table: RelationTable) -> None:
    entities, statements = small_world()
    add = {"rank": "normal", "start": None, "end": None, "current": True}
    statements += [
        {"subject": "Q900", "relation": "P279", "object": "Q515", **add},  # spa town: a city
        {"subject": "Q901", "relation": "P279", "object": "Q902", **add},  # something else
        {"subject": "Q2000", "relation": "P31", "object": "Q900", **add},
    ]
    for row in statements:
        if row["subject"] in ("Q2001", "Q2002") and row["relation"] == "P31":
            row["object"] = {"Q2001": "Q901", "Q2002": "Q99"}[row["subject"]]
    graph = open_graph(engine, write_small_store(tmp_path, entities, statements))
    rows = engine.rows(statements_of(graph, table.only(["P19"]), 0, 0.2))
    wrong = {row["object"] for row in rows if row["reason"] == "object of another type"}
    assert wrong == {"Q2001", "Q1000"}, "a class that leads nowhere (Q99) proves nothing"


def test_classes_below() -> None:
    pairs = [("b", "a"), ("c", "b"), ("a", "c"), ("d", "e")]  # with a circle
    assert classes_below(pairs, ["a"]) == {"a", "b", "c"}
    assert classes_below(pairs, ["e", "x"]) == {"d", "e", "x"}


def test_common_labels_fill_gaps(engine: Engine, tmp_path: Path) -> None:
    labels = {row["id"]: row["label"] for row in common_labels()}
    assert labels["Q4964182"] == "philosopher" and len(labels) == len(common_labels())
    entities = [e for e in small_world()[0] if e["id"] == "Q1000"]
    own = {**entities[0], "id": "Q36180", "label": "scribe"}
    graph = open_graph(engine, write_small_store(tmp_path, [*entities, own], small_world()[1]))
    rows = {row["id"]: row["label"] for row in engine.rows(graph.names())}
    assert rows == labels | {"Q1000": "Arland", "Q36180": "scribe"}
