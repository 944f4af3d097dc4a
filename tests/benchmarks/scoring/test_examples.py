"""What the model says in words, at three moments."""

from __future__ import annotations

from benchmarks.results import Example
from benchmarks.scoring import Examples
from dafnet_plugin.cases import EditCase, EditRequest, PortabilityTest, Probe, Query
from tests.benchmarks.scoring.oracle import Oracle, Sayings
from tests.helpers import tokenizer


def test_each_kind_is_shown_once_before_right_after_and_at_the_end() -> None:
    oracle = Oracle(tokenizer())
    cases = [
        EditCase(
            "a",
            EditRequest("Ada lives in", "Rome"),
            (Probe("Ada is in", "Rome"), Probe("not shown", "Rome")),
            (Probe("Bo lives in", "Oslo"),),
            {"Alias": (Probe("She is in", "Rome"),)},
            {"Hops": (PortabilityTest((Query("Ada pays in", (("Lima", "Delhi"),)),)),)},
        ),
        EditCase("b", EditRequest("Cleo lives in", "Paris")),
    ]
    before = Sayings({"Ada lives in": "Oslo", "Bo lives in": "Lima"})
    examples = Examples(before, oracle.tokenizer, oracle, cases)
    examples.edited(Sayings({"Ada lives in": "Rome", "Bo lives in": "Oslo"}), 0)
    examples.edited(Sayings({"Cleo lives in": "Paris"}), 1)
    examples.edited(Sayings(), 2)  # of this edit nothing is shown
    found = examples.finished(Sayings({"Cleo lives in": "Lima", "Ada pays in": "Delhi"}))
    assert [(e.case_id, e.kind, e.prompt, e.wanted) for e in found] == [
        ("a", "reliability", "Ada lives in", "Rome"),
        ("a", "generality", "Ada is in", "Rome"),
        ("a", "locality", "Bo lives in", "Oslo"),
        ("a", "Alias", "She is in", "Rome"),
        ("a", "Hops", "Ada pays in", "Lima"),
        ("b", "reliability", "Cleo lives in", "Paris"),
    ]
    said = [tuple(text.split()[0][:5] for text in (e.before, e.immediate, e.final)) for e in found]
    assert said[0] == ("Oslo", "Rome", "00000") and said[2] == ("Lima", "Oslo", "00000")
    assert said[4][2] == "Delhi" and said[5] == ("00000", "Paris", "Lima")
    assert isinstance(found[0], Example)


def test_a_prompt_without_room_for_an_answer_is_left_out() -> None:
    oracle = Oracle(tokenizer())
    cases = [EditCase("a", EditRequest("Ada " * 60 + "lives in", "Rome"))]
    examples = Examples(Sayings(), oracle.tokenizer, oracle, cases)
    examples.edited(Sayings(), 0)
    assert examples.finished(Sayings()) == []
    assert Examples(Sayings(), oracle.tokenizer, oracle, []).finished(Sayings()) == []
