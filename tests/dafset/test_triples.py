"""Triples with labels: ids that are there, ids that are made, and what is dropped."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from dafnet_plugin.dafset.graph import Drops, Entity, Reason, Statement
from dafnet_plugin.dafset.sources import open_source, open_sources, read_source
from dafnet_plugin.dafset.sources.files import sniff
from dafnet_plugin.dafset.sources.options import ReadOptions
from dafnet_plugin.dafset.sources.triples import FIRST_MADE, TripleSource, made_id
from dafnet_plugin.errors import DataError

ADA = {"sub_label": "Ada", "obj_label": "London", "uuid": "1"}


def write(path: Path, *records: Any) -> Path:
    lines = (record if isinstance(record, str) else json.dumps(record) for record in records)
    path.write_text("\n".join(lines) + "\n")
    return path


def read(*paths: Path, drops: Drops | None = None, **options: Any) -> dict[str, Entity]:
    source = TripleSource(paths)
    return {entity.id: entity for entity in read_source(source, ReadOptions(**options), drops)}


def test_labels_alone(tmp_path: Path) -> None:
    born = write(tmp_path / "P19.jsonl", ADA, ADA, {"sub_label": "Bo", "obj_label": " London "})
    died = write(tmp_path / "P20.jsonl", {"sub_label": "Ada", "obj_label": "Paris"})
    found = read(born, died)
    assert {entity.label for entity in found.values()} == {"Ada", "Bo", "London", "Paris"}
    assert found[made_id("Ada")].statements == (
        Statement("P19", made_id("London")),
        Statement("P20", made_id("Paris")),
    )
    assert all(int(name[1:]) >= FIRST_MADE for name in found)
    assert read(died, born).keys() == found.keys(), "whatever the order of the files"


def test_items_of_wikidata(tmp_path: Path) -> None:
    record = ADA | {"sub_uri": "Q7259", "obj_uri": "Q84", "predicate_id": "P19"}
    path = write(tmp_path / "facts.jsonl", record)
    assert read(path)["Q7259"].statements == (Statement("P19", "Q84"),)
    assert read(path, relations=frozenset({"P20"}))["Q7259"].statements == ()


def test_what_is_dropped_is_counted(tmp_path: Path) -> None:
    broken = ('{"sub_label"', "", "[3]", {"sub_label": "Ada"}, ADA | {"obj_label": " "}, ADA)
    drops = Drops()
    found = read(write(tmp_path / "P19.jsonl", *broken), drops=drops)
    assert len(found) == 2
    assert drops == {Reason.BROKEN: 1, Reason.MALFORMED_STATEMENT: 3}


@pytest.mark.parametrize("more", [{}, {"predicate_id": 19}])
def test_no_relation(tmp_path: Path, more: dict[str, Any]) -> None:
    path = write(tmp_path / "facts.jsonl", ADA | more)
    with pytest.raises(DataError, match=r"facts\.jsonl: relation .*such as P19\.jsonl"):
        read(path)


def test_they_are_told_from_other_files_and_belong_together(tmp_path: Path) -> None:
    born, died = (write(tmp_path / f"{name}.jsonl", ADA) for name in ("P19", "P20"))
    assert sniff(born) == "triples" and isinstance(open_source(born), TripleSource)
    (both,) = open_sources([born, died])
    assert [item["file"] for item in both.provenance()["files"]] == ["P19.jsonl", "P20.jsonl"]
    dump = write(tmp_path / "dump.json", {"id": "Q1", "labels": {}}, {"id": "Q2", "labels": {}})
    assert sniff(dump) == "dump"


def test_chunks_that_are_done_are_not_given_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("dafnet_plugin.dafset.sources.CHUNK_ENTITIES", 2)
    people = [{"sub_label": f"Person {n}", "obj_label": "London"} for n in range(4)]
    source = TripleSource([write(tmp_path / "P19.jsonl", "{", *people)])
    numbers = [chunk.number for chunk in source.chunks(ReadOptions())]
    assert numbers == [0, 1, 2]
    assert [chunk.number for chunk in source.chunks(ReadOptions(), done=[0, 1])] == [2]
