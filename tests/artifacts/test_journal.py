"""The journal leads to the edits that were made, whatever happened to the process or the file."""

from __future__ import annotations

import importlib.metadata
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from dafnet_plugin.artifacts import edits as edits_module
from dafnet_plugin.artifacts import journal as module
from dafnet_plugin.artifacts.edits import DAFNetEdits
from dafnet_plugin.artifacts.journal import FILE, SNAPSHOTS, Journal, read_journal
from dafnet_plugin.cli import main
from dafnet_plugin.errors import CheckpointError, ConfigError
from tests.artifacts.test_edits import FACTS, OTHER, SHORT, held, make

ROOT = Path(__file__).resolve().parents[2]


@pytest.mark.skipif(not hasattr(os, "fork"), reason="processes are forked here, to kill many")
def test_two_hundred_kills_lose_nothing_and_leave_nothing_half_applied(tmp_path: Path) -> None:
    """At random moments, half of them inside the system calls that write."""
    report = tmp_path / "report.json"
    variables = {"CUDA_VISIBLE_DEVICES": "", "OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT)}
    arguments = [str(tmp_path / "journal"), "200", "0", str(report)]
    done = subprocess.run(
        [sys.executable, "-m", "tests.artifacts.kill_worker", *arguments],
        env=os.environ | variables,
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=600,
    )
    assert done.returncode == 0, done.stderr
    counts = json.loads(report.read_text())
    # Most died while a change was being made; of those some had reached the disk, some had not.
    assert counts["starting"] > 100 and counts["changes"] > 50
    assert counts["kept"] > 10 and counts["finished"] > 10
    # Some while it was begun; many sequences had been gone over.
    assert counts["beginning"] >= 3 and counts["consolidated"] > 15


def journalled(folder: Path, mode: str = "least_squares", **settings: Any) -> DAFNetEdits:
    return DAFNetEdits(make(mode), folder, **settings)


@pytest.mark.parametrize("every", [2, 100])
@pytest.mark.parametrize("mode", ["running_mean", "consolidated"])
def test_opened_again_it_goes_on_as_if_never_stopped(tmp_path: Path, mode: str, every: int) -> None:
    first = journalled(tmp_path, mode, snapshot_every=every)
    straight = DAFNetEdits(make(mode))
    for number, edits in enumerate((first, straight)):
        for fact in FACTS[:5]:
            edits.edit([fact])
        edits.undo("2")
        edits.replace("3", OTHER)
        if number == 0:
            first.close()
    again = journalled(tmp_path, mode, snapshot_every=every)
    assert held(again.editor) == held(straight.editor)
    assert again.list() == straight.list()
    for request in SHORT:
        for edits in (again, straight):
            edits.edit([request])
        assert held(again.editor) == held(straight.editor)
    for edits in (again, straight):
        edits.edit(FACTS[6:8])
        edits.undo("4")
    assert held(again.editor) == held(straight.editor)


@settings(max_examples=25, deadline=None)
@given(cut=st.floats(0, 1), junk=st.binary(max_size=5))
def test_a_line_cut_short_is_as_if_never_begun(
    tmp_path_factory: pytest.TempPathFactory, cut: float, junk: bytes
) -> None:
    folder = tmp_path_factory.mktemp("journal")
    edits, calls = DAFNetEdits(make("sum"), folder), []
    for fact in FACTS[:3]:
        edits.edit([fact])
        calls.append(edits.editor.snapshot().calls)
    edits.close()
    data = (folder / FILE).read_bytes()
    ends = [place + 1 for place, byte in enumerate(data) if byte == 10]
    left = ends[0] + int(cut * (len(data) - ends[0]))
    (folder / FILE).write_bytes(data[:left] + junk.replace(b"\n", b""))
    whole = sum(end <= left for end in ends) - 1
    journal = Journal(folder)
    assert journal.calls == (calls[whole - 1] if whole else ())
    journal.write(calls[2])
    journal.close()
    assert read_journal(folder / FILE)[1] == calls[2]


def test_damage_is_told_from_what_was_never_finished(tmp_path: Path) -> None:
    edits = journalled(tmp_path)
    edits.edit(FACTS[:2])
    edits.edit([FACTS[2]])
    edits.close()
    data = (tmp_path / FILE).read_bytes()
    lines = data.splitlines(keepends=True)
    for number in range(3):
        damaged = [*lines]
        damaged[number] = damaged[number].replace(b'"', b"'", 1)
        (tmp_path / FILE).write_bytes(b"".join(damaged))
        with pytest.raises(CheckpointError, match=rf"journal.log: line {number + 1} is damaged"):
            journalled(tmp_path)
    (tmp_path / FILE).write_bytes(b"")
    with pytest.raises(CheckpointError, match="it has no first line"):
        journalled(tmp_path)
    (tmp_path / FILE).write_bytes(module._line({"format": 99}))
    with pytest.raises(CheckpointError, match="format 99; this version reads 1"):
        journalled(tmp_path)
    (tmp_path / FILE).write_bytes(lines[0] + module._line({"keep": 1}))
    with pytest.raises(CheckpointError, match="line 2: keep is 1; allowed: 0 to 0"):
        journalled(tmp_path)
    (tmp_path / FILE).write_bytes(lines[0] + module._line({"keep": 0}))
    with pytest.raises(CheckpointError, match="line 2: record of edits without the field 'sett"):
        journalled(tmp_path)
    (tmp_path / FILE).write_bytes(data)
    assert len(journalled(tmp_path).list()) == 3  # an error has not left it locked


def test_what_is_undone_by_other_means_is_undone_in_the_journal(tmp_path: Path) -> None:
    edits = journalled(tmp_path)
    undo = edits.editor.edit(FACTS[:2])
    weights = dict(edits.editor.edit([FACTS[2]]))

    def written() -> list[str]:
        return [e.case_id for call in read_journal(tmp_path / FILE)[1] for e in call.edits]

    assert written() == ["1", "2", "3"]
    with torch.no_grad():
        for name, value in weights.items():  # as EasyEdit restores
            edits.editor.model.get_parameter(name).copy_(value)
    assert [edit.case_id for edit in edits.list()] == written() == ["1", "2"]
    undo()
    assert written() == []
    edits.edit([FACTS[3]])
    weights = dict(edits.editor.edit([FACTS[4]]))
    with torch.no_grad():
        for name, value in weights.items():
            edits.editor.model.get_parameter(name).copy_(value)
    edits.close()  # without another question
    assert written() == ["1"]


def test_one_process_at_a_time(tmp_path: Path) -> None:
    edits = journalled(tmp_path)
    with pytest.raises(ConfigError, match="journalled here by another process"):
        journalled(tmp_path)
    edits.close()
    journalled(tmp_path)


def test_a_journal_begins_with_the_edits_there_are_and_refuses_others(tmp_path: Path) -> None:
    one = make("sum")
    one.edit(FACTS[:2])
    edits = DAFNetEdits(one, tmp_path)
    edits.edit([FACTS[2]])
    edits.close()
    assert held(journalled_and_closed(tmp_path, "sum")) == held(one)
    DAFNetEdits(one, tmp_path).close()  # it carries the same
    one.edit([FACTS[3]])
    with pytest.raises(ConfigError, match="has 3 edits, the model carries 4 edits, others"):
        DAFNetEdits(one, tmp_path)
    assert one.keeper is None and len(one.requests) == 4


def journalled_and_closed(folder: Path, mode: str) -> Any:
    edits = journalled(folder, mode)
    edits.close()
    return edits.editor


def test_another_base_or_network_is_refused(tmp_path: Path) -> None:
    journalled_and_closed(tmp_path, "sum")
    with pytest.raises(CheckpointError, match="made by another DAFNet"):
        DAFNetEdits(make("sum", gate="paper"), tmp_path)
    other = make("sum")
    with torch.no_grad():
        other.model.get_parameter("transformer.ln_f.bias").add_(1)
    with pytest.raises(CheckpointError, match=r"1 of \d+ tensors differ, transformer.ln_f.bias"):
        DAFNetEdits(other, tmp_path)
    with pytest.raises(CheckpointError, match="in one of the two only"):
        DAFNetEdits(make("sum", "llama"), tmp_path)
    journalled_and_closed(tmp_path, "sum")


def test_damaged_snapshots_cost_time_only(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    edits = journalled(tmp_path, snapshot_every=2)
    for fact in FACTS[:6]:
        edits.edit([fact])
    edits.close()
    files = sorted((tmp_path / SNAPSHOTS).glob("*.safetensors"))
    assert len(files) == 3
    files[-1].write_bytes(files[-1].read_bytes()[:100])
    (tmp_path / SNAPSHOTS / ".6-ab.safetensors.xyz").write_bytes(b"left over")
    (tmp_path / f".{FILE}.xyz").write_bytes(b"left over")
    again = journalled(tmp_path, snapshot_every=2)
    assert "is damaged and of no use" in caplog.text
    assert held(again.editor) == held(edits.editor)
    again.close()
    assert not list(tmp_path.rglob("*.xyz"))
    shutil.rmtree(tmp_path / SNAPSHOTS)
    assert held(journalled(tmp_path).editor) == held(edits.editor)


def test_a_replay_that_comes_out_otherwise_is_said(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    edits = journalled(tmp_path, "sum")
    edits.edit(FACTS[:2])
    edits.close()
    journalled_and_closed(tmp_path, "sum")
    assert not caplog.records
    one = make("sum")
    with torch.no_grad():
        one.dafnet.edit_lrs.mul_(1 + 1e-6)  # as another machine would round
    monkeypatch.setattr(edits_module, "check_network", lambda *_: None)
    DAFNetEdits(one, tmp_path).close()
    assert "not bit for bit what they were" in caplog.text
    assert main(["edits", str(tmp_path), "--undo", "1"]) == 0  # no weights are known then
    caplog.clear()
    DAFNetEdits(make("sum"), tmp_path).close()
    assert not caplog.records


def test_another_tokenizer_template_or_version_is_said(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    journalled_and_closed(tmp_path, "sum")
    padded = make("sum")
    padded.tokenizer(["Ada", "Ada lives"], padding=False, truncation=True, max_length=9)
    DAFNetEdits(padded, tmp_path).close()  # how it is asked is no part of it
    assert not caplog.records
    one = make("sum")
    one.tokenizer.chat_template = "{{ messages[0]['content'] }}"
    other = make("sum")
    other.tokenizer.add_tokens(["lives"])
    for editor in (one, other):
        DAFNetEdits(editor, tmp_path).close()
        assert "made with another tokenizer, or chat template" in caplog.text
        caplog.clear()
    monkeypatch.setattr(edits_module, "versions", lambda: {"torch": "0.1"})
    journalled_and_closed(tmp_path, "sum")
    assert f"made with torch {importlib.metadata.version('torch')}" in caplog.text
    assert "made again with 0.1" in caplog.text


def test_text_of_any_kind(tmp_path: Path) -> None:
    edits = journalled(tmp_path, "sum")
    request = type(FACTS[0])("Zoë \u2028 \x85 \n “lives” in", "Łódź\t", subject="Zoë")
    edits.edit([request], ["\u2028 1"])
    edits.close()
    assert [(e.case_id, e.request) for e in journalled(tmp_path, "sum").list()] == [
        ("\u2028 1", request)
    ]
