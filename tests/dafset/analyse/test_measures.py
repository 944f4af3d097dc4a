"""What is measured, and what sets share."""

from __future__ import annotations

import math
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dafnet_plugin.dafset.analyse.knowledge import OTHER, Knowledge, fold_classes
from dafnet_plugin.dafset.analyse.measures import curve, measure, median
from dafnet_plugin.dafset.analyse.overlap import overlap_table
from dafnet_plugin.dafset.analyse.sets import fold, format_of, load_sets
from dafnet_plugin.dafset.analyse.summary import summarise
from dafnet_plugin.dafset.graph import Entity, Statement

VALUES = st.lists(st.integers(0, 50).map(float), min_size=1, max_size=60)


@given(VALUES)
def test_a_curve_is_the_share_of_what_is_at_least_x(values: list[float]) -> None:
    found = curve(values)
    for x, share in found:
        assert share == sum(value >= x for value in values) / len(values)
    assert [x for x, _ in found] == sorted({value for value in values if value > 0})
    for x, share in curve(values, rising=True):
        assert share == sum(value <= x for value in values) / len(values)
    ordered = sorted(values)
    assert median(values) == (ordered[(len(values) - 1) // 2] + ordered[len(values) // 2]) / 2


def test_a_long_curve_is_thinned_out_and_keeps_its_ends() -> None:
    found = curve([float(n) for n in range(1, 5001)])
    assert 150 <= len(found) <= 165 and found[0] == [1.0, 1.0] and found[-1][0] == 5000
    assert median([]) is None


def test_recorded_numbers_are_of_subjects_and_likelihoods_of_facts(
    dafset: Path, others: dict[str, Path]
) -> None:
    found = {one.name: one for one in measure(load_sets(dafset, others))}
    assert sorted(found["degree"].values["popular"]) == [400.0 + n for n in range(10)]
    assert found["frequency"].values["zsre"] == [] and found["frequency"].asked["zsre"] == 4
    assert found["likelihood"].values["long_tail"][0] == pytest.approx(math.exp(-0.02))


def test_with_a_corpus_all_sets_are_counted_alike(
    dafset: Path, others: dict[str, Path], tmp_path: Path
) -> None:
    corpus = tmp_path / "corpus.txt"
    corpus.write_text("Zoe met Ada popular 3.\nZoe and Zoe. Carl 2 left. Zoey came.\n")
    [frequency] = [
        one for one in measure(load_sets(dafset, others), corpus=corpus) if one.name == "frequency"
    ]
    assert sorted(frequency.values["zsre"]) == [0, 0, 0, 3]
    assert sum(frequency.values["counterfact"]) == 1 and sum(frequency.values["popular"]) == 1


def test_with_a_model_all_facts_with_an_old_answer_are_scored(
    dafset: Path, others: dict[str, Path], tiny_models: dict[str, Path]
) -> None:
    sets = load_sets(dafset, others)
    [found] = [
        one for one in measure(sets, model=str(tiny_models["gpt2"])) if one.name == "likelihood"
    ]
    assert {name: len(values) for name, values in found.values.items()} == {
        **dict.fromkeys(("long_tail", "popular", "recent", "robust"), 10),
        "zsre": 4,
        "counterfact": 3,
    }
    assert all(0 < value < 1 for values in found.values.values() for value in values)


@pytest.fixture
def store(tmp_path: Path) -> Path:
    """Zoe and Carl 1, people; a town and what towns are."""
    write_store = pytest.importorskip("dafnet_plugin.dafset.store").write_store

    def facts(*pairs: tuple[str, str], current: bool = True) -> tuple[Statement, ...]:
        return tuple(Statement(relation, item, current=current) for relation, item in pairs)

    people = facts(("P31", "Q5"), ("P19", "Q50"))
    entities = [
        Entity("Q5", "human", statements=facts(("P279", "Q6"))),
        Entity("Q6", "being"),
        Entity("Q40", "Zoe", statements=people),
        Entity("Q41", "Zoe", statements=people + facts(("P20", "Q50"))),
        Entity("Q42", "Charles", aliases=("Carl 1",), statements=people),
        Entity(
            "Q50", "Oslo", statements=facts(("P31", "Q515")) + facts(("P17", "Q9"), current=False)
        ),
        Entity("Q515", "city"),
    ]
    write_store(tmp_path / "store", entities)
    return tmp_path / "store"


def test_a_graph_knows_degrees_names_and_classes(store: Path) -> None:
    known = Knowledge(store)
    assert known.degrees(["Q50", "Q40", "Q99"]) == {"Q50": 5, "Q40": 2, "Q99": 0}
    # Of two called Zoe the better connected one; Carl 1 by an alias.
    assert known.ids(["Zoe", "Carl 1", "Nobody", "' OR 1=1"]) == {"Zoe": "Q41", "Carl 1": "Q42"}
    assert known.classes(["Q41", "Q6"]) == {"Q41": ["Q5"]}
    assert known.above(["Q5", "Q515"]) == {"Q5": ["Q6"], "Q515": [], "Q6": []}
    assert known.labels(["Q5", "Q77"]) == {"Q5": "human"} and known.degrees([]) == {}


def test_with_a_graph_other_sets_have_degrees_and_domains(
    dafset: Path, others: dict[str, Path], store: Path
) -> None:
    sets, known = load_sets(dafset, others), Knowledge(store)
    [degree] = [one for one in measure(sets, knowledge=known) if one.name == "degree"]
    # The subject that ZsRE shares has the id that the DAFSet says; this graph knows nothing of it.
    assert degree.values["zsre"] == [0.0, 3.0] and degree.values["counterfact"] == [2.0]
    domains = summarise(dafset, sets, [], known)["domains"]
    assert domains["sets"]["zsre"] == {"human": 1, "unknown": 3}
    assert "folded" in domains["basis"]


def test_a_graph_that_has_no_classes_gives_no_domains(
    dafset: Path, others: dict[str, Path], store: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Knowledge, "classes", lambda *_: {})
    found = summarise(dafset, load_sets(dafset, others), [], Knowledge(store))["domains"]
    assert found["basis"] == "fields of the relations" and "zsre" not in found["sets"]
    assert sum(found["sets"]["popular"].values()) > 0 and "unknown" not in found["sets"]["popular"]


def test_classes_are_folded_up_until_few_are_left() -> None:
    above = {f"leaf{n}": [f"mid{n % 4}"] for n in range(30)} | {
        f"mid{n}": ["top"] for n in range(4)
    }
    above |= {"top": ["mid0"]}  # a cycle
    classes = {f"e{n}": [f"leaf{n}"] for n in range(30)} | {"x": ["alone"], "y": ["alone"], "z": []}
    folded = fold_classes(classes, above, 5)
    assert set(folded) == set(classes) - {"z"}
    assert len(set(folded.values())) <= 5 and folded["x"] == "alone"
    assert {folded[f"e{n}"] for n in range(30)} <= {f"mid{n}" for n in range(4)} | {"top"}
    assert fold_classes(classes, above, 40) == {k: v[0] for k, v in classes.items() if v}
    # What has nothing above it, and is too small, is put together.
    scattered = {f"e{n}": [f"c{n}"] for n in range(9)} | {"f": ["c0"]}
    found = fold_classes(scattered, {}, 3)
    assert found["f"] == "c0" and sum(name == OTHER for name in found.values()) == 7


def test_sets_share_subjects_whatever_their_case(dafset: Path, others: dict[str, Path]) -> None:
    table = overlap_table(load_sets(dafset, others))
    row = dict(zip(table["names"], table["subjects"][table["names"].index("zsre")]))
    assert row["popular"] == 0.25 and row["zsre"] == 1 and row["counterfact"] == 0
    assert row["train split"] == 0.25 and row["eval split"] == 0
    assert fold("  The  Rain. ") == "the rain"


def test_formats_are_seen_from_the_records(others: dict[str, Path], dafset: Path) -> None:
    assert [format_of(path) for path in others.values()] == ["zsre", "counterfact"]
    assert format_of(dafset) == format_of(dafset / "popular.json") == "dafset"
    names = [one.name for one in load_sets(dafset, [*others.values(), dafset / "recent.json"])]
    assert names[4:] == ["zsre", "counterfact", "dafset"]
