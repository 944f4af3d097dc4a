"""DAFSet's four files, contexts included."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from dafnet_plugin.cases import Probe
from dafnet_plugin.data.dafset import load_dafset, with_prefix
from dafnet_plugin.errors import DataError

RECORD = {
    "prompt": "Ada was born in",
    "target_new": "Rome",
    "subject": "Ada",
    "rephrase_prompt": "Ada's birthplace is",
    "locality_prompt": "Bo was born in",
    "locality_ground_truth": "Oslo",
}


def write(path: Path, value: Any) -> Path:
    path.write_text(json.dumps(value), encoding="utf-8")
    return path


def test_a_folder_has_up_to_four_files(samples: Path) -> None:
    cases = load_dafset(samples / "dafset")
    ids = ["long_tail-0", "long_tail-1", "popular-0", "recent-0", "robust-0"]
    assert [case.case_id for case in cases] == ids
    assert [case.case_id for case in load_dafset(samples / "dafset", size=3)] == ids[:3]
    assert [len(case.generality) for case in cases] == [1] * 5


def test_contexts_are_put_before_paraphrase_and_locality_probe(samples: Path) -> None:
    [case] = load_dafset(samples / "dafset" / "robust.json", prefixes=True)
    assert case.request.prompt == "Ute Falk was born in"
    assert case.generality[1:] == (
        Probe("It rained all day. The birthplace of Ute Falk is", "Osburg"),
        Probe("The concert was a great success. The birthplace of Ute Falk is", "Osburg"),
    )
    assert case.locality[1] == Probe("It rained all day. The capital of Osmark is", "Osburg")


def test_a_context_is_cut_to_thirty_words() -> None:
    words = [f"w{number}" for number in range(40)]
    assert with_prefix(" ".join(words), "Ada is") == f"{' '.join(words[:30])}. Ada is"
    assert with_prefix("  ", "Ada is") == "Ada is"


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"target_new": None}, "field 'target_new' is None"),
        ({"rephrase_prompt": ""}, "field 'rephrase_prompt' is ''"),
        ({"locality_ground_truth": 3}, "field 'locality_ground_truth' is 3"),
        ({"prefix": "It rained"}, "field 'prefix': a list is needed"),
        ({"prefix": [""]}, "field 'prefix' is ''"),
    ],
)
def test_bad_records_are_named(tmp_path: Path, change: dict[str, Any], message: str) -> None:
    path = write(tmp_path / "robust.json", [RECORD, RECORD | change])
    with pytest.raises(DataError, match=rf"robust\.json: record 1: {message}"):
        load_dafset(path)
    assert len(load_dafset(tmp_path, skip_bad=True).problems) == 1


def test_a_folder_without_any_of_the_files(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"none of long_tail\.json, .*robust\.json is there"):
        load_dafset(tmp_path)
