"""Scores that can be computed by hand, and what must not change them."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from typing import Any

import pytest
import torch

from benchmarks.scoring import Scorer, Scores, mean_scores
from dafnet_plugin.cases import EditCase, EditRequest, PortabilityTest, Probe, Query
from dafnet_plugin.errors import DataError
from tests.benchmarks.scoring.oracle import Oracle, Sayings
from tests.helpers import FAMILIES, model, shuffle_parameters, tokenizer

REQUEST = EditRequest("Ada lives in", "Rome", "Ada")


def case(**probes: Any) -> EditCase:
    return EditCase("0", REQUEST, **probes)


def scored(
    cases: Sequence[EditCase], before: dict[str, str], after: dict[str, str]
) -> tuple[Scorer, list[Scores]]:
    """Score cases with a model that says one thing before the edit and another after it."""
    oracle = Oracle(tokenizer())
    scorer = Scorer(Sayings(before), oracle.tokenizer, cases, ask=oracle.scored_logits)
    return scorer, scorer.score(after, range(len(cases)))


def query(prompt: str, *names: str) -> Query:
    return Query(prompt, (names,))


# -- reliability, generality, locality ----------------------------------------------------------


def test_shares_of_tokens_are_averaged_over_probes() -> None:
    tok = tokenizer()
    assert [len(tok(f" {word}")["input_ids"]) for word in ("Rome", "Rome Rome Oslo")] == [1, 3]
    asked = case(
        generality=(Probe("Ada is in", "Rome"), Probe("Ada is at", "Rome Rome Oslo")),
        locality=(Probe("Bo lives in", "Oslo Oslo"), Probe("Eve lives in", "Paris")),
    )
    before = {"Bo lives in": "Lima Lima", "Eve lives in": "Delhi"}
    after = {
        "Ada lives in": "Rome",
        "Ada is in": "Paris",
        "Ada is at": "Rome Paris Oslo",
        "Bo lives in": "Lima Oslo",  # what it said, then what would be right: kept by half
        "Eve lives in": "Delhi",
    }
    _, (found,) = scored([asked], before, after)
    assert found == Scores(1.0, pytest.approx((0 + 2 / 3) / 2), pytest.approx((0.5 + 1) / 2))  # type: ignore[arg-type]
    assert found.average == pytest.approx((1 + 1 / 3 + 0.75) / 3)


def test_the_unedited_model_keeps_everything() -> None:
    asked = case(locality=(Probe("Bo lives in", "Oslo"),))
    scorer, (after,) = scored([asked], {"Ada lives in": "Rome"}, {"Ada lives in": "Rome"})
    assert scorer.before([0]) == [after] == [Scores(1.0, None, 1.0)]


# -- portability --------------------------------------------------------------------------------


def test_an_alias_counts_only_as_a_whole() -> None:
    probe = Probe("She speaks", "Rome Oslo", aliases=("Paris Lima",))
    for said, share in (
        ("Rome Oslo", 1),
        ("Paris Lima", 1),
        ("Rome Lima", 0.5),
        ("Paris Oslo", 0.5),
    ):
        _, (found,) = scored([case(portability={"Hops": (probe,)})], {}, {"She speaks": said})
        assert found.criteria == {"Hops": share}, said
    _, (found,) = scored([case(portability={"Hops": (probe,)})], {}, {"She speaks": "Paris Rome"})
    assert found.criteria == {"Hops": 0}  # half of the alias is nothing


@pytest.mark.parametrize(
    ("condition", "right", "passed"),
    [("OR", 0, 0), ("OR", 1, 1), ("OR", 2, 1), ("AND", 0, 0), ("AND", 1, 0), ("AND", 2, 1)],
)
def test_or_needs_one_answer_and_needs_all(condition: str, right: int, passed: float) -> None:
    queries = (query("She speaks", "Lima"), query("She pays in", "Oslo"))
    asked = case(tests={"Logical": (PortabilityTest(queries, condition),)})
    after = dict([("She speaks", "Lima"), ("She pays in", "Oslo")][:right])
    _, (found,) = scored([asked], {}, after)
    assert found.criteria == {"Logical": passed} and found.portability == passed


def test_any_name_of_any_object_answers_a_query() -> None:
    asked = Query("She speaks", (("Rome", "Lima"), ("Oslo",)))
    for said, right in (("Rome", 1), ("Lima", 1), ("Oslo", 1), ("Paris", 0)):
        tests = {"Logical": (PortabilityTest((asked,)),)}
        _, (found,) = scored([case(tests=tests)], {}, {"She speaks": said})
        assert found.criteria == {"Logical": right}


def test_tests_whose_condition_fails_before_the_edit_do_not_count() -> None:
    known, unknown = query("Rome is in", "Delhi", "Kyoto"), query("Rome has", "Lima")
    speaks, pays = query("She speaks", "Lima"), query("She pays in", "Oslo")
    asked = case(
        tests={
            "Hops": (
                PortabilityTest((speaks,), "OR", (known,)),
                PortabilityTest((pays,), "OR", (known, unknown)),  # all of them must be known
            ),
            "Logical": (PortabilityTest((pays,), "AND", (unknown,)),),
            "Free": (PortabilityTest((pays,)),),
        },
        portability={"Hops": (Probe("never asked", "Rome"),), "Alias": (Probe("She is", "Lima"),)},
    )
    before = {"Rome is in": "Kyoto", "She is": "Lima"}  # an alias of what must be known
    scorer, (found,) = scored([asked], before, {"She speaks": "Lima"})
    # Conditions are asked of the unedited model only: here it would no longer meet them.
    assert found.criteria == {"Alias": 0, "Hops": 1, "Free": 0}
    assert found.portability == pytest.approx(1 / 3)
    assert scorer.excluded([0]) == {"Alias": 0, "Hops": 1, "Logical": 1, "Free": 0}
    assert scorer.excluded([0, 0])["Hops"] == 2
    (unedited,) = scorer.before([0])
    assert unedited.criteria == {"Alias": 1, "Hops": 0, "Free": 0}


def test_a_case_without_a_test_that_counts_has_no_portability() -> None:
    test = PortabilityTest((query("She speaks", "Lima"),), "OR", (query("Rome is in", "Delhi"),))
    _, (found,) = scored([case(tests={"Hops": (test,)})], {}, {"She speaks": "Lima"})
    assert found.portability is None and found.criteria == {}
    assert mean_scores([found, Scores(None, None, None, 0.5, {"Hops": 0.5})]).portability == 0.5


def test_nothing_is_asked_twice_or_in_vain() -> None:
    oracle = Oracle(tokenizer())
    same = Probe("Bo lives in", "Oslo")
    hidden = PortabilityTest((query("She speaks", "Lima"),), "OR", (query("Rome is in", "Delhi"),))
    asked = case(
        locality=(same,), portability={"Specific": (same, same)}, tests={"Hops": (hidden,)}
    )
    scorer = Scorer(Sayings(), oracle.tokenizer, [asked], ask=oracle.scored_logits)
    first = ["Ada lives in Rome", "Bo lives in Oslo", "Rome is in Delhi", "She speaks Lima"]
    assert sorted(oracle.asked) == first
    oracle.asked.clear()
    scorer.prepare(Sayings(), [0])
    assert oracle.asked == []
    scorer.score({}, [0])
    assert sorted(oracle.asked) == first[:2]
    oracle.asked.clear()
    other = Probe("Eve lives in", "Oslo")
    scorer = Scorer(
        Sayings(), oracle.tokenizer, [case(portability={"A": (other,)})], ask=oracle.scored_logits
    )
    oracle.asked.clear()
    (found,) = scorer.score({}, [0], portability=False)
    assert oracle.asked == first[:1] and found.portability is None


# -- what plays no role -------------------------------------------------------------------------


CASES = 6


def many_cases() -> list[EditCase]:
    places = ("Rome", "Paris and London", "Oslo", "Cairo or Lima or Delhi")
    return [
        EditCase(
            str(i),
            EditRequest(f"{'very ' * (i % 5)}old Ada lives in", places[i % 4]),
            (Probe(f"Bo {i}", places[(i + 1) % 4]),),
            (Probe(f"Cleo and {'Dirk ' * (i % 3)}too", places[(i + 2) % 4]),),
            {"Hops": (Probe("Eve", places[i % 4], aliases=("Kyoto",)),)},
        )
        for i in range(CASES)
    ]


@pytest.mark.parametrize("family", FAMILIES)
def test_order_batches_and_padding_play_no_role(family: str) -> None:
    base, cases = model(family), many_cases()
    edited = copy.deepcopy(base)
    shuffle_parameters(edited, scale=0.1)
    found = []
    for size, order in ((64, range(CASES)), (1, range(CASES)), (5, range(CASES)[::-1])):
        scorer = Scorer(base, tokenizer(), cases, batch_size=size)
        scores = dict(zip(order, scorer.score(edited, order)))
        found.append([scores[i] for i in range(CASES)])
    assert found[0] == found[1] == found[2]
    alone = [Scorer(base, tokenizer(), [one]).score(edited, [0])[0] for one in cases]
    assert alone == found[0]
    assert len({score.locality for score in alone}) > 1  # there is something to tell apart


@pytest.mark.parametrize("family", FAMILIES)
def test_a_model_that_did_not_change_keeps_what_it_says(family: str) -> None:
    base, cases = model(family), many_cases()
    scorer = Scorer(base, tokenizer(), cases)
    found = scorer.score(base, range(CASES))
    assert found == scorer.before(range(CASES))
    assert {score.locality for score in found} == {1.0}


def test_cases_can_be_prepared_when_they_are_needed() -> None:
    base, cases = model("gpt2"), many_cases()
    scorer = Scorer(base, tokenizer(), cases, indices=[3])
    with pytest.raises(KeyError):
        scorer.score(base, [4])
    scorer.prepare(base, [4, 4, 3])
    edited = copy.deepcopy(base)
    shuffle_parameters(edited, scale=0.1)
    scorer.prepare(edited, [3, 4])  # nothing is asked again, least of all of an edited model
    assert scorer.score(edited, [4]) == Scorer(base, tokenizer(), cases).score(edited, [4])


# -- what cannot be scored ----------------------------------------------------------------------


def test_texts_that_do_not_fit_are_named() -> None:
    long = EditCase("1", EditRequest("Ada " * 70 + "lives in", "Rome"))
    with pytest.raises(DataError, match=r"prompt 'Ada Ada.*context holds 64"):
        Scorer(model("gpt2"), tokenizer(), [long])
    with pytest.raises(DataError, match=r"'Ada lives in': 3 tokens leave nothing.*max_length: 3"):
        Scorer(model("gpt2"), tokenizer(), [case()], max_length=3)


def test_asking_leaves_no_gradients_behind() -> None:
    base = model("gpt2")
    Scorer(base, tokenizer(), many_cases()).score(base, [0])
    assert all(parameter.grad is None for parameter in base.parameters())
    assert torch.is_grad_enabled()
