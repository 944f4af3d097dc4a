"""Consistency pairs: the record, FIB's files, and what templates make of two worlds."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dafnet_plugin.data.consistency import ConsistencyPair, load_fib, load_pairs, write_pairs
from dafnet_plugin.data.consistency.pairs import mentions
from dafnet_plugin.data.consistency.pararel import SEVERAL, pararel_pairs
from dafnet_plugin.data.consistency.templates import Rewording, StatedFact, build_pairs
from dafnet_plugin.data.consistency.tinyworld import tinyworld_pairs
from dafnet_plugin.data.pararel import ParaRelWorld, build_pararel
from dafnet_plugin.data.tinyworld import TinyWorld
from dafnet_plugin.errors import ConfigError, DataError

FIB = {
    "id": "7",
    "document": "The bridge was built in 1932. It is 500 metres long.",
    "list_choices": [" The bridge is 900 metres long.", "The bridge is 500 metres long."],
    "lbl": 1,
}
PAIR = ConsistencyPair("It rains. It is cold.", "It is cold.", "It is hot.", True, "entity", "c1")


def written(folder: Path, records: Iterable[Any], lines: bool = True) -> Path:
    path = folder / ("fib.jsonl" if lines else "fib.json")
    records = list(records)
    text = "".join(json.dumps(r) + "\n" for r in records) if lines else json.dumps(records)
    path.write_text(text, encoding="utf-8")
    return path


# -- the record ---------------------------------------------------------------------------------


def test_pairs_come_back_as_they_were_written(tmp_path: Path) -> None:
    pairs = [PAIR, ConsistencyPair("d", "é", "b"), replace(PAIR, swap=None, case_id=None)]
    write_pairs(tmp_path / "pairs.jsonl", pairs)
    assert list(load_pairs(tmp_path / "pairs.jsonl")) == pairs
    assert list(load_pairs(tmp_path / "pairs.jsonl", size=1)) == pairs[:1]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"document": "  "}, r"'document' is '  ', a non-empty string"),
        ({"contradicting": None}, r"'contradicting' is None, a non-empty string"),
        ({"contradicting": " It is cold. "}, r"are both 'It is cold\.', two different"),
        ({"edited": 1}, r"'edited' is 1; allowed: true, false"),
        ({"swap": "entitty"}, r"'swap' is 'entitty' \(did you mean 'entity'\?\); allowed"),
        ({"edited": False}, r"'case_id' is 'c1'; allowed: text where edited is true"),
        ({"case_id": 3}, r"'case_id' is 3"),
    ],
)
def test_what_is_wrong_with_a_pair_is_named(change: dict[str, Any], message: str) -> None:
    with pytest.raises(DataError, match=message):
        replace(PAIR, **change)


def test_a_name_is_mentioned_as_whole_words_only() -> None:
    assert mentions("She lives in ROME, Italy", "Rome")
    assert mentions("Rome", "rome ")
    assert not mentions("Romeo and Jerome", "Rome")
    assert mentions("paid to A. B. (Inc.).", "A. B. (Inc.)")


# -- FIB ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("lines", [True, False])
def test_fib_of_either_kind(tmp_path: Path, lines: bool) -> None:
    swapped = FIB | {"lbl": 0}
    first, second = load_fib(written(tmp_path, [FIB, swapped], lines))
    right, wrong = "The bridge is 500 metres long.", "The bridge is 900 metres long."
    assert first == ConsistencyPair(str(FIB["document"]), right, wrong)
    assert (second.consistent, second.contradicting) == (wrong, right)
    assert not first.edited and first.swap is None and first.case_id is None


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"document": ""}, r"field 'document' is ''"),
        ({"document": None}, r"field 'document' is None"),
        ({"list_choices": "a"}, r"field 'list_choices': a list is needed, found 'a'"),
        ({"list_choices": ["a"]}, r"field 'list_choices' has 1 summaries; two"),
        ({"list_choices": ["a", ""]}, r"field 'list_choices\[1\]' is ''"),
        ({"list_choices": ["a", " a"]}, r"field 'list_choices' has 'a' twice"),
        ({"lbl": 2}, r"field 'lbl' is 2; allowed: 0, 1"),
        ({"lbl": True}, r"field 'lbl' is True; allowed: 0, 1"),
        ({"lbl": "1"}, r"field 'lbl' is '1'; allowed: 0, 1"),
    ],
)
def test_malformed_records_are_named_or_left_out(
    tmp_path: Path, change: dict[str, Any], message: str
) -> None:
    path = written(tmp_path, [FIB, FIB | change])
    with pytest.raises(DataError, match=rf"fib\.jsonl: record 1: {message}"):
        load_fib(path)
    found = load_fib(path, skip_bad=True)
    assert len(found) == 1 and re.search(message, found.problems[0])


@pytest.mark.parametrize("field", ["document", "list_choices", "lbl"])
def test_a_missing_field_is_named(tmp_path: Path, field: str) -> None:
    record = {key: value for key, value in FIB.items() if key != field}
    with pytest.raises(DataError, match=rf"record 0: field '{field}' is missing"):
        load_fib(written(tmp_path, [record]))
    with pytest.raises(DataError, match=r"no usable records \(1 malformed\)"):
        load_fib(written(tmp_path, [record]), skip_bad=True)


# -- templates ----------------------------------------------------------------------------------


class Known:
    """A world of two relations between people and cities, and a few bystanders."""

    def __init__(self, others: int = 4, related: bool = True) -> None:
        cities = ("Rome", "Oslo", "Lima")
        self._others = [fact(f"P{n}", "born", cities[n % 3]) for n in range(others)]
        self._related = [fact("Ada", "died", "Lima")] if related else []

    def related(self, fact: StatedFact) -> list[StatedFact]:
        return self._related

    def others(self, fact: StatedFact) -> list[StatedFact]:
        return self._others

    def wrong_objects(self, fact: StatedFact) -> list[str]:
        return ["Paris"]

    def wrong_relations(self, fact: StatedFact) -> list[Rewording]:
        return [Rewording("died", ("Ada died in",))]


def fact(subject: str, relation: str, answer: str, **more: Any) -> StatedFact:
    prompts = (f"{subject} was {relation} in", f"The place where {subject} was {relation} is")
    return StatedFact(subject, relation, answer, prompts, **more)


ADA = fact("Ada", "born", "Rome", edited=True, case_id="c")


def test_each_exchange_changes_one_thing() -> None:
    found = {pair.swap: pair for pair in build_pairs([ADA], Known(), seed=0)}
    assert set(found) == {"entity", "relation", "number"}
    for pair in found.values():
        assert pair.edited and pair.case_id == "c"
        assert sum(ADA.sentence(prompt) in pair.document for prompt in ADA.prompts) == 1
        assert pair.document.count(".") == 3
    entity, relation, number = (found[name] for name in ("entity", "relation", "number"))
    assert entity.consistent not in entity.document  # in another wording
    assert entity.contradicting == entity.consistent.replace("Rome", "Paris")
    assert relation.contradicting == "Ada died in Rome."
    assert "Ada was died in Lima" in relation.document or "Ada was died is Lima" in (
        relation.document
    )
    assert number.contradicting != number.consistent


@given(seed=st.integers(0, 10**6), sentences=st.integers(2, 6), others=st.integers(0, 9))
@settings(max_examples=60, deadline=None)
def test_numbers_count_the_sentences_that_name_the_object(
    seed: int, sentences: int, others: int
) -> None:
    pairs = build_pairs([ADA], Known(others), seed=seed, sentences=sentences)
    assert pairs == build_pairs([ADA], Known(others), seed=seed, sentences=sentences)
    for pair in pairs:
        stated = [part for part in re.split(r"(?<=\.) ", pair.document) if part]
        assert 2 <= len(stated) <= sentences
        if pair.swap == "number":
            naming = sum(mentions(part, "Rome") for part in stated)
            assert pair.consistent == f"Rome is named in {naming} of {len(stated)} sentences."
            (wrong,) = re.findall(r"in (\d+) of", pair.contradicting)
            assert 1 <= int(wrong) <= len(stated) and int(wrong) != naming


def test_what_a_world_has_nothing_for_is_left_out() -> None:
    class Poor(Known):
        def wrong_objects(self, fact: StatedFact) -> list[str]:
            return []

        def wrong_relations(self, fact: StatedFact) -> list[Rewording]:
            return []

    assert build_pairs([ADA], Poor(others=0, related=False), seed=0) == []
    assert [pair.swap for pair in build_pairs([ADA], Poor(), seed=0)] == ["number"]
    with pytest.raises(ConfigError, match=r"sentences: 1; allowed: at least 2"):
        build_pairs([ADA], Known(), seed=0, sentences=1)


def test_a_fact_has_the_same_pairs_whatever_came_before_it() -> None:
    alone = build_pairs([ADA], Known(), seed=3)
    behind = build_pairs([fact("Bo", "born", "Oslo"), ADA], Known(), seed=3)
    assert behind[-len(alone) :] == alone
    assert any(build_pairs([ADA], Known(), seed=n) != alone for n in range(4, 8))


def test_a_name_that_ends_in_a_full_stop_has_one() -> None:
    assert fact("Ada", "hired", "Acme Inc.").sentence("Ada works for") == "Ada works for Acme Inc."


# -- two worlds ---------------------------------------------------------------------------------


def sentences_of(tiny: TinyWorld) -> dict[str, tuple[tuple[str, str], str]]:
    """Every sentence that could state a fact -> the fact, and its object."""
    from dafnet_plugin.data.tinyworld.relations import prompt_of

    world, found = tiny.world, {}
    for key, objects in world.simple.items():
        for pattern in world.relations[key[1]].patterns:
            prompt = prompt_of(pattern, world.label(key[0]))
            found[f"{prompt} {world.label(objects[0])}."] = (key, world.label(objects[0]))
    return found


def test_documents_of_the_tiny_world_state_the_new_fact_and_else_the_world(
    micro: TinyWorld,
) -> None:
    cases = {item.case.case_id: item for item in micro.evaluation}
    pairs = tinyworld_pairs(micro, cases, seed=0, untouched=9)
    assert pairs == tinyworld_pairs(micro, cases, seed=0, untouched=9)
    assert {pair.case_id for pair in pairs if pair.edited} == set(cases)
    assert {pair.swap for pair in pairs if pair.edited} == {"entity", "relation", "number"}
    known, world = sentences_of(micro), micro.world
    changed: set[Any] = set()
    for item in micro.evaluation:
        changes = world.changes(item.edit)
        changed |= changes.changed.keys() | changes.retracted
    for pair in pairs:
        stated = re.split(r"(?<=\.) ", pair.document)
        new = [text for text in stated if text not in known]
        assert not [text for text in stated if text in known and known[text][0] in changed]
        if not pair.edited:
            assert not new and pair.swap
            continue
        item = cases[str(pair.case_id)]
        assert len(new) == 1 and new[0].endswith(f"{item.case.request.target_new}.")
        if pair.swap == "entity":
            old = world.label(world.simple[item.edit.subject, item.edit.relation][0])
            many = world.relations[item.edit.relation].many_valued
            assert pair.contradicting.endswith(f"{old}.") != many
        if pair.swap == "relation":
            assert pair.contradicting not in known
            assert pair.contradicting.endswith(f"{item.case.request.target_new}.")
    untouched = [pair for pair in pairs if not pair.edited]
    assert sum(pair.swap == "entity" for pair in untouched) == 9


def test_some_cases_of_the_tiny_world(micro: TinyWorld) -> None:
    wanted = [item.case.case_id for item in micro.evaluation[:2]]
    pairs = tinyworld_pairs(micro, wanted, seed=0, untouched=0)
    assert {pair.case_id for pair in pairs} == set(wanted)
    everything = tinyworld_pairs(
        micro, [item.case.case_id for item in micro.evaluation], seed=0, untouched=0
    )
    assert [pair for pair in everything if pair.case_id in wanted] == pairs


@pytest.fixture(scope="module")
def pararel(tmp_path_factory: pytest.TempPathFactory) -> tuple[ParaRelWorld, Path]:
    """Three relations of people and places, two of them between the same types."""
    folder = tmp_path_factory.mktemp("pararel")
    patterns: dict[str, list[str]] = {
        "P19": ["[X] was born in [Y].", "[X] is from [Y].", "[X]'s birthplace is [Y]."],
        "P20": ["[X] died in [Y].", "[X] passed away in [Y].", "The death of [X] was in [Y]."],
        "P47": ["[X] borders [Y].", "[X] is next to [Y].", "[X] shares a border with [Y]."],
    }
    cities = ["Rome", "Oslo", "Lima", "Kyoto", "Cairo"]
    for number, (name, texts) in enumerate(patterns.items()):
        lines = {"patterns": [{"pattern": text} for text in texts]}
        lines["triples"] = [
            {"sub_label": f"{name[1:]}-{index} Person", "obj_label": cities[index % 5]}
            for index in range(30)
        ]
        if number == 1:  # known to be right of a subject of the first relation
            lines["triples"] += [
                {"sub_label": f"19-{index} Person", "obj_label": city}
                for index in range(30)
                for city in cities[:4]
            ]
        for part, records in lines.items():
            (folder / part).mkdir(exist_ok=True)
            text = "".join(json.dumps(record) + "\n" for record in records)
            (folder / part / f"{name}.jsonl").write_text(text)
    shares = {"train_share": 0.3, "eval_share": 0.4, "bystander_share": 0.2}
    return build_pararel(folder, seed=0, facts_per_relation=30, **shares), folder


def test_documents_of_pararel(pararel: tuple[ParaRelWorld, Path]) -> None:
    world, folder = pararel
    pairs = pararel_pairs(world, folder, world.evaluation, seed=0, untouched=5)
    assert pairs == pararel_pairs(world, folder, world.evaluation, seed=0, untouched=5)
    cases = {case.case_id: case for case in world.evaluation}
    facts = {fact.subject: fact for fact in world.facts}
    known = {f"{prompt} {fact.answer}." for fact in world.facts for prompt in fact.prompts}
    edited = {case.request.subject for case in world.evaluation}
    assert {pair.case_id for pair in pairs if pair.edited} == set(cases)
    for pair in pairs:
        stated = re.split(r"(?<=\.) ", pair.document)
        new = [text for text in stated if text not in known]
        if not pair.edited:
            assert not new and not any(str(name) in pair.document for name in edited)
            continue
        request = cases[str(pair.case_id)].request
        assert len(new) == 1 and str(request.subject) in new[0]
        assert new[0].endswith(f"{request.target_new}.")
        relation = facts[str(request.subject)].relation
        if pair.swap == "entity":
            old = pair.contradicting.endswith(f"{request.ground_truth}.")
            assert old == (relation not in SEVERAL)
        if pair.swap == "relation":
            assert relation in ("P19", "P20")
            # What a triple has is not wrong.
            assert relation == "P20" or request.target_new == "Cairo"
            assert pair.contradicting.endswith(f"{request.target_new}.")
    assert sum(pair.swap == "entity" and not pair.edited for pair in pairs) == 5


def test_a_broken_triple_is_named(pararel: tuple[ParaRelWorld, Path], tmp_path: Path) -> None:
    world, folder = pararel
    place = Path(shutil.copytree(folder, tmp_path / "pararel"))
    with open(place / "triples" / "P20.jsonl", "a") as file:
        file.write('{"sub_label": "x"}\n')
    with pytest.raises(DataError, match=r"P20\.jsonl: record \d+: field 'obj_label' is missing"):
        pararel_pairs(world, place, world.evaluation, seed=0)
