"""Sources of facts: who is edited, who is asked about, who is left alone."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchmarks.apart import independent, left_alone, once, subject_of, unrelated
from benchmarks.sources import SOURCES, Task, World
from dafnet_plugin.cases import EditCase, EditRequest, Probe, write_cases
from dafnet_plugin.data.statements import Statement
from dafnet_plugin.errors import DataError
from tests.data.conftest import samples  # noqa: F401  # fixture


def case(subject: str, asked: str, truth: str | None = "Oslo") -> EditCase:
    request = EditRequest(f"{subject} lives in", "Rome", subject, truth)
    return EditCase(subject, request, (), (Probe(f"{asked} plays the", "piano"),))


def check(world: World, *, one_edit_a_subject: bool = True) -> None:
    """What :class:`benchmarks.sources.World` promises."""
    edited = [subject_of(item) for item in world.evaluation]
    assert not {subject_of(item) for item in world.train} & set(edited)
    if one_edit_a_subject:
        assert len(set(edited)) == len(edited)
    asked = {probe.prompt for item in world.evaluation for probe in item.locality}
    assert not any(name in prompt for prompt in asked for name in set(edited))
    known = dict(world.probes)
    assert len(known) == len(world.probes), "a prompt with two answers cannot be known"
    assert set(world.statements) >= set(world.probes)
    requests = {item.request.prompt for item in (*world.train, *world.evaluation)}
    for statement in world.bystanders:
        assert known[statement.prompt] == statement.answer
        assert statement.prompt not in asked | requests


def make(source: str, task: Task, **options: Any) -> World:
    return SOURCES[source].from_dict(options).world(task)


def test_cases_that_disturb_each_other_are_left_out() -> None:
    cases = [case("Ada", "Bo"), case("Bo", "Cleo"), case("Cleo", "Ada"), case("Ada", "Eve")]
    # Bo is asked about by the first, Cleo asks about Ada, and Ada has been edited already.
    kept, rest = independent(cases)
    assert [item.case_id for item in kept] == ["Ada"] and rest == cases[1:]
    assert len(independent([case("Ada", "Eve"), case("Bo", "Eve")])[0]) == 2
    kept, rest = independent([case("Ada", "Eve"), case("Bo", "Eve")], 1)
    assert (len(kept), len(rest)) == (1, 1)
    assert [item.case_id for item in unrelated(cases, [case("Ada", "Bo")])] == ["Bo", "Cleo"]


NAMES = st.sampled_from(["Ada", "Bo", "Cleo", "Dario", "Eve"])


@given(st.lists(st.builds(case, NAMES, NAMES), max_size=8), st.none() | st.integers(0, 4))
def test_what_is_kept_stands_apart(cases: list[EditCase], size: int | None) -> None:
    kept, rest = independent(cases, size)
    assert sorted(map(id, [*kept, *rest])) == sorted(map(id, cases))
    subjects = [subject_of(item) for item in kept]
    assert len(set(subjects)) == len(subjects) and (size is None or len(kept) <= size)
    for item in kept:
        for probe in item.locality:
            assert not any(name in probe.prompt for name in subjects if name != item.case_id)


def test_bystanders_are_about_nobody_that_is_edited_or_asked_about() -> None:
    used = [case("Ada", "Bo")]
    spare = [
        case("Ada", "X"),  # edited
        case("Bo", "X"),  # asked about
        case("Young Ada", "X"),  # its prompt names who is edited
        case("Eve", "X", truth=None),  # what it was is not known
        case("Fay", "X"),
        case("Fay", "Y"),
    ]
    assert left_alone(spare, used) == [Statement("Fay lives in", "Oslo")]


def test_a_prompt_keeps_its_first_answer() -> None:
    statements = [Statement("a", "1"), Statement("b", "2"), Statement("a", "3")]
    assert once(statements) == statements[:2]


def write(path: Path, cases: Iterable[EditCase]) -> str:
    write_cases(path, cases)
    return path.name


def test_files_of_ones_own(tmp_path: Path) -> None:
    options = {
        "train": write(tmp_path / "t.jsonl", [case("Ada", "Q"), case("Bo", "Q"), case("Cy", "Q")]),
        "eval": write(
            tmp_path / "e.jsonl",
            [
                case("Ada", "R"),
                case("Di", "R"),
                case("Di", "S"),
                case("Eve", "R"),
                case("Fay", "R"),
            ],
        ),
    }
    world = make("cases", Task(0, tmp_path, tmp_path / "out", 2, 2), **options)
    check(world)
    assert [item.case_id for item in world.train] == ["Ada", "Bo"]
    assert [item.case_id for item in world.evaluation] == ["Di", "Eve"]
    # What the limits left over: Cy of the training file, Fay of the other.
    assert [item.prompt for item in world.bystanders] == ["Cy lives in", "Fay lives in"]
    together = make("cases", Task(0, tmp_path, tmp_path / "out"), **options, independent=False)
    assert [item.case_id for item in together.evaluation] == ["Di", "Di", "Eve", "Fay"]
    (tmp_path / "b.jsonl").write_text(json.dumps({"prompt": "Gus is", "answer": "tall"}))
    named = make("cases", Task(0, tmp_path, tmp_path), **options, bystanders="b.jsonl")
    check(named)
    assert named.bystanders == [Statement("Gus is", "tall")]


def test_files_in_a_published_format(tmp_path: Path, samples: Path) -> None:  # noqa: F811
    options = {"format": "uniedit", "train": "uniedit-art.json", "eval": "uniedit-art.json"}
    world = make("cases", Task(0, samples, tmp_path, 1), **options)
    assert len(world.train) == 1 and not world.evaluation  # one subject, edited in training
    broken = tmp_path / "broken.json"
    broken.write_text('[{"prompt": "Eve is from", "target_new": "Rome"}, {"prompt": ""}]')
    options = {"format": "ripple", "train": str(samples / "ripple-flat.json"), "eval": str(broken)}
    with pytest.raises(DataError, match=r"broken\.json: record 1: field 'prompt' is ''"):
        make("cases", Task(0, tmp_path, tmp_path), **options)
    assert len(make("cases", Task(0, tmp_path, tmp_path), **options, skip_bad=True).evaluation) == 1


def test_the_tiny_world(tmp_path: Path) -> None:
    options = {"scale": 0.5, "train_share": 0.5, "eval_share": 0.3, "edits_per_subject": 3}
    world = make("tinyworld", Task(0, tmp_path, tmp_path), **options)
    check(world, one_edit_a_subject=False)
    facts = [(item.request.subject, item.request.prompt) for item in world.evaluation]
    assert len(set(facts)) == len(facts) >= 60 and len(world.bystanders) >= 15
    assert all(item.tests.keys() == item.portability.keys() for item in world.evaluation)


@pytest.mark.slow
def test_the_default_tiny_world_has_a_thousand_edits(tmp_path: Path) -> None:
    world = make("tinyworld", Task(0, tmp_path, tmp_path))
    check(world, one_edit_a_subject=False)
    assert len(world.evaluation) >= 1000 <= len(world.train)


def test_pararel_has_a_thousand_edits(data_dir: Path, tmp_path: Path) -> None:
    world = make("pararel", Task(0, data_dir, tmp_path))
    check(world)
    assert len(world.train) == 1175 and len(world.evaluation) >= 1000
    assert 130 <= len(world.bystanders) <= 150


def test_sources_with_templates_make_consistency_pairs() -> None:
    assert {name for name, source in SOURCES.items() if source.can_pair()} == {
        "tinyworld",
        "pararel",
    }
    source = SOURCES["cases"].from_dict({"train": "a", "eval": "b"})
    with pytest.raises(NotImplementedError):
        source.pairs(Task(0, Path(), Path()), [], sentences=3, untouched=1)


def test_pararel_has_pairs_on_every_edit(data_dir: Path, tmp_path: Path) -> None:
    task = Task(0, data_dir, tmp_path)
    cases = list(make("pararel", task).evaluation[:300])
    source = SOURCES["pararel"].from_dict({})
    pairs = source.pairs(task, cases, sentences=3, untouched=40)
    assert {pair.case_id for pair in pairs if pair.edited} == {item.case_id for item in cases}
    swaps = Counter((pair.swap, pair.edited) for pair in pairs)
    assert swaps["entity", True] == swaps["number", True] == 300
    assert swaps["entity", False] == 40 and swaps["relation", True] > 30


def test_counterfact_has_a_thousand_edits(data_dir: Path, tmp_path: Path) -> None:
    world = make("counterfact", Task(0, data_dir, tmp_path))
    check(world)
    assert len(world.train) == len(world.evaluation) == 1000 and len(world.bystanders) == 200
    small = make("counterfact", Task(0, data_dir, tmp_path, 50, 30), bystanders=5)
    check(small)
    assert [len(part) for part in (small.train, small.evaluation)] == [50, 30]
    assert len(small.bystanders) == 5


def test_zsre_has_one_edit_for_each_fact(data_dir: Path, tmp_path: Path) -> None:
    world = make("zsre", Task(0, data_dir, tmp_path))
    check(world)
    assert len(world.evaluation) >= 200 <= len(world.train) and len(world.bystanders) >= 40
    for item in (*world.train, *world.evaluation):
        answers = (item.request.target_new, item.request.ground_truth, item.locality[0].answer)
        assert all(text and len(text.split()) <= 6 for text in answers)
        assert answers[0] != answers[1]
    protected = {probe.prompt for item in world.train for probe in item.locality}
    asked = {probe.prompt for item in world.evaluation for probe in item.locality}
    assert not protected & asked
    more = make("zsre", Task(1, data_dir, tmp_path), train_share=0.2)
    check(more)
    assert len(more.evaluation) > len(world.evaluation)
