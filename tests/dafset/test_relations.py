"""The table of relations: the shipped one, your own, and what can be wrong with it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import yaml

from dafnet_plugin.dafset.relations import (
    MIN_CLOZE,
    MIN_QUESTIONS,
    load_relations,
    prompt_of,
    sentence_of,
)
from dafnet_plugin.errors import ConfigError

GOOD: dict[str, Any] = {
    "types": {"human": {"label": "person", "classes": ["Q5"], "domain": "people"}},
    "relations": {
        "P22": {
            "label": "father",
            "subject": "human",
            "object": "human",
            "cloze": ["The father of [X] is [Y]", "[X] has a father named [Y]"],
            "near": ["P25"],
            "inverse": "P40",
        }
    },
}


def write(tmp_path: Path, change: dict[str, Any], **relation: Any) -> Path:
    table = yaml.safe_load(yaml.safe_dump(GOOD)) | change
    table["relations"].get("P22", {}).update(relation)
    path = tmp_path / "table.yaml"
    path.write_text(yaml.safe_dump(table))
    return path


def test_the_shipped_table() -> None:
    table = load_relations()
    assert len(table) == 48
    for name, relation in table.items():
        assert len(relation.cloze) >= MIN_CLOZE and len(relation.questions) >= MIN_QUESTIONS, name
        assert all(pattern.endswith("?") for pattern in relation.questions), name
        assert set(relation.near) <= set(table) and name not in relation.near, name
        back = relation.inverse
        assert back not in table or table[str(back)].inverse == name, name
    kinds = {kind for r in table.values() for kind in (r.subject, r.object)}
    assert kinds <= set(table.types)
    assert table.domain("P36") == "places" and table.domain("P19") == "people"


def test_inverse_relations_are_so_in_real_facts(data_dir: Path) -> None:
    def facts(relation: str) -> set[tuple[str, str]]:
        lines = (data_dir / "pararel" / "triples" / f"{relation}.jsonl").read_text().splitlines()
        found = map(json.loads, lines)
        return {(fact["sub_label"], fact["obj_label"]) for fact in found}

    assert load_relations()["P36"].inverse == "P1376"
    capital, capital_of = facts("P36"), facts("P1376")
    both = {place for place, _ in capital} & {place for _, place in capital_of}
    agree = {place for place, city in capital if (city, place) in capital_of}
    assert len(both) == 60 and both - agree == {"Lima"}, "a province and a region are called so"


def test_no_prompt_of_a_relation_begins_another_one() -> None:
    # A model could not know which of the two goes on.
    for relation in load_relations().values():
        prompts = [prompt_of(pattern, "[X]") for pattern in relation.patterns]
        for prompt in prompts:
            others = [other for other in prompts if other != prompt]
            assert not any(other.startswith(prompt + " ") for other in others), prompt


def test_sentences() -> None:
    assert prompt_of("The father of [X] is [Y]", "Ada") == "The father of Ada is"
    assert prompt_of("Who is the father of [X]?", "Ada") == "Who is the father of Ada?"
    assert sentence_of("[X] has a father named [Y]", "Ada", "Bo") == "Ada has a father named Bo."


def test_a_table_of_ones_own(tmp_path: Path) -> None:
    table = load_relations(write(tmp_path, {}))
    assert table["P22"].patterns == table["P22"].cloze and table["P22"].inverse == "P40"
    assert table.types["human"].classes == ("Q5",)


def test_a_choice_of_relations() -> None:
    table = load_relations()
    assert list(table.only(["P36", "P19", "P36"])) == ["P19", "P36"]
    with pytest.raises(ConfigError, match=r"'P99999' is not in relations\.yaml.*allowed: P19, "):
        table.only(["P99999"])
    with pytest.raises(ConfigError, match=r"'capital'.*did you mean 'P36'"):
        table.only(["P19", "capital"])


@pytest.mark.parametrize(
    ("relation", "message"),
    [
        ({"cloze": ["[Y] is the father of [X]", "a [X] b [Y]"]}, r"\[Y\] at the end"),
        ({"cloze": ["The father is [Y]", "a [X] b [Y]"]}, r"one \[X\]"),
        ({"questions": ["Who is [X] to [Y]?"]}, r"questions: .*no \[Y\]"),
        ({"cloze": ["[X] is the son of [Y]"]}, r"1 pattern\(s\)"),
        ({"cloze": ["[X] of [Y]", "[X] of [Y]"]}, "is in P22 already"),
        ({"object": "humans"}, "object: 'humans'.*did you mean 'human'"),
        ({"near": ["mother"]}, "'mother'; allowed: a property"),
        ({"cloze": "[X] of [Y]"}, "cloze: .*allowed: a list of text"),
        ({"patterns": []}, "patterns: unknown key"),
    ],
)
def test_what_can_be_wrong(tmp_path: Path, relation: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message) as error:
        load_relations(write(tmp_path, {}, **relation))
    assert "table.yaml" in str(error.value) and "P22" in str(error.value)


def test_all_problems_are_named_at_once(tmp_path: Path) -> None:
    types = {"human": {"label": "person", "classes": ["human"]}}
    with pytest.raises(ConfigError) as error:
        load_relations(write(tmp_path, {"types": types}, object="x", near=["y"]))
    assert "3 problem(s)" in str(error.value)


def test_an_empty_table(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="relations: none"):
        load_relations(write(tmp_path, {"relations": {}}))
    with pytest.raises(ConfigError, match="cannot be read"):
        load_relations(tmp_path / "nowhere.yaml")
