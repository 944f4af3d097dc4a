"""KGTK files."""

from __future__ import annotations

import gzip
from pathlib import Path

import pytest

from dafnet_plugin.dafset.graph import Drops, Entity, Reason, Statement
from dafnet_plugin.dafset.sources import open_source, open_sources, read_source
from dafnet_plugin.dafset.sources.kgtk import KgtkSource
from dafnet_plugin.dafset.sources.options import ReadOptions
from dafnet_plugin.errors import DataError

HEADER = "id\tnode1\tlabel\tnode2\trank\n"


def write(path: Path, *edges: str, header: str = HEADER) -> Path:
    path.write_text(header + "".join(edge.replace(" | ", "\t") + "\n" for edge in edges))
    return path


def read(*paths: Path, **options: object) -> tuple[list[Entity], Drops]:
    drops = Drops()
    source = KgtkSource(paths)
    return list(read_source(source, ReadOptions(**options), drops)), drops  # type: ignore[arg-type]


def test_labels_claims_and_qualifiers_are_joined(tmp_path: Path) -> None:
    claims = write(
        tmp_path / "claims.tsv",
        "e1 | Q90 | P17 | Q142 | normal",
        "e2 | Q90 | P6 | Q1 | normal",
        "e3 | Q90 | P6 | Q2 | preferred",
        "e4 | Q90 | P6 | Q3 | deprecated",
        "e5 | Q9 | P26 | somevalue | normal",
        "e6 | Q9 | P40 | novalue | normal",
        "e7 | Q9 | P569 | ^1952-03-11T00:00:00Z/11 | normal",
        "q1 | e2 | P580 | ^2001-00-00T00:00:00Z/9 | ",
        "q2 | e2 | P582 | ^2014-04-05T00:00:00Z/11 | ",
        "q3 | e1 | P582 | novalue | ",
    )
    labels = write(
        tmp_path / "labels.tsv",
        "l1 | Q90 | label | 'Paris'@en | ",
        "l2 | Q90 | label | 'Paname'@fr | ",
        "l3 | Q90 | alias | 'City of \\'Light\\''@en | ",
        "l4 | Q90 | description | 'capital\\nof France'@en | ",
        'l5 | Q90 | wikipedia_sitelink | "http://en.wikipedia.org/wiki/Paris_%28city%29" | ',
        "l6 | Q142 | label | 'France'@mul | ",
        "l7 | P17 | label | 'country'@en | ",
        "l8 | Q90 | datatype | item | ",
    )
    entities, drops = read(claims, labels)
    assert entities == [
        Entity("Q9"),
        Entity(
            "Q90",
            "Paris",
            "capital of France",
            ("City of 'Light'",),
            "Paris (city)",
            None,
            (
                Statement("P17", "Q142"),
                Statement("P6", "Q1", "normal", "2001", "2014-04-05", False),
                Statement("P6", "Q2", "preferred"),
            ),
        ),
        Entity("Q142", "France"),
    ]
    assert drops == {
        Reason.DEPRECATED: 1,
        Reason.SOMEVALUE: 1,
        Reason.NOVALUE: 1,
        Reason.NOT_AN_ITEM: 1,
        Reason.NOT_BEST: 1,
        Reason.NO_LABEL: 1,
        Reason.NO_ITEM_ENTITY: 1,
        Reason.OTHER_EDGE: 1,
    }
    assert read(labels, claims)[0] == entities, "the order of the files does not matter"
    only, _ = read(claims, labels, relations=frozenset({"P17"}))
    assert [len(entity.statements) for entity in only] == [1, 0]


def test_real_files(data_dir: Path) -> None:
    folder = data_dir / "wikidata"
    paths = [folder / "kgtk-claims.tsv.gz", folder / "kgtk-labels.tsv.gz"]
    (source,) = open_sources(paths)
    assert source == KgtkSource(paths)
    entities = list(read_source(source))
    assert len(entities) == 859 and all(entity.label for entity in entities)
    assert sum(len(entity.statements) for entity in entities) == 4141
    assert {e.label for e in entities} >= {"Mary Wollstonecraft", "Aristotle"}


def test_broken_lines_are_counted(tmp_path: Path) -> None:
    path = write(
        tmp_path / "a.tsv", "e1 | Q1 | P31 | Q5 | normal", "e2 | Q1", "e3 | Q1 | P31 | Q6 | ?"
    )
    with open(path, "ab") as file:
        file.write(b"e4\tQ1\tlabel\t'\xff'@en\tnormal\n")
    entities, drops = read(path)
    assert [s.object for s in entities[0].statements] == ["Q5"]
    assert drops[Reason.BROKEN] == 2 and drops[Reason.MALFORMED_STATEMENT] == 1


def test_wrong_columns(tmp_path: Path) -> None:
    path = write(tmp_path / "a.tsv", header="subject\tpredicate\tobject\n")
    with pytest.raises(DataError, match=r"a\.tsv: no column 'node1', 'label', 'node2' among"):
        read(path)
    with pytest.raises(DataError, match="starts with b'subject"):
        open_source(path)


def test_truncated(tmp_path: Path) -> None:
    path = tmp_path / "a.tsv.gz"
    lines = "".join(f"e{n}\tQ{n}\tP31\tQ5\tnormal\n" for n in range(5000))
    path.write_bytes(gzip.compress((HEADER + lines).encode())[:-2000])
    with pytest.raises(DataError, match="the compressed data end too early"):
        read(path)


def test_chunks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("dafnet_plugin.dafset.sources.kgtk.CHUNK_ENTITIES", 2)
    monkeypatch.setattr("dafnet_plugin.dafset.sources.kgtk._BATCH", 3)
    edges = [f"e{n} | Q{n} | P31 | Q5 | " for n in range(1, 6)]
    path = write(tmp_path / "a.tsv", *edges)
    assert [entity.id for entity in read(path)[0]] == ["Q1", "Q2", "Q3", "Q4", "Q5"]
    left = list(KgtkSource([path]).chunks(ReadOptions(), done={0}))
    assert [chunk.number for chunk in left] == [1, 2]
