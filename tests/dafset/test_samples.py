"""Samples and the four files: they come back as they were written."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dafnet_plugin.dafset.samples import (
    PROPERTIES,
    Context,
    Counter,
    Meta,
    Sample,
    read_samples,
    sample_from_json,
    sample_to_json,
    write_samples,
)
from dafnet_plugin.data.dafset import load_dafset
from dafnet_plugin.data.records import Place
from dafnet_plugin.errors import DataError

PLACE = Place("robust.json", 0)


def make_sample(property: str = "robust", **changes: Any) -> Sample:
    meta = Meta(
        id="Q1-P36", subject_id="Q1", relation="P36", object_id="Q2", true_object_id="Q3",
        property=property, split="train", views=7, log_likelihood=-1.5, hops=2,
        properties=("popular", "robust"), locality=("Q4", "P36", "Q5"),
        contexts=(Context("It rained.", "short", "unrelated", "neutral"),),
        counter=Counter("The capital of Arland is", "Nome", "Q9"),
    )  # fmt: skip
    values: dict[str, Any] = {
        "prompt": "The capital of Arland is", "target_new": "Bo", "subject": "Arland",
        "ground_truth": "Al", "rephrase_prompt": "Arland is governed from",
        "locality_prompt": "The capital of Borland is", "locality_ground_truth": "Cu",
        "prefix": ("It rained.",), "meta": meta,
    }  # fmt: skip
    return Sample(**(values | changes))


def test_a_record_round_trips() -> None:
    sample = make_sample()
    assert sample_from_json(PLACE, json.loads(json.dumps(sample_to_json(sample)))) == sample


text = st.text(min_size=1).map(str.strip).filter(bool)


@given(text, text, text, st.none() | text, st.lists(text, max_size=3))
def test_any_text_round_trips(
    prompt: str, target: str, subject: str, truth: str | None, prefix: list[str]
) -> None:
    sample = make_sample(
        prompt=prompt, target_new=target, subject=subject, ground_truth=truth, prefix=tuple(prefix)
    )
    assert sample_from_json(PLACE, json.loads(json.dumps(sample_to_json(sample)))) == sample


def test_files_round_trip_and_are_read_by_the_loader(tmp_path: Path) -> None:
    samples = [
        make_sample(name, prefix=("So.",) if name == "robust" else ()) for name in PROPERTIES
    ]
    assert write_samples(tmp_path, samples) == dict.fromkeys(PROPERTIES, 1)
    assert [s for part in read_samples(tmp_path).values() for s in part] == samples
    before = (tmp_path / "robust.json").read_bytes()
    write_samples(tmp_path, [s for part in read_samples(tmp_path).values() for s in part])
    assert (tmp_path / "robust.json").read_bytes() == before
    cases = load_dafset(tmp_path, prefixes=True)
    assert len(cases) == 4 and cases[0].request.ground_truth == "Al"
    assert cases[3].generality[1].prompt == "So. Arland is governed from"


def test_a_property_may_have_nothing(tmp_path: Path) -> None:
    write_samples(tmp_path, [make_sample("popular")])
    assert {name: len(part) for name, part in read_samples(tmp_path).items()} == {
        "long_tail": 0, "popular": 1, "recent": 0, "robust": 0,
    }  # fmt: skip


def test_a_published_record_has_no_origin() -> None:
    record = sample_to_json(make_sample(meta=None, ground_truth=None))
    assert "dafset" not in record and "ground_truth" not in record
    assert sample_from_json(PLACE, record).meta is None


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"prompt": " "}, "robust.json: record 0: field 'prompt' is ' '"),
        ({"subject": None}, "field 'subject'"),
        ({"prefix": "It rained."}, "field 'prefix': a list is needed"),
        ({"prefix": [3]}, "field 'prefix' is 3"),
        ({"dafset": []}, "field 'dafset': an object is needed"),
        ({"dafset": {"id": "Q1-P36"}}, "field 'dafset': .*missing"),
        ({"dafset": {"nonsense": 1}}, "field 'dafset': .*nonsense"),
    ],
)
def test_a_malformed_record(change: dict[str, Any], message: str) -> None:
    with pytest.raises(DataError, match=message):
        sample_from_json(PLACE, sample_to_json(make_sample()) | change)


@pytest.mark.parametrize(("name", "value"), [("property", "new"), ("split", "test")])
def test_an_unknown_property_or_split(name: str, value: str) -> None:
    record = sample_to_json(make_sample())
    record["dafset"][name] = value
    with pytest.raises(DataError, match=f"{name} is {value!r}; allowed: "):
        sample_from_json(PLACE, record)


def test_what_cannot_be_written_or_read(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="target_new is ''"):
        make_sample(target_new="")
    with pytest.raises(DataError, match="of which file is it"):
        write_samples(tmp_path, [make_sample(meta=None)])
    with pytest.raises(DataError, match=r"none of long_tail\.json, .* is there"):
        read_samples(tmp_path)
