"""Files are replaced as a whole or not at all, and malformed ones are named."""

from __future__ import annotations

import errno
import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dafnet_plugin.errors import DataError
from dafnet_plugin.files import (
    atomic_path,
    read_json,
    read_jsonl,
    sha256,
    write_json,
    write_text,
)


@pytest.mark.parametrize("error", [OSError(errno.ENOSPC, "No space left"), KeyboardInterrupt()])
def test_an_interrupted_write_leaves_the_old_file_and_nothing_else(
    tmp_path: Path, error: BaseException
) -> None:
    target = tmp_path / "file.txt"
    target.write_text("old")
    with pytest.raises(type(error)), atomic_path(target) as path:
        path.write_text("half of the n")
        raise error
    assert target.read_text() == "old"
    assert list(tmp_path.iterdir()) == [target]


def test_a_full_disk_when_bytes_reach_it_leaves_the_old_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    target = tmp_path / "file.txt"
    write_text(target, "old")

    def full(_: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("os.fsync", full)
    with pytest.raises(OSError, match="No space left"):
        write_text(target, "new")
    assert target.read_text() == "old"
    assert list(tmp_path.iterdir()) == [target]


def test_a_write_replaces_the_file_and_makes_its_folder(tmp_path: Path) -> None:
    target = tmp_path / "new" / "folder" / "file.json"
    write_json(target, {"b": 1, "a": ["é", None]})
    write_json(target, {"b": 2})
    assert read_json(target) == {"b": 2}
    assert list(target.parent.iterdir()) == [target]


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(st.characters(exclude_categories=["Cs"])),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text("abc"), inner, max_size=3),
    max_leaves=6,
)


@settings(deadline=None)
@given(values=st.lists(JSON, max_size=5))
def test_lines_of_json_are_read_as_written(
    tmp_path_factory: pytest.TempPathFactory, values: list[Any]
) -> None:
    path = tmp_path_factory.mktemp("jsonl") / "values.jsonl"
    write_text(path, "".join(json.dumps(v, ensure_ascii=False) + "\n\n" for v in values))
    assert read_jsonl(path) == values


@pytest.mark.parametrize("breaker", ["\u2028", "\u0085", "\x1c"])
def test_characters_that_look_like_line_ends_do_not_cut_a_record(
    tmp_path: Path, breaker: str
) -> None:
    path = tmp_path / "values.jsonl"
    # \x1c must be escaped in JSON, the others need not be.
    write_text(path, json.dumps({"text": f"a{breaker}b"}, ensure_ascii=False) + "\n")
    assert read_jsonl(path) == [{"text": f"a{breaker}b"}]


def test_files_with_windows_line_ends_are_read(tmp_path: Path) -> None:
    path = tmp_path / "values.jsonl"
    path.write_bytes(b'{"a": 1}\r\n\r\n{"a": 2}\r\n')
    assert read_jsonl(path) == [{"a": 1}, {"a": 2}]


def test_malformed_json_names_file_line_and_column(tmp_path: Path) -> None:
    lines = tmp_path / "cases.jsonl"
    lines.write_text('{"a": 1}\n\n{"a": 1,}\n')
    with pytest.raises(DataError, match=r"cases.jsonl: line 3, column \d+: not JSON"):
        read_jsonl(lines)
    whole = tmp_path / "cases.json"
    whole.write_text('{\n "a": 1\n "b": 2}')
    with pytest.raises(DataError, match=r"cases.json: line 3, column 2: not JSON"):
        read_json(whole)


@pytest.mark.parametrize("read", [read_json, read_jsonl])
def test_missing_files_folders_and_other_encodings_are_named(tmp_path: Path, read: Any) -> None:
    with pytest.raises(DataError, match=r"none.json: cannot be read: No such file"):
        read(tmp_path / "none.json")
    with pytest.raises(DataError, match="cannot be read"):
        read(tmp_path)
    (tmp_path / "latin.json").write_bytes('"é"'.encode("latin-1"))
    with pytest.raises(DataError, match=r"latin.json: byte 1 is not UTF-8"):
        read(tmp_path / "latin.json")


def test_digest_of_a_known_file(tmp_path: Path) -> None:
    (tmp_path / "abc").write_bytes(b"abc")
    assert sha256(tmp_path / "abc").startswith("ba7816bf8f01cfea414140de5dae2223b00361a396177a9c")
