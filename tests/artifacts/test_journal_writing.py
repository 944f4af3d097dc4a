"""What is written to a journal is there or not there, whatever interrupts or refuses it."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

from dafnet_plugin.artifacts import journal as module
from dafnet_plugin.artifacts.journal import FILE, SNAPSHOTS, Journal, read_journal
from dafnet_plugin.editing.record import edits_of
from tests.artifacts.test_edits import FACTS, held
from tests.artifacts.test_journal import journalled, journalled_and_closed


def test_a_full_disk_is_no_edit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    edits = journalled(tmp_path)
    edits.edit(FACTS[:2])
    before, mark = held(edits.editor), edits.editor.snapshot()
    data = (tmp_path / FILE).read_bytes()

    def full(descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(module.os, "fsync", full)
    for change in (lambda: edits.edit([FACTS[2]]), lambda: edits.undo("1")):
        with pytest.raises(OSError, match="No space left"):
            change()
        assert held(edits.editor) == before and edits.editor.snapshot() is mark
        assert (tmp_path / FILE).read_bytes() == data
    monkeypatch.undo()
    edits.edit([FACTS[2]])
    assert len(read_journal(tmp_path / FILE)[1]) == 2


@pytest.mark.parametrize("when", ["write", "fsync"])
def test_a_change_that_was_interrupted_is_none(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, when: str
) -> None:
    """Ctrl-C once the line is in the file; edits after it are kept, whatever happens then."""
    edits = journalled(tmp_path, "sum")
    edits.edit(FACTS[:2])
    data = (tmp_path / FILE).read_bytes()
    real = {"write": os.write, "fsync": os.fsync}[when]

    def interrupted(*arguments: Any) -> None:
        real(*arguments)
        raise KeyboardInterrupt

    def full(*_: Any) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(module.os, when, interrupted)
    with pytest.raises(KeyboardInterrupt):
        edits.edit([FACTS[2]])
    assert (tmp_path / FILE).read_bytes() == data
    monkeypatch.undo()
    edits.edit([FACTS[3]])
    monkeypatch.setattr(module.os, when, full)
    with pytest.raises(OSError, match="No space left"):
        edits.edit([FACTS[4]])
    monkeypatch.undo()
    edits.edit([FACTS[5]])
    edits.close()
    again = journalled(tmp_path, "sum")
    assert [edit.request for edit in again.list()] == [*FACTS[:2], FACTS[3], FACTS[5]]
    assert held(again.editor) == held(edits.editor)


def test_a_line_that_could_not_be_taken_back_is_so_before_the_next(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    edits = journalled(tmp_path, "sum")
    monkeypatch.setattr(Journal, "_cut", interrupt)
    with pytest.raises(KeyboardInterrupt):
        edits.edit([FACTS[0]])
    monkeypatch.undo()
    with (tmp_path / FILE).open("ab") as file:
        file.write(b"the beginning of a line")
    edits.edit([FACTS[1]])
    assert [edit.request for edit in edits.list()] == [FACTS[1]]
    assert edits_of(read_journal(tmp_path / FILE)[1]) == tuple(edits.list())


def interrupt(*_: Any) -> None:
    raise KeyboardInterrupt


def test_folders_that_were_made_are_synchronised(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[Path] = []
    monkeypatch.setattr(module, "_sync_folder", seen.append)
    Journal(tmp_path / "one" / "two").close()
    assert seen == [tmp_path / "one", tmp_path]
    Journal(tmp_path / "one" / "two").close()
    assert len(seen) == 2


def test_a_snapshot_that_cannot_be_written_is_no_refused_edit(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(path: Path, data: bytes) -> int:
        raise OSError(28, "No space left on device")

    edits = journalled(tmp_path, "sum", snapshot_every=1)
    monkeypatch.setattr(Path, "write_bytes", full)
    edits.edit(FACTS[:2])
    assert "No space left" in caplog.text and len(read_journal(tmp_path / FILE)[1]) == 1
    edits.close()
    monkeypatch.undo()
    assert not list((tmp_path / SNAPSHOTS).iterdir())
    assert held(journalled_and_closed(tmp_path, "sum")) == held(edits.editor)
