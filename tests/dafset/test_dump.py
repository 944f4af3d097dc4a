"""Dumps: chunks, compression, and what can be wrong with a file."""

from __future__ import annotations

import bz2
import gzip
import json
from pathlib import Path
from typing import Any

import pytest

from dafnet_plugin.dafset.graph import Drops, Reason
from dafnet_plugin.dafset.sources import files, open_source, read_source
from dafnet_plugin.dafset.sources.dump import DumpSource, dump_date
from dafnet_plugin.dafset.sources.files import TruncatedError, digest, open_stream, sniff
from dafnet_plugin.dafset.sources.options import ReadOptions
from dafnet_plugin.dafset.synthetic import SyntheticConfig, write_dump
from dafnet_plugin.errors import ConfigError, DataError
from tests.dafset.wikidata import item, write_items


def ids(source: Any, drops: Drops | None = None) -> list[str]:
    return [entity.id for entity in read_source(source, drops=drops)]


@pytest.fixture(scope="module")
def dump(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_dump(tmp_path_factory.mktemp("dump") / "dump.json", SyntheticConfig(60))


def compressed(dump: Path, folder: Path, suffix: str) -> Path:
    path = folder / f"dump.json{suffix}"
    data = dump.read_bytes()
    path.write_bytes(gzip.compress(data) if suffix == ".gz" else bz2.compress(data))
    return path


@pytest.mark.parametrize("suffix", ["", ".gz", ".bz2"])
@pytest.mark.parametrize("chunk_bytes", [3_000, 5_000, 40_000, 1 << 20])
def test_every_entity_is_read_once(
    dump: Path, tmp_path: Path, suffix: str, chunk_bytes: int
) -> None:
    path = compressed(dump, tmp_path, suffix) if suffix else dump
    source = DumpSource(path, chunk_bytes)
    assert ids(source) == [f"Q{number}" for number in range(1, 61)]


@pytest.mark.parametrize("suffix", ["", ".gz"])
def test_chunks_that_are_done_are_left_out(dump: Path, tmp_path: Path, suffix: str) -> None:
    path = compressed(dump, tmp_path, suffix) if suffix else dump
    source = DumpSource(path, 100_000)
    chunks = {chunk.number: chunk for chunk in source.chunks(ReadOptions())}
    assert len(chunks) > 4 and list(chunks) == list(range(len(chunks)))
    left = list(source.chunks(ReadOptions(), done={0, 2}))
    assert [chunk.number for chunk in left] == [n for n in chunks if n not in (0, 2)]
    for chunk in left:
        same = chunks[chunk.number].entities(ReadOptions(), Drops())
        assert list(chunk.entities(ReadOptions(), Drops())) == list(same)


def test_layouts_of_lines(tmp_path: Path) -> None:
    lines = [json.dumps(item(number)) for number in (1, 2, 3)]
    path = tmp_path / "dump.json"
    for text in (
        "[\r\n" + ",\r\n".join(lines) + "\r\n]\r\n",
        "[" + ",\n".join(lines) + "]",
        "[\n\n" + " ,\n".join(lines) + ",\n]",
        "\n".join(lines),  # JSON lines
        "\n".join(lines) + "\n",
    ):
        path.write_text(text, newline="")
        assert ids(open_source(path)) == ["Q1", "Q2", "Q3"], text[:20]


def test_a_broken_line_in_the_middle_is_counted(tmp_path: Path) -> None:
    broken = json.dumps(item(2))[:-7]
    path = write_items(tmp_path / "d.json", [item(1), broken, b"\xff\xfe", "[]", item(3)])
    drops = Drops()
    assert ids(DumpSource(path), drops) == ["Q1", "Q3"]
    assert drops == {Reason.BROKEN: 2}


def test_the_dump_with_bugs(data_dir: Path) -> None:
    path = data_dir / "wikidata" / "mock-dump-with-bugs.json"
    source, drops = open_source(path), Drops()
    assert isinstance(source, DumpSource)
    entities = {entity.id: entity for entity in read_source(source, drops=drops)}
    assert len(entities) == 55
    assert entities["Q8"].label is None  # its labels are a list
    assert {s.object for s in entities["Q8"].statements} == {"Q331769", "Q9415"}
    assert drops == {Reason.NO_ITEM_ENTITY: 46, Reason.NO_LABEL: 55}


@pytest.mark.parametrize("suffix", [".gz", ".bz2"])
def test_truncated_compression(dump: Path, tmp_path: Path, suffix: str) -> None:
    path = compressed(dump, tmp_path, suffix)
    data = path.read_bytes()
    if suffix == ".bz2":  # blocks of 900 kB: a second stream is cut
        data += data
    path.write_bytes(data[: len(data) * 3 // 4])
    source, found = DumpSource(path, 50_000), []
    with pytest.raises(TruncatedError, match=r"the dump ends too early.*What came before is kept"):
        for entity in read_source(source):
            found.append(entity.id)
    assert found[:4] == ["Q1", "Q2", "Q3", "Q4"] and len(found) > 10
    taken = ids(DumpSource(path, 50_000, allow_truncated=True))
    assert taken[: len(found)] == found and len(taken) >= len(found)


def test_a_plain_dump_that_was_cut(dump: Path, tmp_path: Path) -> None:
    path = tmp_path / "cut.json"
    path.write_bytes(dump.read_bytes()[:-30_000])
    found: list[str] = []
    with pytest.raises(TruncatedError, match="there is no ] at its end"):
        for entity in read_source(DumpSource(path, 100_000)):
            found.append(entity.id)
    assert 20 < len(found) < 60
    drops = Drops()
    assert len(ids(DumpSource(path, allow_truncated=True), drops)) >= len(found)
    assert drops[Reason.BROKEN] == 1


def test_damaged_compression(dump: Path, tmp_path: Path) -> None:
    for suffix, place in ((".gz", 3000), (".bz2", 3000)):
        path = compressed(dump, tmp_path, suffix)
        data = bytearray(path.read_bytes())
        data[place : place + 40] = b"\0" * 40
        path.write_bytes(data)
        with pytest.raises(DataError, match=rf"dump.json{suffix}: "):
            ids(DumpSource(path))


@pytest.mark.parametrize(
    ("content", "what"),
    [
        (b"", "the file is empty"),
        (b"PK\x03\x04rest", "is a zip archive"),
        (b"\x28\xb5\x2f\xfdrest", "is zstd"),
        (b"<!DOCTYPE html><html>", "is HTML or XML"),
        (b"PAR1....", "is Parquet"),
        (b"id,label\n1,2\n", "starts with b'id,label"),
        (gzip.compress(b"just text"), "starts with b'just text'"),
        (b"\x1f\x8bno", "dump.json: "),
    ],
)
def test_wrong_file_types(tmp_path: Path, content: bytes, what: str) -> None:
    path = tmp_path / "dump.json"
    path.write_bytes(content)
    with pytest.raises(DataError) as caught:
        open_source(path)
    assert what in str(caught.value)
    assert str(path) in str(caught.value)


def test_a_missing_file(tmp_path: Path) -> None:
    for read in (sniff, digest, open_source):
        with pytest.raises(DataError, match=r"nowhere.json: cannot be read: No such file"):
            read(tmp_path / "nowhere.json")
    with pytest.raises(DataError, match="cannot be read: Is a directory"):
        open_source(tmp_path)


def test_a_dump_that_is_not_an_entity_a_line(tmp_path: Path) -> None:
    path = tmp_path / "pretty.json"
    path.write_text(json.dumps([item(1), item(2)], indent=1))
    with pytest.raises(DataError, match=r"none of the first \d+ lines is an entity"):
        ids(DumpSource(path))


def test_a_line_without_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("dafnet_plugin.dafset.sources.dump.MAX_LINE", 1000)
    for name in ("long.json", "long.json.gz"):
        path = tmp_path / name
        text = b"[" + b'"' + b"x" * 5000
        path.write_bytes(gzip.compress(text) if name.endswith(".gz") else text)
        with pytest.raises(DataError, match="a line is longer than 1000 bytes"):
            ids(DumpSource(path, chunk_bytes=100, allow_truncated=True))


def test_without_the_fast_libraries(
    dump: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import sys

    monkeypatch.setitem(sys.modules, "isal", None)
    monkeypatch.setitem(sys.modules, "indexed_bzip2", None)
    for suffix in (".gz", ".bz2"):
        assert len(ids(DumpSource(compressed(dump, tmp_path, suffix), threads=2))) == 60
    path = compressed(dump, tmp_path, ".gz")
    path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(TruncatedError):
        ids(DumpSource(path))


def test_bzip2_on_several_threads(dump: Path, tmp_path: Path) -> None:
    pytest.importorskip("indexed_bzip2")
    path = compressed(dump, tmp_path, ".bz2")
    assert len(ids(DumpSource(path, 30_000, threads=2))) == 60
    path.write_bytes(path.read_bytes()[:-500])
    with pytest.raises(DataError):
        ids(DumpSource(path, 30_000, threads=2))


def test_provenance_names_no_machine(dump: Path) -> None:
    found = DumpSource(dump).provenance()
    assert found["files"] == [
        {"file": "dump.json", "sha256": digest(dump), "size": dump.stat().st_size}
    ]
    assert str(dump.parent) not in json.dumps(found)
    assert digest(dump, 10) == digest_of(dump.read_bytes()[:10])


def digest_of(data: bytes) -> str:
    import hashlib

    return hashlib.sha256(data).hexdigest()


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("wikidata-20240308-all.json.gz", "2024-03-08"),
        ("2024-03-08.json", "2024-03-08"),
        ("20240308/all.json", "2024-03-08"),
        ("wikidata-20241308-all.json", None),
        ("latest-all.json.gz", None),
        ("120240308.json", None),
    ],
)
def test_the_day_of_a_dump(tmp_path: Path, name: str, expected: str | None) -> None:
    day = dump_date(Path("/data/dumps") / name)
    assert (day.isoformat() if day else None) == expected


def test_options_are_checked(dump: Path) -> None:
    with pytest.raises(ConfigError, match="chunk_bytes: 0; allowed: at least 1"):
        DumpSource(dump, 0)


def test_streams_close(dump: Path) -> None:
    with open_stream(dump) as file:
        assert file.read(1) == b"["
    assert file.closed
    assert files.is_compressed(dump) is False
