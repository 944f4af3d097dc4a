"""CaliNet: the true fact above the false one, on paraphrases that calibration has not seen."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from dafnet_plugin.cases import EditCase, Probe, write_cases
from dafnet_plugin.errors import DataError
from tests.methods import world
from tests.methods.settings import FAMILIES, calibrator, facts

families = pytest.mark.parametrize("family", FAMILIES)
MOVED = ("Ada", "Bo", "Cleo", "Dirk")
SEEN, UNSEEN = world.LIVES[:3], world.LIVES[3]


def paraphrased(of: Any, *people: str) -> list[Any]:
    return [
        of.read(
            {
                "prompt": r.prompt,
                "target_new": r.target_new,
                "subject": r.subject,
                "paraphrases": [t.format(r.subject) for t in SEEN[1:]],
            }
        )
        for r in world.moves(*people)
    ]


def margins(of: Any, template: str, people: tuple[str, ...]) -> list[float]:
    """True (new) above false (old), in nats."""
    return [
        world.log_probability(of.model, template.format(p), world.other_home(p))
        - world.log_probability(of.model, template.format(p), world.HOMES[p])
        for p in people
    ]


@families
def test_calibration_raises_the_true_fact_on_unseen_paraphrases(family: str) -> None:
    of = calibrator(family)
    assert max(margins(of, UNSEEN, MOVED)) < 0
    of.edit(paraphrased(of, *MOVED))
    assert min(margins(of, UNSEEN, MOVED)) > 0
    assert all(len(slots) == 8 for slots in of.snapshot().neurons)


@families
def test_untrained_slots_change_nothing(family: str) -> None:
    of = calibrator(family, goal=100.0)  # reached before the first step
    prompts = [prompt for prompt, _ in world.STATEMENTS]
    before = world.answers(of.model, prompts), world.log_probability(of.model, *world.STATEMENTS[0])
    of.edit(facts(of, "Ada"))
    assert (
        world.answers(of.model, prompts),
        world.log_probability(of.model, *world.STATEMENTS[0]),
    ) == before


@families
def test_adding_leaves_earlier_slots_as_they_are(family: str) -> None:
    of = calibrator(family)
    of.edit(facts(of, "Ada"))
    (first, _) = of.snapshot().neurons
    of.edit(facts(of, "Bo"))
    (both, _) = of.snapshot().neurons
    assert len(both) == 16
    assert (both.keys[:8] == first.keys).all() and (both.values[:8] == first.values).all()
    assert not both.biases.any()


@families
def test_retraining_keeps_the_number_of_slots_and_the_earlier_facts(family: str) -> None:
    of = calibrator(family, sequential="retrain")
    for person in MOVED:
        of.edit(facts(of, person))
    assert len(of.snapshot().neurons[0]) == 8
    assert world.answers(of.model, [r.prompt for r in of.requests]) == [
        r.target_new for r in of.requests
    ]


def test_replay_keeps_earlier_facts_where_slots_are_added() -> None:
    of = calibrator("gpt2", replay=16)
    for person in MOVED:
        of.edit(facts(of, person))
    assert world.answers(of.model, [r.prompt for r in of.requests]) == [
        r.target_new for r in of.requests
    ]


@families
def test_locality_keeps_what_sentences_say(family: str) -> None:
    rest = [(p, a) for p, a in world.STATEMENTS if not any(name in p for name in MOVED)]
    kept = []
    for weight in (0.0, 1.0):
        of = calibrator(family, locality=weight, memory_texts=world.SENTENCES)
        of.edit(facts(of, *MOVED))
        found = world.answers(of.model, [p for p, _ in rest])
        kept.append(sum(a == b for a, (_, b) in zip(found, rest)) / len(rest))
    assert kept[1] > kept[0] + 0.3


def test_a_fact_that_is_calibrated_again_has_its_last_target() -> None:
    of = calibrator("gpt2", sequential="retrain")
    of.edit(facts(of, "Ada"))
    newest = world.other_home("Ada", 2)
    of.edit([of.read({"prompt": "Ada lives in", "target_new": newest, "subject": "Ada"})])
    assert world.answers(of.model, ["Ada lives in"]) == [newest]
    assert len(of.snapshot().memory) == 1 and len(of.requests) == 2


def test_paraphrases_come_with_requests_from_a_file_or_from_contexts(tmp_path: Path) -> None:
    (move,) = world.moves("Ada")
    case = EditCase("1", move, tuple(Probe(t.format("Ada"), move.target_new) for t in SEEN[1:]))
    write_cases(tmp_path / "cases.jsonl", [case])
    of = calibrator(
        "gpt2", paraphrase_path=str(tmp_path / "cases.jsonl"), contexts=["{}", "Bo likes rice {}"]
    )
    words = world.tokenizer()

    def prompts(fact: Any) -> list[str]:
        return [words.decode(text.ids[: text.target_start]) for text in of._texts(fact)]

    known, unknown = facts(of, "Ada", "Bo")
    assert prompts(known) == [t.format("Ada") for t in SEEN]
    assert prompts(unknown) == ["Bo lives in", "Bo likes rice Bo lives in"]
    given = of.read(
        {"prompt": "Bo lives in", "target_new": "Rome", "paraphrases": ["Bo dwells in"]}
    )
    assert prompts(given) == ["Bo lives in", "Bo dwells in"]
    for wrong in ("Bo dwells in", [""], [1]):
        with pytest.raises(DataError, match="allowed: a list of non-empty prompts"):
            of.read({"prompt": "Bo lives in", "target_new": "Rome", "paraphrases": wrong})
