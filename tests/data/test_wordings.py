"""Other wordings of a data set's facts."""

from __future__ import annotations

import random
from pathlib import Path

import pytest

from dafnet_plugin.cases import EditCase, EditRequest, Probe
from dafnet_plugin.data.counterfact import load_counterfact
from dafnet_plugin.data.wordings import Wordings, split


def case(subject: str, asked: str, other: str, truth: str, probe: str = "Is it") -> EditCase:
    """A fact asked for in two wordings; the second after other text where it begins with it."""
    return EditCase(
        case_id=subject,
        request=EditRequest(asked.format(subject), "Mars", subject, truth),
        generality=(Probe(other.format(subject), "Mars"),),
        locality=(Probe(probe, truth),),
    )


@pytest.fixture
def cases() -> list[EditCase]:
    """Two wordings that mean the same, and one that only looks like the first."""
    return [
        case("Ada", "{} was born in", "Noise (1990). The birthplace of {} is", "Bath"),
        case("Bo", "{} was born in", "The birthplace of {} is", "Bonn", "Cy was born in"),
        case("Cy", "{} was born in", "{} sings in", "Bath"),
        case("Di", "{} paints", "Look! {} is a painter of", "hats"),
        case("Ed", "{} paints", "{} is a painter of", "cats"),
    ]


def told(found: list) -> set[tuple[str, str]]:
    return {(prompt, answer) for prompt, answer in found}


def test_facts_are_told_in_wordings_that_other_cases_have(cases: list[EditCase]) -> None:
    wordings = Wordings(cases)
    wordings.before.clear()
    found = told(wordings.restated(cases, 3, random.Random(0)))
    assert found == {
        ("The birthplace of Ada is", "Bath"),
        ("The birthplace of Bo is", "Bonn"),
        ("The birthplace of Cy is", "Bath"),
        ("Di is a painter of", "hats"),
        ("Ed is a painter of", "cats"),
    } | {("The birthplace of Cy is", "Bonn")}, "the locality probe of Bo's case is a fact as well"


def test_a_wording_met_once_beside_another_is_not_like_it(cases: list[EditCase]) -> None:
    wordings = Wordings(cases)
    assert wordings.others("{} was born in", "Bath") == ["The birthplace of {} is"]
    assert wordings.others("{} sings in", "Bath") == []


def test_a_wording_is_used_for_answers_it_has_had(cases: list[EditCase]) -> None:
    wordings = Wordings(cases)
    assert wordings.others("{} paints", "hats") == ["{} is a painter of"]
    assert wordings.others("{} paints", "Bath") == [], "nobody paints Bath"


def test_every_second_restatement_stands_after_other_text(cases: list[EditCase]) -> None:
    found = Wordings(cases * 40).restated(cases * 40, 1, random.Random(0))
    after = [prompt for prompt, _ in found if prompt.startswith(("Noise (1990). ", "Look! "))]
    assert len(found) == 240
    assert 80 < len(after) < 160


def test_of_finds_the_longest_wording(cases: list[EditCase]) -> None:
    wordings = Wordings([*cases, case("X", "{} in", "{} at", "Bath")])
    assert wordings.of("Zoe was born in") == ("{} was born in", "Zoe")
    assert wordings.of("Zoe drowned in") == ("{} in", "Zoe drowned")
    assert wordings.of("nothing known") is None
    assert wordings.of(" paints") is None, "there is no subject"


def test_cases_without_subject_or_truth_are_passed_over() -> None:
    bare = EditCase("a", EditRequest("Rome lies in", "Peru"), (Probe("Where is Rome?", "Peru"),))
    wordings = Wordings([bare, bare])
    assert wordings.restated([bare], 3, random.Random(0)) == []


def test_split_at_the_sentence_of_the_subject() -> None:
    assert split("A (b). C d. Who is Ada? She is", "Ada") == ("A (b). C d. ", "Who is {}? She is")
    assert split("Ada is", "Ada") == ("", "{} is")


def test_real_counterfact_has_other_wordings_for_nearly_every_fact(data_dir: Path) -> None:
    cases = load_counterfact(data_dir / "counterfact" / "counterfact-edit.json")
    found = Wordings(cases).restated(cases[:200], 3, random.Random(0))
    assert len(found) > 2 * 2 * 200
    asked = {c.request.prompt: c.request.ground_truth for c in cases[:200]}
    assert all(asked.get(prompt, answer) == answer for prompt, answer in told(found))
