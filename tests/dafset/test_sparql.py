"""A SPARQL endpoint whose answers are recorded here."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import pytest

from dafnet_plugin.dafset.graph import Drops, Entity, Reason, Statement
from dafnet_plugin.dafset.sources import read_source
from dafnet_plugin.dafset.sources.http import Client, ServiceError
from dafnet_plugin.dafset.sources.options import ReadOptions
from dafnet_plugin.dafset.sources.sparql import SparqlSource
from dafnet_plugin.errors import ConfigError, DataError

URL = "https://query.example/sparql"
ENTITY = "http://www.wikidata.org/entity/"
RANK = "http://wikiba.se/ontology#"


class Recorded(Client):
    """Answers queries for statements and for names."""

    def __init__(self, statements: Any, names: Any = ()) -> None:
        super().__init__()
        self.statements, self.names = statements, names
        self.queries: list[str] = []

    def post(self, url: str, form: Mapping[str, str], headers: Any = None) -> bytes:
        assert url == URL and headers == {"Accept": "application/sparql-results+json"}
        self.queries.append(form["query"])
        rows = self.names if "rdfs:label" in form["query"] else self.statements
        if isinstance(rows, bytes):
            return rows
        return json.dumps({"head": {}, "results": {"bindings": list(rows)}}).encode()


def uri(value: str) -> dict[str, str]:
    return {"type": "uri", "value": value}


def row(subject: str, statement: str, target: Any, rank: str = "Normal", **more: str) -> Any:
    found = {
        "subject": uri(ENTITY + subject),
        "modified": {"type": "literal", "value": "2024-03-07T12:00:00Z"},
        "statement": uri(f"{ENTITY}statement/{statement}"),
        "object": uri(ENTITY + target) if isinstance(target, str) else target,
        "rank": uri(f"{RANK}{rank}Rank"),
    }
    return found | {key: {"type": "literal", "value": value} for key, value in more.items()}


def name(item: str, kind: str, text: str, language: str = "en") -> Any:
    return {
        "item": uri(ENTITY + item),
        "kind": {"type": "literal", "value": kind},
        "text": {"type": "literal", "value": text, "xml:lang": language},
    }


STATEMENTS = [
    row("Q90", "a", "Q1", "Normal", start="2001-03-18T00:00:00Z", startPrecision="11",
        end="2014-00-00T00:00:00Z", endPrecision="9", ended="2014-01-01T00:00:00Z"),
    row("Q90", "a", "Q1", "Normal", ended="2015-01-01T00:00:00Z"),
    row("Q90", "b", "Q2", "Normal"),
    row("Q90", "c", "Q3", "Deprecated"),
    row("Q90", "d", {"type": "bnode", "value": "t1"}),
    row("Q90", "e", uri("http://www.wikidata.org/.well-known/genid/7")),
    row("Q90", "f", {"type": "literal", "value": "text"}),
    row("Q64", "g", "Q2", "Preferred"),
    row("Q64", "h", "Q1", "Normal"),
    row("Q64", "i", "Q1", "Strange"),
    {"subject": {"type": "literal", "value": "Q1"}},
]  # fmt: skip
NAMES = [
    name("Q90", "label", "Paname", "mul"),
    name("Q90", "label", "Paris"),
    name("Q90", "alias", "City of Light"),
    name("Q90", "description", "capital of France"),
    name("Q90", "page", "Paris"),
    name("Q1", "label", "<i>Bertrand</i>"),
    {"item": uri("http://elsewhere/x")},
]


def test_statements_and_names() -> None:
    client, drops = Recorded(STATEMENTS, NAMES), Drops()
    since = datetime(2024, 3, 1, tzinfo=timezone.utc)
    source = SparqlSource(URL, ["P6"], since, client=client)
    found = {entity.id: entity for entity in read_source(source, drops=drops)}
    assert list(found) == ["Q1", "Q2", "Q3", "Q64", "Q90"]
    assert found["Q90"] == Entity(
        "Q90",
        "Paris",
        "capital of France",
        ("City of Light",),
        "Paris",
        datetime(2024, 3, 7, 12, tzinfo=timezone.utc),
        (
            Statement("P6", "Q1", "normal", "2001-03-18", "2014", False),
            Statement("P6", "Q2"),
        ),
    )
    assert [(s.object, s.current) for s in found["Q64"].statements] == [("Q2", True), ("Q1", False)]
    assert found["Q1"].label == "<i>Bertrand</i>" and found["Q2"].label is None
    assert drops == {
        Reason.DEPRECATED: 1,
        Reason.SOMEVALUE: 2,
        Reason.NOT_AN_ITEM: 1,
        Reason.MALFORMED_STATEMENT: 2,
        Reason.ENDED: 1,
        Reason.NOT_BEST: 1,
        Reason.NO_LABEL: 3,
    }
    statements, names = client.queries
    assert "p:P6" in statements and '"2024-03-01T00:00:00Z"^^xsd:dateTime' in statements
    assert "LIMIT 1000" in statements and "wd:Q64 wd:Q90" in names and '"en", "mul"' in names


@pytest.mark.parametrize("order", [1, -1])
def test_the_last_of_several_end_dates_holds(order: int) -> None:
    rows = [
        row("Q1", "a", "Q2", end=f"{year}-01-01T00:00:00Z", endPrecision="9", ended="x")
        for year in (2014, 2016)
    ]
    client = Recorded([*rows[::order], row("Q1", "b", "Q3", "Deprecated"), *rows[:1]])
    found = {entity.id: entity for entity in read_source(SparqlSource(URL, ["P6"], client=client))}
    assert found["Q1"].statements == (Statement("P6", "Q2", "normal", None, "2016", False),)


def test_rows_that_are_no_rows_are_counted() -> None:
    good = row("Q1", "a", "Q2", start="2001-01-01T00:00:00Z", startPrecision="soon")
    rows = [7, {}, {"subject": 7}, good, row("Q1", "b", 7), row("Q1", "c", {"value": [1]})]
    names = [{}, {"item": uri(ENTITY + "Q1"), "text": None}, {"text": 7}, name("Q1", "label", "A")]
    drops = Drops()
    source = SparqlSource(URL, ["P6"], client=Recorded(rows, names))
    (one, _) = read_source(source, drops=drops)
    assert one.label == "A" and one.statements == (Statement("P6", "Q2"),)
    assert drops[Reason.MALFORMED_STATEMENT] == 2 and drops[Reason.NOT_AN_ITEM] == 2
    assert drops[Reason.BAD_TIME] == 1


def test_provenance_has_endpoint_and_query() -> None:
    found = SparqlSource(URL, ["P6", "P36"], limit=5).provenance()
    assert found["endpoint"] == URL and found["relations"] == ["P6", "P36"]
    assert "LIMIT 5" in found["query"] and "FILTER(?modified" not in found["query"]


@pytest.mark.parametrize(
    "answer",
    [
        b'{"results": {"bindings": [ {"subject"\njava.util.concurrent.TimeoutException',
        b"<html>busy</html>",
        b'{"results": {"bindings": 7}}',
        b'{"boolean": true}',
        b"[]",
    ],
)
def test_an_answer_that_is_no_result(answer: bytes) -> None:
    with pytest.raises(ServiceError, match=URL):
        list(read_source(SparqlSource(URL, ["P6"], client=Recorded(answer))))


def test_what_goes_into_a_query_is_checked() -> None:
    with pytest.raises(DataError, match="relations of SPARQL: 'P6 } DELETE'"):
        SparqlSource(URL, ["P6 } DELETE"])
    with pytest.raises(ConfigError, match="limit: 0"):
        SparqlSource(URL, ["P6"], limit=0)
    with pytest.raises(ConfigError, match=r"URL 'query.example'"):
        SparqlSource("query.example", ["P6"])


def test_an_empty_answer_has_no_chunks(tmp_path: Path) -> None:
    source = SparqlSource(URL, ["P6"], client=Recorded([]))
    assert list(source.chunks(ReadOptions())) == []
