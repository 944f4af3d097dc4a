"""DAFSet as a training and test set: sources, who is held out, text besides."""

from __future__ import annotations

import json
import random
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dafnet_plugin.cases import write_cases
from dafnet_plugin.cli.train import read_sources
from dafnet_plugin.data.dafset import DAFSetDataset, load_dafset, text_probes
from dafnet_plugin.data.dafset_files import PARTS, held_out_subjects
from dafnet_plugin.errors import DataError
from dafnet_plugin.training.sources import cases_of


def record(subject: str, split: str | None = None) -> dict[str, Any]:
    found = {
        "prompt": f"{subject} was born in",
        "target_new": "Rome",
        "subject": subject,
        "ground_truth": "Oslo",
        "rephrase_prompt": f"The birthplace of {subject} is",
        "locality_prompt": f"The sister of {subject} was born in",
        "locality_ground_truth": "Bern",
    }
    return found | ({"dafset": {"split": split}} if split else {})


def write(folder: Path, **parts: Iterable[dict[str, Any]]) -> Path:
    for name, records in parts.items():
        (folder / f"{name}.json").write_text(json.dumps(list(records)), encoding="utf-8")
    return folder


def names(data: Iterable[Any]) -> set[str]:
    return {case.request.subject for case in data}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Two of the four files, and the training sets of others beside them."""
    people = [f"Ada {n}" for n in range(40)]
    zsre = {
        "subject": "Ada 1",
        "src": "Where was Ada 1 born?",
        "alt": "Rome",
        "answers": ["Oslo"],
        "rephrase": "In which town was Ada 1 born?",
        "loc": "nq question: who sang it",
        "loc_ans": "Bo",
    }
    return write(
        tmp_path,
        popular=[record(name) for name in people],
        recent=[record(name) for name in people[:10]],
        zsre_train=[zsre | {"subject": name} for name in people],
        cf_train=[record("Zoe") | {"case_id": 0}],
    )


def test_sources_are_the_files_and_what_lies_beside(folder: Path) -> None:
    data = DAFSetDataset(folder)
    sizes = {name: len(cases) for name, cases in data.sources.items()}
    assert sizes == {"popular": 40, "recent": 10, "zsre_train": 40, "cf_train": 1}
    assert len(data) == 91 and data[40].case_id == "recent-0" and len(data[:3]) == 3
    assert set(DAFSetDataset(folder, beside=False).sources) == {"popular", "recent"}
    assert set(DAFSetDataset(folder, parts=["recent"], beside=False).sources) == {"recent"}
    assert set(DAFSetDataset(folder / "recent.json").sources) == {
        "recent",
        "zsre_train",
        "cf_train",
    }
    assert len(DAFSetDataset(folder, size=45)) == 45


def test_a_property_may_have_no_record(folder: Path) -> None:
    write(folder, robust=[])
    assert "robust" not in DAFSetDataset(folder).sources
    with pytest.raises(DataError, match=r"none of robust\.json is there, or they have no record"):
        DAFSetDataset(folder, parts=["robust"])


def test_a_sequence_is_drawn_from_one_source(folder: Path) -> None:
    data, rng = DAFSetDataset(folder), random.Random(0)
    drawn = [data.sequence(5, rng) for _ in range(200)]
    prefixes = [{case.case_id.split("-")[0] for case in sequence} for sequence in drawn]
    assert all(len(of_one) == 1 for of_one in prefixes)
    # Each source is as likely as any other, however few cases it has.
    small = sum(len(sequence) == 1 for sequence in drawn)
    assert 25 <= small <= 80
    assert all(len({id(case) for case in sequence}) == len(sequence) for sequence in drawn)


def test_subjects_are_held_out_everywhere(folder: Path) -> None:
    train, test = (DAFSetDataset(folder, split, held_out=0.3) for split in ("train", "eval"))
    assert names(train).isdisjoint(names(test)) and names(test)
    assert names(train) | names(test) == {f"Ada {n}" for n in range(40)} | {"Zoe"}
    assert set(test.sources) <= set(PARTS), "training sets of others are not tested on"
    assert names(train.sources["zsre_train"]).isdisjoint(names(test))
    # The loader of the format cuts in the same place.
    assert names(load_dafset(folder, split="eval", held_out=0.3)) == names(test)
    assert len(load_dafset(folder, split="train", held_out=0.3, size=3)) == 3


def test_what_the_records_say_comes_first(tmp_path: Path) -> None:
    write(
        tmp_path,
        popular=[record("Ada", "train"), record("Bo", "train"), record("Cy", "train")],
        recent=[record("Bo", "eval")],
    )
    # Bo is tested in one file: training on another fact about Bo would tell of Bo.
    assert names(DAFSetDataset(tmp_path, "eval")) == {"Bo"}
    assert names(DAFSetDataset(tmp_path, "train")) == {"Ada", "Cy"}
    assert {c.case_id for c in DAFSetDataset(tmp_path, "eval")} == {"popular-1", "recent-0"}


@given(st.sets(st.text("abcdef", min_size=1), max_size=30), st.floats(0.01, 0.99))
def test_chance_depends_on_the_name_alone(
    tmp_path_factory: Any, some: set[str], share: float
) -> None:
    folder = tmp_path_factory.mktemp("names")
    every = write(folder, popular=[record(name) for name in sorted(some | {"x", "y"})])
    cases = load_dafset(every)
    held = held_out_subjects(every, cases, share)
    few = held_out_subjects(every, cases[:1], share)
    assert few == held & names(cases[:1])


def test_text_gives_every_case_a_probe_more(folder: Path, tmp_path: Path) -> None:
    passages = tmp_path / "wiki.txt"
    passages.write_text("One two three four five six seven.\n\nlonely\nA river flows south.\n")
    data = DAFSetDataset(folder, text=passages)
    same = DAFSetDataset(folder, text=passages)
    assert [c.locality for c in data] == [c.locality for c in same]
    assert all(len(case.locality) == 2 for case in data)
    for probe in text_probes(passages, 3):
        whole = f"{probe.prompt} {probe.answer}"
        assert whole in "One two three four five six seven." or whole == "A river flows south."
        assert len(probe.answer.split()) <= 5
    passages.write_text("lonely\n")
    with pytest.raises(DataError, match=r"wiki\.txt: no passage of at least two words"):
        DAFSetDataset(folder, text=passages)


def test_the_trainer_takes_the_sources(folder: Path) -> None:
    assert {name: len(cases) for name, cases in cases_of(DAFSetDataset(folder)).items()} == {
        "popular": 40,
        "recent": 10,
        "zsre_train": 40,
        "cf_train": 1,
    }


def test_the_command_line_trains_on_folders_and_files(folder: Path, tmp_path: Path) -> None:
    write_cases(tmp_path / "cases.jsonl", load_dafset(folder, size=3))
    train = read_sources([str(folder), str(tmp_path / "cases.jsonl")], "train")
    names_of = [Path(name).name for name in train]
    assert names_of == ["popular", "recent", "zsre_train", "cf_train", "cases.jsonl"]
    held_out = read_sources([str(folder)], "eval")
    assert {Path(name).name for name in held_out} <= set(PARTS)
    assert names(c for part in held_out.values() for c in part) == names(
        DAFSetDataset(folder, "eval")
    )


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"split": "none"}, "split is 'none'; allowed: train, eval, or none for all"),
        ({"split": "evals"}, r"did you mean 'eval'"),
        ({"held_out": 0.0}, r"held_out is 0\.0; allowed: above 0, below 1"),
        ({"parts": ["populer"]}, r"part 'populer' of DAFSet is unknown \(did you mean 'popular'"),
        ({"parts": ["robust"]}, r"none of robust\.json is there"),
        ({"split": "eval", "held_out": 1e-9}, "no case in split 'eval'; 0 subjects held out"),
    ],
)
def test_what_a_user_can_get_wrong(folder: Path, options: dict[str, Any], message: str) -> None:
    with pytest.raises(DataError, match=message):
        DAFSetDataset(folder, **options)


def test_an_unknown_split_of_a_record_is_named(tmp_path: Path) -> None:
    write(tmp_path, recent=[record("Ada", "train"), record("Bo", "dev")])
    with pytest.raises(DataError, match=r"recent\.json: record 1: field 'dafset\.split' is 'dev'"):
        load_dafset(tmp_path, split="eval")
    assert len(load_dafset(tmp_path)) == 2


def test_bad_records_are_left_out_and_named(folder: Path) -> None:
    write(folder, long_tail=[record("Eve"), {"prompt": ""}])
    with pytest.raises(DataError, match=r"long_tail\.json: record 1"):
        DAFSetDataset(folder)
    data = DAFSetDataset(folder, skip_bad=True)
    assert len(data.sources["long_tail"]) == 1 and len(data.problems) == 1
