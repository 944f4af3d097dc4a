"""Data sets in any accepted form become edit cases; plain text becomes token ids."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dafnet_plugin.cases import EditRequest, Probe
from dafnet_plugin.errors import DataError
from dafnet_plugin.training.sources import cases_of, hold_out
from dafnet_plugin.training.text import encode_texts, read_texts, true_statements
from tests.helpers import cases, tokenizer

RECORD = {
    "case_id": 3,
    "prompt": "Ada lives in",
    "target_new": "Rome",
    "ground_truth": "Oslo",
    "subject": "Ada",
    "rephrase_prompt": "Ada is found in",
    "locality_prompt": ["Bo lives in", "Cleo lives in"],
    "locality_ground_truth": ["Lima", "Kyoto"],
}


class DataSet:
    """Like EasyEdit's: only a length and items."""

    def __init__(self, records: list[Any]) -> None:
        self.records = records

    def __len__(self) -> int:
        return len(self.records)

    def __getitem__(self, index: int) -> Any:
        return self.records[index]


def test_records_of_an_easyedit_data_set_become_cases() -> None:
    sources = cases_of(DataSet([RECORD, {"prompt": "Bo lives in", "target_new": "Rome"}]))
    assert list(sources) == ["train"]
    first, second = sources["train"]
    assert first.case_id == "3"
    assert first.request == EditRequest("Ada lives in", "Rome", "Ada", "Oslo")
    assert first.generality == (Probe("Ada is found in", "Rome"),)
    assert first.locality == (Probe("Bo lives in", "Lima"), Probe("Cleo lives in", "Kyoto"))
    assert (second.generality, second.locality) == ((), ())


def test_cases_and_named_sources_are_taken_as_they_are() -> None:
    some = cases(3)
    assert cases_of(some) == {"train": some}
    mixed = cases_of({"mine": some, "theirs": DataSet([RECORD])})
    assert mixed["mine"] == some and len(mixed["theirs"]) == 1


@pytest.mark.parametrize(
    ("record", "message"),
    [
        ("text", r"train\[1\]: str is neither"),
        ({"prompt": "Ada lives in"}, r"train\[1\]: field 'target_new' is None; allowed: text"),
        (RECORD | {"prompt": 5}, r"train\[1\]: field 'prompt' is 5; allowed: text"),
        (RECORD | {"target_new": " "}, r"train\[1\]: .*target_new is ' '"),
        (RECORD | {"locality_ground_truth": ["Lima"]}, r"train\[1\]: .*locality"),
    ],
)
def test_a_record_that_is_wrong_is_named(record: Any, message: str) -> None:
    with pytest.raises(DataError, match=message):
        cases_of([RECORD, record])


def test_texts_are_read_from_both_file_types(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("one\n\n  \ntwo\n")
    (tmp_path / "a.jsonl").write_text(json.dumps({"text": "one\nline", "more": 1}) + "\n\n")
    assert read_texts(tmp_path / "a.txt") == ["one", "two"]
    assert read_texts(tmp_path / "a.jsonl") == ["one\nline"]


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("a.jsonl", b'{"text": "x"}\n{"text": \n', r"a\.jsonl: line 2, column \d+: not JSON"),
        ("a.jsonl", b'{"text": "x"}\n{"txt": "y"}\n', r"a\.jsonl: record 2: field 'text'"),
        ("a.jsonl", b'{"text": 5}\n', r"a\.jsonl: record 1: field 'text'"),
        ("a.jsonl", b'["x"]\n', r"a\.jsonl: record 1: field 'text'"),
        ("a.txt", b"\xff\xfe", r"a\.txt: byte 0 is not UTF-8"),
        ("a.csv", b"x", r"a\.csv: plain text is read from \.jsonl or \.txt, not '\.csv'"),
    ],
)
def test_malformed_texts_are_named(tmp_path: Path, name: str, content: bytes, message: str) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(DataError, match=message):
        read_texts(tmp_path / name)
    for missing in ("none.txt", "none.jsonl"):
        with pytest.raises(DataError, match=rf"{missing[:-6]}.*cannot be read"):
            read_texts(tmp_path / missing)


def test_true_statements_hold_the_old_answers_and_never_the_new_ones() -> None:
    some = [case for case in cases(12) if case.request.target_new != "Rome"]
    statements = true_statements([*some, some[0]])
    assert (some[0].request.prompt, "Rome") in statements
    assert (some[0].generality[0].prompt, "Rome") in statements
    assert (some[0].locality[0].prompt, some[0].locality[0].answer) in statements
    new = {(case.request.prompt, case.request.target_new) for case in some}
    assert not new & set(statements)
    assert len(statements) == len(set(statements))


def test_plain_text_counts_every_token_after_the_first_and_is_cut() -> None:
    tok = tokenizer()
    texts = ["Ada lives in Rome", "Bo lives in Oslo and in Lima", "x", "Cleo lives in Cairo"]
    encoded = encode_texts(tok, texts, 1000, None)
    assert [tok.decode(text.ids) for text in encoded] == [texts[0], texts[1], texts[3]]
    assert {text.target_start for text in encoded} == {1}
    assert max(len(text.ids) for text in encode_texts(tok, texts, 1000, 3)) == 4
    assert len(encode_texts(tok, texts, 1, None)) == 1
    assert encode_texts(tok, [], 10, None) == []


@settings(deadline=None, max_examples=40)
@given(st.floats(0.1, 0.6), st.integers(0, 20))
def test_held_out_subjects_are_in_no_training_case(share: float, seed: int) -> None:
    """Cases 0 and 12, 1 and 13, ... are about the same person."""
    named = [
        replace(case, request=replace(case.request, subject=case.request.prompt.split()[0]))
        for case in cases(30)
    ]
    sources = {"first": named[:18], "second": named[18:]}
    kept, out = hold_out(sources, share, seed)
    assert list(kept) == ["first", "second"]
    trained = [case for some in kept.values() for case in some]
    assert sorted([*trained, *out], key=named.index) == named
    assert not {c.request.subject for c in trained} & {c.request.subject for c in out}
    assert len({c.request.subject for c in out}) == round(share * 12)
    assert hold_out(sources, share, seed) == (kept, out)


@pytest.mark.parametrize("share", [0.01, 0.99])
def test_a_share_that_leaves_one_side_empty_is_named(share: float) -> None:
    with pytest.raises(DataError, match=rf"val_share: {share} of 6 subjects leaves nothing"):
        hold_out({"train": cases(6)}, share, 0)
