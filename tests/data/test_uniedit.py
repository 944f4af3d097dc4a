"""UniEdit: one file, a folder of domains, and what is wrong with a file."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from dafnet_plugin.cases import Probe
from dafnet_plugin.data.uniedit import load_uniedit
from dafnet_plugin.errors import DataError

FILE = "uniedit-art.json"
EDIT = {"prompt": "Ada was born in", "target": "Rome", "subject": "Ada"}
RECORD = {"edit": EDIT, "generality": {}, "locality": {}}


def write(path: Path, value: Any) -> Path:
    path.write_text(json.dumps(value), encoding="utf-8")
    return path


def test_what_follows_from_an_edit_is_told_from_the_edit_itself(samples: Path) -> None:
    again, hop, reverse, same = load_uniedit(samples / FILE)
    assert [case.case_id for case in (again, hop)] == ["uniedit-art-0", "uniedit-art-7"]
    assert again.request.target_new == "Nils Arden" and again.request.subject == "Silver Tide"
    assert again.generality == (Probe("The opera Silver Tide was composed by", "Nils Arden"),)
    assert not again.portability
    for case, criterion in (
        (hop, "Multi_Hop"),
        (reverse, "Relation_Reversal"),
        (same, "Same_Entity_Reasoning"),
    ):
        assert not case.generality and set(case.portability) == {criterion}
    assert same.portability["Same_Entity_Reasoning"][0].prompt.endswith("(Yes/No):")
    assert hop.locality[0].prompt.endswith("? The answer is (Yes/No):")
    assert again.locality == (Probe("The librettist of the opera Silver Tide is", "Ute Falk"),)


def test_records_cut_down_to_prompts_and_targets(tmp_path: Path) -> None:
    generality = {
        "0": {"prompt": "Ada comes from", "target": "Rome"},
        "1": {"prompt": "Ada's country of birth is", "target": "Italy"},
    }
    path = write(tmp_path / "a.json", {"5": RECORD | {"generality": generality}})
    [case] = load_uniedit(path)
    assert case.generality == (Probe("Ada comes from", "Rome"),)
    assert case.portability == {"Multi_Hop": (Probe("Ada's country of birth is", "Italy"),)}


def test_a_folder_of_domains(tmp_path: Path, samples: Path) -> None:
    for name in ("art", "biology"):
        shutil.copy(samples / FILE, tmp_path / f"{name}.json")
    cases = load_uniedit(tmp_path)
    assert len(cases) == 8
    assert [case.case_id for case in cases[3:5]] == ["art-13", "biology-0"]
    assert [case.case_id for case in load_uniedit(tmp_path, size=5)] == [
        case.case_id for case in cases[:5]
    ]
    assert len(load_uniedit(tmp_path, size=4)) == 4
    write(tmp_path / "broken.json", {"1": {}, "2": RECORD})
    with pytest.raises(DataError, match=r"broken\.json: record 1: field 'edit' is missing"):
        load_uniedit(tmp_path)
    skipped = load_uniedit(tmp_path, skip_bad=True)
    assert len(skipped) == 9 and len(skipped.problems) == 1
    with pytest.raises(DataError, match=r"no \.json files"):
        load_uniedit(tmp_path / "..", skip_bad=True)


@pytest.mark.parametrize(
    ("record", "message"),
    [
        (3, "an object is needed, found 3"),
        ({"edit": EDIT}, "field 'generality' is missing"),
        (RECORD | {"edit": {"prompt": "x"}}, "field 'target' is missing"),
        (RECORD | {"locality": []}, "field 'locality': an object is needed"),
        (RECORD | {"locality": {"0": {"prompt": "x", "target": ""}}}, "field 'target' is ''"),
        (
            RECORD | {"locality": {"0": {"prompt": "x", "target": "y", "path_type": "triple"}}},
            "field 'path_type' is 'triple'; allowed: single, double",
        ),
        (
            RECORD | {"generality": {"0": {"prompt": "x", "target": "y", "paths": 3}}},
            "field 'paths': a list is needed",
        ),
    ],
)
def test_bad_records_are_named_by_their_id(tmp_path: Path, record: Any, message: str) -> None:
    path = write(tmp_path / "u.json", {"7": RECORD, "x9": record})
    with pytest.raises(DataError, match=rf"u\.json: record x9: {message}"):
        load_uniedit(path)
    assert len(load_uniedit(path, skip_bad=True)) == 1


def test_a_list_is_no_uniedit_file(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="an object from ids to records is needed"):
        load_uniedit(write(tmp_path / "u.json", [RECORD]))
