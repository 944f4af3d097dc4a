"""RippleEdits: both published forms, and writing the original one."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from dafnet_plugin.cases import PortabilityTest, Probe, Query
from dafnet_plugin.data.records import Place
from dafnet_plugin.data.ripple import (
    CRITERIA,
    load_ripple,
    load_ripple_records,
    parse_ripple,
    split_sentence,
    subject_in,
)
from dafnet_plugin.errors import DataError


def query(prompt: str, *answers: str, aliases: tuple[str, ...] = ()) -> dict[str, Any]:
    names = [{"value": answer, "aliases": list(aliases)} for answer in answers]
    return {"prompt": prompt, "answers": names, "query_type": "regular", "phrase": None}


def original(**criteria: Any) -> dict[str, Any]:
    fact = {"subject_id": "Q1", "relation": "COUNTRY_OF_CITIZENSHIP"}
    return {
        "example_type": "popular",
        "edit": {
            "prompt": "The name of the country of citizenship of Ada is New Syria.",
            "target_id": "Q858",
            **fact,
            "original_fact": {
                "prompt": "The name of the country of citizenship of Ada is New Spain.",
                "target_id": "Q30",
                **fact,
            },
        },
        **{name: [] for name in CRITERIA},
        **criteria,
    }


def write(path: Path, value: Any) -> Path:
    path.write_text(json.dumps(value), encoding="utf-8")
    return path


def test_the_original_form(tmp_path: Path) -> None:
    mother = query("The name of the mother of Ada is", "Irma", aliases=("Irma D", ""))
    siblings = [query("A sibling of Ada, which is not Bo, is", name) for name in ("Cy", "Di")]
    del (record := original())["Relation_Specificity"]
    record["Relation_Specifity"] = [
        {"test_queries": [mother], "test_condition": "OR", "condition_queries": [mother]}
    ]
    record["Forgetfulness"] = [{"test_queries": siblings, "test_condition": "OR"}]
    record["Compositionality_I"] = [{"test_queries": siblings, "test_condition": "AND"}]
    [case] = load_ripple(write(tmp_path / "r.json", [record]))
    assert case.request.prompt == "The name of the country of citizenship of Ada is"
    assert (case.request.target_new, case.request.ground_truth) == ("New Syria", "New Spain")
    irma = Probe("The name of the mother of Ada is", "Irma", ("Irma D",))
    assert case.locality == case.portability["Relation_Specificity"] == (irma,)
    assert case.portability["Forgetfulness"] == (
        Probe("A sibling of Ada, which is not Bo, is", "Cy", ("Di",)),
    )
    assert len(case.portability["Compositionality_I"]) == 2
    asked = Query(irma.prompt, (("Irma", "Irma D"),))
    assert case.tests["Relation_Specificity"] == (PortabilityTest((asked,), "OR", (asked,)),)
    assert [len(test.queries) for test in case.tests["Forgetfulness"]] == [2]
    assert case.tests["Compositionality_I"][0].condition == "AND"
    [full] = load_ripple_records(tmp_path / "r.json")
    known = full.tests["Relation_Specificity"][0].condition_queries[0]
    assert known.query().probe() == irma and known.details["query_type"] == "regular"


def test_the_flattened_form(tmp_path: Path) -> None:
    record = {
        "prompt": "Ada is a citizen of",
        "target_new": "Syria",
        "subject": "Ada",
        "ground_truth": "Spain",
        "Logical_Generalization": [{"prompt": "Ada votes in", "targets": ["Syria", "SY"]}],
        "Compositionality_II": [{"prompt": "Ada speaks", "targets": [["Arabic"], ["Kurdish"]]}],
        "Subject_Aliasing": [{"prompt": "A. is a citizen of", "targets": "Syria"}],
    }
    [case] = load_ripple(write(tmp_path / "r.json", [record]))
    assert case.request.subject == "Ada"
    assert case.portability == {
        "Logical_Generalization": (Probe("Ada votes in", "Syria", ("SY",)),),
        "Subject_Aliasing": (Probe("A. is a citizen of", "Syria"),),
        "Compositionality_II": (Probe("Ada speaks", "Arabic", ("Kurdish",)),),
    }


@pytest.mark.parametrize(
    ("new", "old", "expected"),
    [
        ("The spouse of X is New A B.", "The spouse of X is New C.", ("New A B", "New C")),
        ("The siblings of X are A.", None, ("A", None)),
        ("The capital of What is This is A.", "The capital of What is This is B.", ("A", "B")),
    ],
)
def test_a_sentence_is_split_where_the_target_begins(
    new: str, old: str | None, expected: tuple[str, str | None]
) -> None:
    prompt, target, truth = split_sentence(Place("f", 0), new, old)
    assert (target, truth) == expected
    assert f"{prompt} {target}." == new


@pytest.mark.parametrize(
    ("record", "message"),
    [
        (original(Forgetfulness=[{"test_queries": []}]), "Forgetfulness.test_queries' is empty"),
        (original(Forgetfulness=[{}]), "field 'test_queries' is missing"),
        (original(Forgetfulness=3), "field 'Forgetfulness': a list is needed, found 3"),
        (
            original(Forgetfulness=[{"test_queries": [query("x", "y")], "test_condition": "XOR"}]),
            "test_condition' is 'XOR'; allowed: OR, AND",
        ),
        (
            original(Forgetfulness=[{"test_queries": [{"prompt": "x", "answers": [{}]}]}]),
            "field 'value' is missing",
        ),
        ({"edit": {"prompt": "Nothing"}}, "no target can be told"),
        ({"prompt": "x"}, "field 'target_new' is missing"),
        (
            {"prompt": "x", "target_new": "y", "Forgetfulness": [{"prompt": "z", "targets": [3]}]},
            "'Forgetfulness.targets' is 3",
        ),
        (
            {"prompt": "x", "target_new": "y", "Forgetfulness": [{"prompt": "z"}]},
            "field 'targets' is missing",
        ),
    ],
)
def test_bad_records_are_named(tmp_path: Path, record: Any, message: str) -> None:
    good = original()
    path = write(tmp_path / "r.json", [good, record])
    with pytest.raises(DataError, match=f"record 1: .*{message}"):
        load_ripple(path)
    assert len(load_ripple(path, skip_bad=True)) == 1


def test_questions_without_a_named_answer_cannot_be_asked(tmp_path: Path) -> None:
    named, nameless, empty = query("a", "A", aliases=("AA",)), query("b", ""), query("c")
    record = original(
        Forgetfulness=[
            {"test_queries": [named]},
            {"test_queries": [nameless]},
            {"test_queries": [named], "condition_queries": [empty]},
            {"test_queries": [named, nameless], "test_condition": "OR"},
        ],
        Logical_Generalization=[{"test_queries": [query("d", "", aliases=("D",))]}],
    )
    flat = {"prompt": "x", "target_new": "y", "Forgetfulness": [{"prompt": "z", "targets": [""]}]}
    first, second = load_ripple(write(tmp_path / "r.json", [record, flat]))
    assert first.tests["Forgetfulness"] == (PortabilityTest((Query("a", (("A", "AA"),)),)),)
    assert first.portability["Logical_Generalization"] == (Probe("d", "D"),)
    assert not second.tests and not second.portability


def test_the_samples(samples: Path) -> None:
    """Both forms of the same edits; the flattened one has no conditions."""
    for name in ("ripple-original.json", "ripple-flat.json"):
        popular, recent = load_ripple(samples / name)
        assert popular.request.subject == "Ada Brunel" and recent.request.subject == "Osmark"
        assert (popular.request.target_new, popular.request.ground_truth) == ("Veltland", "Ruhnia")
        assert recent.request.ground_truth is None
        assert popular.portability.keys() == popular.tests.keys()
        for criterion, tests in popular.tests.items():
            asked = {query.prompt for test in tests for query in test.queries}
            assert asked == {probe.prompt for probe in popular.portability[criterion]}
        conditions = any(
            test.condition_queries for tests in popular.tests.values() for test in tests
        )
        assert conditions == (name == "ripple-original.json")
    original_form = load_ripple(samples / "ripple-original.json")[0]
    assert set(original_form.tests) == set(CRITERIA)
    assert len(original_form.tests["Relation_Specificity"]) == 2  # one has no named answer


@pytest.mark.parametrize(
    ("others", "subject"),
    [
        (["The name of the mother of Ada B is", "The gender of Ada B is"], "Ada B"),
        # A prompt that ends alike by accident, and one of another form, are outvoted.
        (
            ["The citizenship of Ada B is", "The gender of Ada B is", "The job of Ada B is", "Who"],
            "Ada B",
        ),
        (["Ada B works as"], None),
        ([], None),
    ],
)
def test_a_subject_is_what_prompts_about_it_end_in(others: list[str], subject: str | None) -> None:
    assert subject_in("The country of citizenship of Ada B is", others) == subject


def test_written_records_are_read_back() -> None:
    test = {
        "test_queries": [query("Ada votes in", "Syria", aliases=("SY",))],
        "test_condition": "AND",
        "condition_queries": [query("Ada is from", "Spain")],
    }
    record = parse_ripple(Place("f", 0), original(Logical_Generalization=[test]))
    data = record.to_json()
    assert data["Logical_Generalization"] == [test]
    again = parse_ripple(Place("f", 0), data)
    assert (again.request, again.tests) == (record.request, record.tests)
