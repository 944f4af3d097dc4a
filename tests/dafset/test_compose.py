"""Samples made of chosen facts, with the graph's answers written by hand."""

from __future__ import annotations

from collections import Counter
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dafnet_plugin.dafset.compose import EVAL, TRAIN, Choice, Composer, assign, split_of
from dafnet_plugin.dafset.evidence import Evidence
from dafnet_plugin.dafset.relations import load_relations
from dafnet_plugin.dafset.samples import PROPERTIES, Sample

TABLE = load_relations()


def fact(subject: str, relation: str, object: str, **more: Any) -> dict[str, Any]:
    row = {"subject": subject, "relation": relation, "object": object}
    return row | {"subject_label": f"<{subject}>", "object_label": f"<{object}>"} | more


def candidate(name: str, hops: int | None, label: str | None = None) -> dict[str, Any]:
    return {"candidate": name, "label": label or f"<{name}>", "hops": hops}


def evidence(**changes: Any) -> Evidence:
    values: dict[str, Any] = {
        "candidates": {("P36", "Q2"): [candidate("Q8", 2), candidate("Q9", None)]},
        "true": {("Q1", "P36"): frozenset({"Q2"})},
        "probes": {"P36": [fact("Q5", "P36", "Q6")]},
        "linked": frozenset(),
        "about": {"Q1": [fact("Q1", "P36", "Q2"), fact("Q1", "P37", "Q3")]},
        "names": {"Q7": "<Q7>"},
    }
    return Evidence(**(values | changes))


def composer(found: Evidence, **changes: Any) -> Composer:
    settings: dict[str, Any] = {"targets": {"recent": True}, "eval_share": 0.0, "seed": 0}
    return Composer(TABLE, found, **(settings | changes))


def choice(property: str = "popular", **more: Any) -> Choice:
    return Choice(fact("Q1", "P36", "Q2", **more), property, (property,))


def made(found: Evidence, property: str = "popular", **more: Any) -> Sample:
    sample = composer(found).sample(choice(property, **more))
    assert sample is not None and sample.meta is not None
    return sample


def test_a_false_edit() -> None:
    sample = made(evidence(), modified=0, views=3)
    assert (sample.target_new, sample.ground_truth) == ("<Q8>", "<Q2>"), "the nearest object"
    assert sample.subject == "<Q1>" and sample.subject in sample.prompt
    assert sample.rephrase_prompt != sample.prompt and "<Q5>" in sample.locality_prompt
    assert sample.locality_ground_truth == "<Q6>"
    assert sample.meta is not None and sample.meta.hops == 2 and sample.meta.views == 3
    assert sample.meta.modified == "1970-01-01T00:00:00Z" and sample.meta.domain == "places"


def test_a_true_edit_knows_what_was_before() -> None:
    sample = made(evidence(), "recent", old="Q7", change="changed")
    assert (sample.target_new, sample.ground_truth) == ("<Q2>", "<Q7>")
    assert made(evidence(), "recent").ground_truth is None


@pytest.mark.parametrize(
    "true", [{"Q2", "Q8", "Q9"}, {"Q2", "Q9"}], ids=["all of them", "an earlier one"]
)
def test_an_object_that_is_or_was_true_is_not_written(true: set[str]) -> None:
    found = evidence(true={("Q1", "P36"): frozenset(true)})
    sample = composer(found).sample(choice())
    assert sample is None if "Q8" in true else sample is not None
    if sample is not None:
        assert sample.target_new == "<Q8>"


@pytest.mark.parametrize("label", ["<q2>", "<Q1> city", "q1"])
def test_a_name_that_tells_the_truth_is_not_written(label: str) -> None:
    found = evidence(candidates={("P36", "Q2"): [candidate("Q8", 1, label), candidate("Q9", 2)]})
    assert made(found).target_new == "<Q9>"


@pytest.mark.parametrize(
    ("probe", "linked"),
    [
        (fact("Q8", "P36", "Q6"), ()),  # about the new object
        (fact("Q2", "P36", "Q6"), ()),  # about the true one
        (fact("Q5", "P36", "Q1"), ()),  # the answer is the edited subject
        (fact("Q5", "P36", "Q8"), ()),  # the answer is what is written
        (fact("Q5", "P36", "Q6"), (("Q5", "Q1"),)),  # its subject leads to the edited one
        (fact("Q5", "P36", "Q6", subject_label="<q1>"), ()),  # a namesake
    ],
)
def test_probes_that_an_edit_could_change(probe: Any, linked: Any) -> None:
    found = evidence(probes={"P36": [probe]}, linked=frozenset(linked))
    maker = composer(found)
    assert maker.sample(choice()) is None
    assert maker.drops == {"no locality probe that the edit leaves alone": 1}


def test_near_relations_are_asked_when_there_is_no_other_probe() -> None:
    near = fact("Q5", "P37", "Q6")
    found = evidence(probes={"P36": [fact("Q8", "P36", "Q6")], "P37": [near]})
    sample = made(found)
    assert sample.meta is not None and sample.meta.locality == ("Q5", "P37", "Q6")


def test_probes_take_turns() -> None:
    subjects = [f"Q{n}" for n in range(20, 40)]
    found = evidence(
        candidates={("P36", "Q2"): [candidate("Q8", 2)]},
        probes={"P36": [fact(f"Q{n}", "P36", "Q6") for n in range(50, 55)]},
    )
    choices = [Choice(fact(name, "P36", "Q2"), "popular", ()) for name in subjects]
    samples = composer(found).samples(choices, 20)
    asked = Counter(sample.meta.locality[0] for sample in samples if sample.meta)
    assert set(asked.values()) == {4}


def test_training_and_evaluation_have_probes_of_their_own() -> None:
    names = [f"Q{n}" for n in range(100, 160)]
    found = evidence(probes={"P36": [fact(name, "P36", "Q6") for name in names]})
    maker = composer(found, eval_share=0.5)
    choices = [Choice(fact(f"Q{n}", "P36", "Q2"), "popular", ()) for n in range(20, 60)]
    asked: dict[str, set[str]] = {TRAIN: set(), EVAL: set()}
    for sample in maker.samples(choices, 99):
        assert sample.meta is not None
        asked[sample.meta.split].add(sample.meta.locality[0])
    assert asked[TRAIN] and asked[EVAL] and not asked[TRAIN] & asked[EVAL]


def test_material_for_contexts() -> None:
    probes = {"P36": [fact("Q5", "P36", "Q6"), fact("Q50", "P36", "Q51")],
              "P19": [fact("Q60", "P19", "Q61")]}  # fmt: skip
    maker = composer(evidence(probes=probes))
    sample = maker.sample(choice("robust"))
    assert sample is not None and sample.meta is not None
    material = maker.material([sample])
    (about,) = material.about["Q1-P36"]
    assert "<Q1>" in about and "<Q3>" in about and about.endswith("."), "not the edited fact"
    (distracting,) = material.distracting["Q1-P36"]
    other = {"Q5": "<Q50>", "Q50": "<Q5>"}[sample.meta.locality[0]]
    assert other in distracting, "the probe's own fact is not told"
    assert material.exclusive["Q1-P36"] == (("Q9", "<Q9>"),)
    assert any("<Q61>" in text for text in material.unrelated)


def pool(*keys: tuple[str, str, str]) -> list[dict[str, Any]]:
    return [fact(*key) for key in keys]


def test_properties_take_turns() -> None:
    shared = pool(*((f"Q{n}", "P19", "Q0") for n in range(10)))
    chosen = assign({"popular": shared, "robust": shared}, TABLE, 99)
    assert Counter(item.property for item in chosen) == {"popular": 5, "robust": 5}
    assert all(item.properties == ("popular", "robust") for item in chosen)
    assert len(assign({"popular": shared}, TABLE, 3)) == 3


def test_a_fact_is_not_edited_from_both_ends() -> None:
    both = pool(
        ("Q1", "P36", "Q2"), ("Q2", "P1376", "Q1"), ("Q3", "P26", "Q4"), ("Q4", "P26", "Q3")
    )
    assert [item.fact["subject"] for item in assign({"recent": both}, TABLE, 9)] == ["Q1", "Q3"]


keys = st.tuples(st.sampled_from(["Q1", "Q2", "Q3"]), st.sampled_from(["P19", "P26", "P36"]),
                 st.sampled_from(["Q1", "Q2", "Q4"]))  # fmt: skip


@given(st.dictionaries(st.sampled_from(PROPERTIES), st.lists(keys, max_size=8)))
def test_every_fact_is_dealt_out_once(drawn: dict[str, list[tuple[str, str, str]]]) -> None:
    chosen = assign({name: pool(*rows) for name, rows in drawn.items()}, TABLE, 99)
    taken = [tuple(item.fact[k] for k in ("subject", "relation", "object")) for item in chosen]
    assert len(set(taken)) == len(taken)
    assert all(key in drawn[item.property] for key, item in zip(taken, chosen))


def test_splits_are_by_name() -> None:
    split = [split_of(f"name {n}", 0.2, 0) for n in range(2000)]
    assert 0.17 < split.count(EVAL) / 2000 < 0.23
    assert split_of("Ada", 0.5, 3) == split_of("ADA", 0.5, 3)
    assert split_of("Ada", 0.0, 0) == TRAIN
