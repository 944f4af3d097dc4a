"""Transformer-Patcher: a patch a mistaken token, firing for its fact and for nothing before."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from dafnet_plugin.cases import EditRequest
from dafnet_plugin.methods.memory import queries
from dafnet_plugin.methods.tpatcher.losses import activation_loss, memory_loss
from dafnet_plugin.tokens import encode
from tests.methods import world
from tests.methods.settings import FAMILIES, facts, patcher

families = pytest.mark.parametrize("family", FAMILIES)
MOVED = ("Ada", "Bo", "Cleo", "Dirk", "Eve")


@families
def test_a_patch_fires_for_its_fact_and_for_none_of_the_remembered(family: str) -> None:
    of = patcher(family)
    for person in MOVED:
        of.edit(facts(of, person))
    patches = of.snapshot().neurons[0]
    assert len(patches) == len(MOVED)  # each answer is one token
    texts = encode(world.tokenizer(), [(r.prompt, r.target_new) for r in of.requests])
    own = torch.stack([q[-1] for q in queries(of.model, of.path, texts, of.tokenizer)])
    assert bool((patches.inputs(own).diagonal() > 0).all())
    for number, request in enumerate(of.requests):
        earlier = torch.cat([m.keys for m in of.snapshot().memory[:number]] or [own[:0]])
        about = of.sentences.about(request.subject)[of._sentence_of]
        kept = torch.cat([of._sentence_keys[~about], earlier])
        assert len(kept) > 100
        assert float(patches.inputs(kept)[:, number].max()) <= 0
    # So the model says the new answers, and to all other people what it said before.
    assert world.answers(of.model, [r.prompt for r in of.requests]) == [
        r.target_new for r in of.requests
    ]
    rest = [(p, a) for p, a in world.STATEMENTS if not any(name in p for name in MOVED)]
    assert world.answers(of.model, [p for p, _ in rest]) == [a for _, a in rest]


@families
def test_what_is_right_already_needs_no_patch(family: str) -> None:
    of = patcher(family)
    before = world.bits(of.model)
    of.edit([EditRequest("Ada lives in", world.HOMES["Ada"], "Ada")])
    assert world.bits(of.model) == before
    assert len(of.requests) == 1 and len(of.snapshot().memory[0].keys) == 3


@families
def test_one_patch_for_each_mistaken_token(family: str) -> None:
    of = patcher(family, memory_texts=[])
    # All words that the model says somewhere; with tied embeddings it cannot say just any.
    of.edit([EditRequest("Ada lives in", "Oslo rice Lima", "Ada")])
    (text,) = encode(world.tokenizer(), [("Ada lives in", "Oslo rice Lima")])
    base = patcher(family)
    wrong = [
        world.answers(base.model, [prompt]) != [word]
        for prompt, word in (
            ("Ada lives in", "Oslo"),
            ("Ada lives in Oslo", "rice"),
            ("Ada lives in Oslo rice", "Lima"),
        )
    ]
    assert len(of.snapshot().neurons[0]) == sum(wrong) > 1
    assert world.answers(of.model, ["Ada lives in", "Ada lives in Oslo"]) == ["Oslo", "rice"]
    assert len(text.ids) == 6


@families
def test_several_at_once_are_one_by_one(family: str) -> None:
    one, all_at_once = patcher(family, steps=10), patcher(family, steps=10)
    for person in MOVED[:3]:
        one.edit(facts(one, person))
    all_at_once.edit(facts(all_at_once, *MOVED[:3]))
    assert world.bits(one.model) == world.bits(all_at_once.model)


def test_a_fact_may_be_edited_again() -> None:
    of = patcher("gpt2")
    of.edit(facts(of, "Ada"))
    newest = world.other_home("Ada", 2)
    of.edit([EditRequest("Ada lives in", newest, "Ada")])
    assert world.answers(of.model, ["Ada lives in"]) == [newest]
    # Its own query is not among what the second patch is silent on.
    kept = of.remembered(of.snapshot(), of.requests[0], torch.zeros(0, world.WIDTH))
    about = int(of.sentences.about("Ada")[of._sentence_of].sum())
    assert len(kept) == len(of._sentence_keys) - about


def test_too_few_steps_are_told(caplog: pytest.LogCaptureFixture) -> None:
    of = patcher("gpt2", steps=1)
    of.edit(facts(of, "Ada"))
    assert "1 steps were not enough for every patch of 'Ada lives in" in caplog.text
    caplog.clear()
    of.reset()
    of.hparams.steps = 400
    of.edit(facts(of, "Ada"))
    assert caplog.text == ""


def test_sentences_about_the_subject_are_no_reason_to_be_silent() -> None:
    of = patcher("gpt2")
    assert int(of.sentences.about("Ada").sum()) == len(world.LIVES) + len(world.LIKES)
    assert not of.sentences.about(None).any() and not of.sentences.about("").any()
    few = patcher("gpt2", memory_size=7)
    assert len(few.sentences) == 7
    assert patcher("gpt2", memory_texts=[]).remembered(
        of.snapshot(), world.moves("Ada")[0], torch.zeros(2, world.WIDTH)
    ).shape == (2, world.WIDTH)


def test_losses_by_hand() -> None:
    own = torch.tensor([1.0, 3.0])
    assert activation_loss(own).item() == pytest.approx((math.exp(-1) + math.exp(-3)) / 2)
    remembered = torch.tensor([[0.0, 1.0], [-1.0, -9.0], [-2.0, 2.0]])
    found = memory_loss(remembered, own, -3.0, -2.0, top=2).item()
    first = (math.exp(3) + math.exp(2) + math.exp(5) + math.exp(4)) / 4
    second = (math.exp(1) + math.exp(0) + math.exp(1) + math.exp(0)) / 4
    assert found == pytest.approx(first + second)
    assert memory_loss(torch.zeros(0, 2), own, -3.0, -3.0, 5).item() == 0


@given(st.lists(st.floats(-5, 5), min_size=2, max_size=8), st.integers(1, 9))
def test_the_memory_loss_falls_with_what_is_remembered(values: list[float], top: int) -> None:
    column = torch.tensor(values)[:, None]
    own = torch.tensor([1.0])
    higher = memory_loss(column + 1, own, -3.0, -3.0, top)
    assert higher > memory_loss(column, own, -3.0, -3.0, top) > 0
