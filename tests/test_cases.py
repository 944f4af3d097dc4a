"""Edit cases in and out of JSON, and what is said about malformed ones."""

from __future__ import annotations

import errno
import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dafnet_plugin.cases import (
    EditCase,
    EditRequest,
    PortabilityTest,
    Probe,
    Query,
    case_from_json,
    case_to_json,
    read_cases,
    write_cases,
)
from dafnet_plugin.errors import DataError

TEXT = st.text(st.characters(exclude_categories=["Cs"]), min_size=1).filter(str.strip)
OPTIONAL = st.none() | TEXT
PROBES = st.lists(
    st.builds(Probe, TEXT, TEXT, st.lists(TEXT, max_size=2).map(tuple)), max_size=3
).map(tuple)
QUERIES = st.builds(
    Query,
    TEXT,
    st.lists(st.lists(TEXT, min_size=1, max_size=2).map(tuple), min_size=1, max_size=2).map(tuple),
)
TESTS = st.builds(
    PortabilityTest,
    st.lists(QUERIES, min_size=1, max_size=2).map(tuple),
    st.sampled_from(["OR", "AND"]),
    st.lists(QUERIES, max_size=2).map(tuple),
)
CASES = st.builds(
    EditCase,
    TEXT,
    st.builds(EditRequest, TEXT, TEXT, OPTIONAL, OPTIONAL),
    PROBES,
    PROBES,
    st.dictionaries(st.sampled_from(["Logical_Generalization", "Relation_Specificity"]), PROBES),
    st.dictionaries(st.sampled_from(["Forgetfulness"]), st.lists(TESTS, max_size=2).map(tuple)),
    st.lists(TEXT, max_size=2).map(tuple),
)


@settings(deadline=None)
@given(st.lists(CASES, max_size=3))
def test_cases_are_read_as_written(
    tmp_path_factory: pytest.TempPathFactory, cases: list[EditCase]
) -> None:
    path = tmp_path_factory.mktemp("cases") / "cases.jsonl"
    write_cases(path, cases)
    assert read_cases(path) == cases


@given(QUERIES)
def test_a_query_as_a_probe_takes_any_name_of_any_object(query: Query) -> None:
    probe = query.probe()
    names = [name for answer in query.answers for name in answer]
    assert probe.answer == names[0] and {probe.answer, *probe.aliases} == set(names)
    assert probe.answer not in probe.aliases


GOOD: dict[str, Any] = {
    "case_id": "7",
    "request": {"prompt": "Ada lives in", "target_new": "Rome"},
    "locality": [{"prompt": "Bo lives in", "answer": "Oslo"}],
}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"request": None}, "edit case '7'"),
        ({"request": {"prompt": "Ada lives in"}}, "target_new"),
        ({"request": {"prompt": "Ada", "target_new": " "}}, "target_new is ' '"),
        ({"request": {"prompt": "", "target_new": "Rome"}}, "prompt is ''"),
        ({"request": {"prompt": "Ada", "target_new": ["Rome"]}}, r"target_new is \['Rome'\]"),
        ({"request": {"prompt": "Ada", "target_new": "Rome", "old": 1}}, "old"),
        ({"locality": [{"prompt": "Bo lives in"}]}, "answer"),
        ({"locality": [{"prompt": "Bo lives in", "answer": ""}]}, "answer is ''"),
        ({"generality": "Ada is in"}, "edit case '7'"),
        ({"portability": []}, "edit case '7'"),
        ({"tests": {"x": [{"queries": []}]}}, "without queries"),
        ({"tests": {"x": [{"condition": "OR"}]}}, "without the field 'queries'"),
        ({"tests": {"x": [{"queries": [{"prompt": "a", "answers": []}]}]}}, "without a name"),
        ({"tests": {"x": [{"queries": [{"prompt": "a", "answers": [[]]}]}]}}, "without a name"),
        ({"tests": {"x": [{"queries": [{"prompt": "a", "answers": ["b"]}]}]}}, "hold 'b'"),
        ({"tests": {"x": [{"queries": [{"prompt": "a", "answers": [[" "]]}]}]}}, "answer is ' '"),
        ({"tests": {"x": [{"queries": [{"prompt": "", "answers": [["b"]]}]}]}}, "prompt is ''"),
        (
            {
                "tests": {
                    "x": [{"queries": [{"prompt": "a", "answers": [["b"]]}], "condition": "XOR"}]
                }
            },
            "condition is 'XOR'; allowed: OR, AND",
        ),
        ({"generation": "Ada"}, "generation is 'Ada'"),
        ({"generation": [""]}, r"generation is \[''\]"),
    ],
)
def test_a_malformed_case_names_file_record_and_field(
    tmp_path: Path, change: dict[str, Any], message: str
) -> None:
    path = tmp_path / "cases.jsonl"
    path.write_text(json.dumps(GOOD) + "\n" + json.dumps(GOOD | change) + "\n")
    with pytest.raises(DataError, match=r"cases\.jsonl: record 2: .*" + message):
        read_cases(path)


@pytest.mark.parametrize("value", [3, [], "case", None, [GOOD]])
def test_a_record_that_is_no_object_is_named(tmp_path: Path, value: Any) -> None:
    path = tmp_path / "cases.jsonl"
    path.write_text(json.dumps(value))
    with pytest.raises(DataError, match=r"cases\.jsonl: record 1: edit case .*allowed: an object"):
        read_cases(path)


@pytest.mark.parametrize("missing", ["case_id", "request"])
def test_a_missing_field_is_named(missing: str) -> None:
    with pytest.raises(DataError, match=f"without the field '{missing}'"):
        case_from_json({key: value for key, value in GOOD.items() if key != missing})


def test_cases_are_frozen_and_plain_data() -> None:
    case = case_from_json(GOOD)
    with pytest.raises(AttributeError):
        case.case_id = "8"  # type: ignore[misc]
    assert json.loads(json.dumps(case_to_json(case)))["locality"][0]["answer"] == "Oslo"


def test_what_is_not_there_is_not_written() -> None:
    assert not {"tests", "generation"} & case_to_json(case_from_json(GOOD)).keys()


def test_a_full_disk_leaves_the_old_cases(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "cases.jsonl"
    write_cases(path, [case_from_json(GOOD)])

    def full(self: Path, text: str, **_: Any) -> int:
        with open(self, "w") as file:
            file.write(text[: len(text) // 2])
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(Path, "write_text", full)
    with pytest.raises(OSError, match="No space left"):
        write_cases(path, [case_from_json(GOOD)] * 5)
    assert read_cases(path) == [case_from_json(GOOD)]
    assert list(tmp_path.iterdir()) == [path]
