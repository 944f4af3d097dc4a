"""From files to a store: the same bytes whatever happens on the way."""

from __future__ import annotations

import gzip
import hashlib
import json
import os
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, datetime, timezone
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from dafnet_plugin.dafset import ingest as ingest_module
from dafnet_plugin.dafset.extras import require
from dafnet_plugin.dafset.graph import Drops, Entity, Reason, Statement
from dafnet_plugin.dafset.ingest import Progress, ingest
from dafnet_plugin.dafset.sources import EntityChunk, read_source
from dafnet_plugin.dafset.sources.dump import DumpSource
from dafnet_plugin.dafset.sources.files import TruncatedError
from dafnet_plugin.dafset.sources.options import ReadOptions
from dafnet_plugin.dafset.store import ENTITIES, STATEMENTS, Store, write_store
from dafnet_plugin.dafset.synthetic import SyntheticConfig, write_dump
from dafnet_plugin.errors import ConfigError, DataError
from tests.dafset.wikidata import claim, item, write_items

CHUNK = 100_000


@pytest.fixture(scope="module")
def dump(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("dump")
    return write_dump(folder / "wikidata-20240308-all.json", SyntheticConfig(60))


def bytes_of(store: Store) -> dict[str, str]:
    return {
        f"{table}/{path.name}": hashlib.sha256(path.read_bytes()).hexdigest()
        for table in ("entities", "statements")
        for path in store.files(table)
    }


class Given:
    """A source of entities that are there; ``broken`` after so many chunks."""

    def __init__(self, name: str, *chunks: list[Entity], broken: bool = False) -> None:
        self.name, self.parts, self.broken = name, chunks, broken

    def provenance(self) -> dict[str, Any]:
        return {"kind": "given", "name": self.name, "retrieved": str(datetime.now())}

    def chunks(self, options: object, done: object = ()) -> Iterator[EntityChunk]:
        for number, part in enumerate(self.parts):
            if number not in done:  # type: ignore[operator]
                yield EntityChunk(number, tuple(part), {Reason.BROKEN: 1})
        if self.broken:
            raise DataError("the service went away")


def test_a_store_is_what_the_source_gives(dump: Path, tmp_path: Path) -> None:
    told: list[Progress] = []
    store = ingest([dump], tmp_path / "s", chunk_bytes=CHUNK, progress=told.append)
    drops = Drops()
    expected = list(read_source(DumpSource(dump), ReadOptions(as_of=date(2024, 3, 8)), drops))
    assert list(store.entities()) == expected
    assert store.drops == drops
    assert store.info["dump_date"] == "2024-03-08" and store.info["plan"]["as_of"] == "2024-03-08"
    statements = [s for entity in expected for s in entity.statements]
    assert store.info["counts"] == {
        "entities": 60,
        "statements": len(statements),
        "current": sum(s.current for s in statements),
        "redirected_objects": 0,
    }
    assert pq.read_schema(store.files("entities")[0]).equals(ENTITIES)
    assert pq.read_schema(store.files("statements")[0]).equals(STATEMENTS)
    assert told[-1].entities == 60 and told[-1].chunks == len(told) > 4
    assert not (store.path / "chunks").exists()


def test_chunks_compression_and_processes_change_no_byte(dump: Path, tmp_path: Path) -> None:
    packed = tmp_path / f"{dump.name}.gz"
    packed.write_bytes(gzip.compress(dump.read_bytes()))
    expected = bytes_of(ingest([dump], tmp_path / "0"))
    assert bytes_of(ingest([packed], tmp_path / "1", chunk_bytes=CHUNK)) == expected
    assert bytes_of(ingest([packed], tmp_path / "2", chunk_bytes=CHUNK, jobs=2)) == expected


def test_rows_are_spread_over_files(
    dump: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("dafnet_plugin.dafset.finish.ENTITY_ROWS", 7)
    monkeypatch.setattr("dafnet_plugin.dafset.finish.STATEMENT_ROWS", 50)
    store = ingest([dump], tmp_path / "s", chunk_bytes=CHUNK)
    sizes = [pq.read_metadata(path).num_rows for path in store.files("entities")]
    assert sizes == [7] * 8 + [4]
    assert [e.id for e in store.entities()] == [f"Q{n}" for n in range(1, 61)]


def test_an_interrupted_ingest_goes_on(
    dump: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    expected = bytes_of(ingest([dump], tmp_path / "whole"))
    written = list[int]()
    real = ingest_module.write_chunk

    def interrupted(chunk: Any, *rest: Any) -> int:
        if len(written) == 3:
            raise KeyboardInterrupt
        written.append(chunk.number)
        return real(chunk, *rest)

    monkeypatch.setattr(ingest_module, "write_chunk", interrupted)
    with pytest.raises(KeyboardInterrupt):
        ingest([dump], tmp_path / "s", chunk_bytes=CHUNK)
    with pytest.raises(DataError, match="was not finished; run it again"):
        Store(tmp_path / "s")
    # A chunk without its note is one that was being written.
    (tmp_path / "s" / "chunks" / "000" / "000002.json").unlink()
    monkeypatch.setattr(ingest_module, "write_chunk", real)
    told: list[Progress] = []
    store = ingest([dump], tmp_path / "s", chunk_bytes=CHUNK, progress=told.append)
    assert written == [0, 1, 2] and bytes_of(store) == expected
    assert told[-1].chunks < 8, "finished chunks are not read again"


def test_a_finished_store_is_left_as_it_is(dump: Path, tmp_path: Path) -> None:
    first = ingest([dump], tmp_path / "s")
    told: list[Progress] = []
    assert ingest([dump], tmp_path / "s", progress=told.append).info == first.info and not told


def test_a_store_of_other_input_is_not_mixed_up(dump: Path, tmp_path: Path) -> None:
    ingest([dump], tmp_path / "s")
    with pytest.raises(DataError, match="language was 'en', now it is 'de'"):
        ingest([dump], tmp_path / "s", language="de")
    with pytest.raises(DataError, match="1 sources, now 2"):
        ingest([dump, dump], tmp_path / "s")
    other = write_items(tmp_path / dump.name, [item(1)])
    with pytest.raises(DataError, match="differs in files"):
        ingest([other], tmp_path / "s")
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "thesis.txt").write_text("mine")
    with pytest.raises(DataError, match=r"is not empty, and has no store.json"):
        ingest([dump], tmp_path / "full")


def test_the_rest_of_a_download(dump: Path, tmp_path: Path) -> None:
    expected = bytes_of(ingest([dump], tmp_path / "whole"))
    path, packed = tmp_path / f"{dump.name}.gz", gzip.compress(dump.read_bytes())
    path.write_bytes(packed[: len(packed) * 2 // 3])
    with pytest.raises(TruncatedError, match="What came before is kept"):
        ingest([path], tmp_path / "s", chunk_bytes=CHUNK)
    kept = list((tmp_path / "s" / "chunks").glob("*/*.json"))
    assert kept
    path.write_bytes(packed)
    told: list[Progress] = []
    store = ingest([path], tmp_path / "s", chunk_bytes=CHUNK, progress=told.append)
    assert bytes_of(store) == expected
    assert told[-1].entities < 60 and store.info["plan"]["sources"][0]["files"][0]["size"] == len(
        packed
    )


def test_a_service_that_goes_away(tmp_path: Path) -> None:
    parts = [Entity("Q1", "a")], [Entity("Q2", "b")]
    with pytest.raises(DataError, match="went away"):
        ingest([Given("x", *parts, broken=True)], tmp_path / "s")
    told: list[Progress] = []
    store = ingest([Given("x", *parts, [Entity("Q3")])], tmp_path / "s", progress=told.append)
    assert [e.id for e in store.entities()] == ["Q1", "Q2", "Q3"]
    assert told[-1].chunks == 1 and store.drops[Reason.BROKEN] == 3


@dataclass(frozen=True)
class Killed:
    """A chunk whose reader dies, as by a system that is out of memory."""

    number: int

    def entities(self, options: ReadOptions, drops: Drops) -> Iterator[Entity]:
        os._exit(9)


class Deadly(Given):
    def chunks(self, options: object, done: object = ()) -> Iterator[Any]:
        yield Killed(0)


def test_a_process_that_is_killed(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"was killed .*the same call goes on from there"):
        ingest([Deadly("x")], tmp_path / "s", jobs=2)


def test_missing_libraries() -> None:
    with pytest.raises(ConfigError, match=r"no_such_thing cannot be imported; .*'dafnet-plugin\[s"):
        require("no_such_thing", extra="spark")
    assert require("json") is json


def at(day: int) -> datetime:
    return datetime(2024, 3, day, tzinfo=timezone.utc)


def test_an_entity_of_several_sources_is_taken_once(tmp_path: Path) -> None:
    fact = (Statement("P31", "Q5"),)
    store = ingest(
        [
            Given(
                "a", [Entity("Q1", "old", modified=at(1), statements=fact), Entity("Q2", "bare")]
            ),
            Given(
                "b", [Entity("Q1", "new", modified=at(2)), Entity("Q2", "full", statements=fact)]
            ),
            Given("c", [Entity("Q1", "undated", statements=fact), Entity("Q3"), Entity("Q3", "x")]),
        ],
        tmp_path / "s",
    )
    found = {entity.id: entity for entity in store.entities()}
    assert [e.id for e in store.entities()] == ["Q1", "Q2", "Q3"]
    assert found["Q1"].label == "new" and found["Q1"].statements == ()
    assert found["Q2"].label == "full" and found["Q2"].statements == fact
    assert store.drops[Reason.DUPLICATE] == 4


def test_redirects_are_followed(tmp_path: Path) -> None:
    entities = [
        Entity("Q1", statements=(Statement("P1", "Q7"), Statement("P1", "Q5"))),
        Entity("Q3", redirected_from=("Q8",)),
        Entity("Q8", redirected_from=("Q7",), statements=(Statement("P1", "Q1"),)),
        Entity("Q4", redirected_from=("Q9",)),
        Entity("Q9", redirected_from=("Q4",)),
    ]
    store = ingest([Given("a", entities[:2]), Given("b", entities[2:])], tmp_path / "s")
    found = {entity.id: entity for entity in store.entities()}
    assert set(found) == {"Q1", "Q3", "Q4", "Q9"}
    assert [s.object for s in found["Q1"].statements] == ["Q3", "Q5"]
    assert store.redirects() == {"Q7": "Q3", "Q8": "Q3"}
    assert store.info["counts"]["redirected_objects"] == 1
    assert store.drops[Reason.REDIRECTED] == 1


def test_the_real_files(data_dir: Path, tmp_path: Path) -> None:
    files = sorted((data_dir / "wikidata").glob("*.*"))
    store = ingest([f for f in files if "property" not in f.name], tmp_path / "s")
    found = {entity.id: entity for entity in store.entities()}
    assert len(found) == store.info["counts"]["entities"] == 917
    assert found["Q42"].label == "Douglas Adams" and found["Q42"].modified is not None
    assert found["Q1040"].label == "Karlsruhe" and store.redirects() == {"Q32063953": "Q1040"}
    assert [source["kind"] for source in store.info["plan"]["sources"]] == [
        "entity json",
        "kgtk",
        "wikidata json dump",
    ]
    assert str(data_dir) not in json.dumps(store.info)


def test_relations_and_language(tmp_path: Path) -> None:
    dump = write_items(
        tmp_path / "d.json",
        [item(1, {r: [claim(r, 5)] for r in ("P31", "P36")}, labels={"de": {"value": "Eins"}})],
    )
    store = ingest([dump], tmp_path / "s", language="de", relations=["P36"])
    (entity,) = store.entities()
    assert entity.label == "Eins" and [s.relation for s in entity.statements] == ["P36"]


def test_nothing_to_read(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no entities in the input; dropped"):
        ingest(
            [write_items(tmp_path / "d.json", [{"type": "property", "id": "P1"}])], tmp_path / "s"
        )
    with pytest.raises(ConfigError, match="sources: none"):
        ingest([], tmp_path / "t")
    with pytest.raises(ConfigError, match="jobs: 0"):
        ingest([tmp_path / "d.json"], tmp_path / "t", jobs=0)


def test_stores_are_checked(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"no store.json"):
        Store(tmp_path)
    (tmp_path / "store.json").write_text('{"format": 99, "complete": true}')
    with pytest.raises(DataError, match="format 99; allowed: 1"):
        Store(tmp_path)
    (tmp_path / "store.json").write_text("[]")
    with pytest.raises(DataError, match="format 'list'"):
        Store(tmp_path)


def test_a_store_from_memory(tmp_path: Path) -> None:
    entities = [
        Entity("Q1", "a", "b", ("c", "d"), "P", at(1), (Statement("P1", "Q2", start="1990"),)),
        Entity("Q2", redirected_from=("Q3",)),
    ]
    store = write_store(tmp_path / "s", entities, {"dump_date": "2024-03-08"})
    assert next(store.entities()) == entities[0]
    assert store.redirects() == {"Q3": "Q2"} and store.info["dump_date"] == "2024-03-08"
    empty = write_store(tmp_path / "e", [])
    assert list(empty.entities()) == [] and len(empty.files("statements")) == 1
