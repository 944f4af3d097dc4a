"""ZsRE and CounterFact in all forms, good and bad."""

from __future__ import annotations

import json
import logging
from pathlib import Path
from typing import Any

import pytest

from dafnet_plugin.cases import Probe
from dafnet_plugin.data.counterfact import about_other_subjects, load_counterfact, statements
from dafnet_plugin.data.zsre import load_zsre
from dafnet_plugin.errors import DataError

ZSRE = {
    "subject": "Ramal",
    "src": "Which family does Ramal belong to?",
    "pred": "",
    "rephrase": "What family is Ramal in?",
    "alt": "Lamii",
    "answers": ["Lecan"],
    "loc": "nq question: types of skiing",
    "loc_ans": "Downhill",
    "cond": "",
    "portability": {
        "Recalled Relation": "(Lamii, in, Ceram)",
        "New Question": "What is the order of Ramal?",
        "New Answer": "Ceram",
    },
}
FLAT = {
    "case_id": 7,
    "prompt": "The capital of France is",
    "target_new": "Rome",
    "subject": "France",
    "ground_truth": "Paris",
    "rephrase_prompt": "France is ruled from",
    "locality_prompt": "The capital of Spain is",
    "locality_ground_truth": "Madrid",
}


def write(path: Path, value: Any) -> Path:
    path.write_text(json.dumps(value), encoding="utf-8")
    return path


def test_zsre_with_mends_fields(tmp_path: Path) -> None:
    [case] = load_zsre(write(tmp_path / "z.json", [ZSRE]))
    assert (case.request.prompt, case.request.target_new) == (ZSRE["src"], "Lamii")
    assert (case.request.subject, case.request.ground_truth) == ("Ramal", "Lecan")
    assert case.generality == (Probe("What family is Ramal in?", "Lamii"),)
    assert case.locality == (Probe("nq question: types of skiing", "Downhill"),)
    assert case.portability == {
        "Recalled_Relation": (Probe("What is the order of Ramal?", "Ceram"),)
    }


@pytest.mark.parametrize("listed", [True, False])
def test_zsre_in_the_structured_form(tmp_path: Path, listed: bool) -> None:
    locality = [{"prompt": "Spain's capital is", "ground_truth": ["Madrid"]}]
    record = {
        "prompt": "France's capital is",
        "subject": "France",
        "target_new": "Rome",
        "ground_truth": ["Paris"],
        "rephrase_prompt": ["The capital of France is"] if listed else "The capital of France is",
        "locality": locality if listed else {"Relation_Specificity": locality},
    }
    [case] = load_zsre(write(tmp_path / "z.json", [record]))
    assert case.request.ground_truth == "Paris"
    assert case.generality == (Probe("The capital of France is", "Rome"),)
    assert case.locality == (Probe("Spain's capital is", "Madrid"),)


def test_counterfact_in_the_flat_form(tmp_path: Path) -> None:
    [case] = load_counterfact(write(tmp_path / "c.json", [FLAT]))
    assert case.case_id == "7"
    assert case.generality == (Probe("France is ruled from", "Rome"),)
    assert case.locality == (Probe("The capital of Spain is", "Madrid"),)


def test_counterfact_in_the_original_form(tmp_path: Path) -> None:
    record = {
        "case_id": 3,
        "requested_rewrite": {
            "prompt": "The capital of {} is",
            "subject": "France",
            "target_new": {"str": "Rome", "id": "Q220"},
            "target_true": {"str": "Paris", "id": "Q90"},
        },
        "paraphrase_prompts": ["Words. France is ruled from"],
        "neighborhood_prompts": ["The capital of the Ile is", "The town of the Louvre is"],
        "attribute_prompts": ["The capital of Italy is"],
        "generation_prompts": ["France's capital is known for"],
    }
    path = write(tmp_path / "c.json", [record])
    [case] = load_counterfact(path)
    assert case.request.prompt == "The capital of France is"
    assert [probe.answer for probe in case.generality] == ["Rome"]
    assert [probe.answer for probe in case.locality] == ["Paris", "Paris"]
    assert case.generation == ("France's capital is known for",)
    [case] = load_counterfact(path, attributes=True)
    assert case.locality[2:] == (Probe("The capital of Italy is", "Rome"),)


def test_statements_are_the_facts_before_the_edit_each_prompt_once(tmp_path: Path) -> None:
    again = FLAT | {"prompt": "The capital of Spain is", "ground_truth": "Toledo"}
    cases = load_counterfact(write(tmp_path / "c.json", [FLAT, again]))
    assert [tuple(statement) for statement in statements(cases)] == [
        ("The capital of France is", "Paris"),
        ("France is ruled from", "Paris"),
        ("The capital of Spain is", "Madrid"),
    ]


def test_subjects_that_were_seen_are_left_out(tmp_path: Path) -> None:
    spain = FLAT | {"subject": "Spain"}
    cases = load_counterfact(write(tmp_path / "c.json", [FLAT, spain, spain]))
    assert about_other_subjects(cases, cases[:1]) == cases[1:2]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"target_new": ""}, "record 1: field 'target_new' is ''"),
        ({"prompt": 5}, "record 1: field 'prompt' is 5"),
        ({"rephrase_prompt": None}, "record 1: field 'rephrase_prompt' is None"),
        ("text", "record 1: an object is needed, found 'text'"),
        ({"requested_rewrite": {"subject": "x"}}, "record 1: field 'target_new' is missing"),
    ],
)
def test_a_bad_record_is_named_or_skipped(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, change: Any, message: str
) -> None:
    bad = FLAT | change if isinstance(change, dict) else change
    path = write(tmp_path / "c.json", [FLAT, bad, FLAT])
    with pytest.raises(DataError, match=message) as caught:
        load_counterfact(path)
    assert str(path) in str(caught.value)
    with caplog.at_level(logging.WARNING):
        cases = load_counterfact(path, skip_bad=True)
    assert len(cases) == 2 and len(cases.problems) == 1
    assert cases.problems[0] == str(caught.value)
    assert "1 malformed records skipped" in caplog.text and message in caplog.text


def test_a_missing_field_is_named_with_its_nearest_match(tmp_path: Path) -> None:
    record = {key: value for key, value in ZSRE.items() if key != "rephrase"}
    path = write(tmp_path / "z.json", [record | {"rephrased": "x"}])
    with pytest.raises(DataError, match=r"record 0: field 'rephrase' is missing.*'rephrased'"):
        load_zsre(path)


def test_malformed_json_is_named_with_its_line(tmp_path: Path) -> None:
    path = tmp_path / "c.json"
    path.write_text('[\n {"prompt": "x",}\n]', encoding="utf-8")
    with pytest.raises(DataError, match="line 2"):
        load_counterfact(path)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"locality": 3}, "field 'locality': a list is needed"),
        ({"locality": [{"prompt": "a"}]}, "field 'ground_truth' is missing"),
        (
            {"locality": [{"prompt": "a", "ground_truth": ""}]},
            "field 'locality.ground_truth' of 'a' is blank",
        ),
        (
            {"portability": {"x": [{"prompt": 1, "ground_truth": "b"}]}},
            "'portability.x.prompt' is 1",
        ),
        ({"ground_truth": 5}, "field 'ground_truth' is 5"),
        ({"rephrase_prompt": [7]}, "field 'rephrase_prompt' is 7"),
    ],
)
def test_bad_fields_of_the_structured_form(
    tmp_path: Path, change: dict[str, Any], message: str
) -> None:
    record = {"prompt": "France's capital is", "target_new": "Rome", "subject": "France"}
    path = write(tmp_path / "z.json", [record, record | change])
    with pytest.raises(DataError, match=f"z.json: record 1: .*{message}"):
        load_zsre(path)
    assert len(load_zsre(path, skip_bad=True)) == 1


def test_the_samples(samples: Path) -> None:
    first, second = load_zsre(samples / "zsre-mend.json")
    assert first.portability and not second.portability
    [case] = load_zsre(samples / "zsre-structured.json")
    assert len(case.generality) == 2 and case.request.ground_truth == "Emil Brunel"
    assert case.portability["Recalled_Relation"][0].aliases == ("Osburg, Osmark",)
    assert len(load_counterfact(samples / "counterfact-original.json")) == 2


def test_a_file_without_a_list_or_without_records(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="a list of records is needed"):
        load_zsre(write(tmp_path / "z.json", {"a": 1}))
    with pytest.raises(DataError, match="no usable records"):
        load_zsre(write(tmp_path / "z.json", []))
    with pytest.raises(DataError, match="cannot be read"):
        load_zsre(tmp_path / "absent.json")


def test_the_real_files(data_dir: Path) -> None:
    zsre = load_zsre(data_dir / "zsre" / "zsre_mend_eval_portability_gpt4.json")
    assert len(zsre) == 737 and all(case.portability for case in zsre)
    counterfact = data_dir / "counterfact" / "counterfact-edit.json"
    assert len(load_counterfact(counterfact)) == 4000
    assert len(load_counterfact(counterfact, size=10)) == 10
