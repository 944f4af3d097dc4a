"""Going over a growing sequence of edits again."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from dafnet_plugin.cases import EditRequest
from dafnet_plugin.editing.consolidation import Consolidation, ConsolidationConfig
from dafnet_plugin.editing.editor import DAFNetEditor
from dafnet_plugin.editing.objective import Question, losses_and_gradients
from dafnet_plugin.tokens import collate, encode
from tests import helpers
from tests.helpers import FAMILIES, PEOPLE, PLACES

CONFIG = ConsolidationConfig(start=4, growth=1.5, steps=3, texts=8, rate=0.3, autocast=False)


def replay() -> tuple:
    texts = [(f"{person} was born in", PLACES[i % 8]) for i, person in enumerate(PEOPLE)]
    return tuple(encode(helpers.tokenizer(), texts))


def editor(family: str, config: ConsolidationConfig | None = CONFIG) -> DAFNetEditor:
    plain = helpers.editor(family, kind="least_squares")
    torch.manual_seed(0)
    keys = [torch.randn(30, d_in) for d_in, _ in plain.dafnet.shapes]
    plain.dafnet.preserve([x.T @ x / 30 for x in keys])
    plain.consolidation = Consolidation(config, replay()) if config else None
    return plain


def edit_loss(edited: DAFNetEditor, requests: list[EditRequest]) -> float:
    texts = encode(edited.tokenizer, [(r.prompt, r.target_new) for r in requests])
    asked = [Question("reliability", collate(texts, 0), 1.0, False)]
    weights = [module.weight for module in edited.modules]
    zero = [torch.zeros_like(weight) for weight in weights]
    return losses_and_gradients(edited.model, weights, zero, asked)[0]["total"]


@given(start=st.integers(1, 50), growth=st.floats(1.01, 3), edits=st.integers(0, 400))
def test_when_a_sequence_is_due_depends_on_its_length_only(
    start: int, growth: float, edits: int
) -> None:
    consolidation = Consolidation(ConsolidationConfig(start=start, growth=growth), ())
    until = consolidation.until(edits)
    assert until is not None and until > 0
    # However the edits before came: the next due length is the same all the way to it.
    assert all(consolidation.until(n) == edits + until - n for n in range(edits, edits + until))
    assert until <= max(start, 1 + (growth - 1) * (edits + 1) + growth)


def test_never_due() -> None:
    assert Consolidation(ConsolidationConfig(start=0), ()).until(1000) is None


@pytest.mark.parametrize("family", FAMILIES)
def test_one_call_equals_one_by_one(family: str) -> None:
    requests = helpers.requests(11)
    whole, parts = editor(family), editor(family)
    whole.edit(requests)
    for request in requests:
        parts.edit([request])
    plain = editor(family, None)
    plain.edit(requests)
    for one, other, without in zip(whole.modules, parts.modules, plain.modules, strict=True):
        # Rounding differs between the two and grows with each step, far below what they do.
        assert (one.weight - other.weight).norm() < 0.02 * (one.weight - without.weight).norm()


@pytest.mark.parametrize("family", FAMILIES)
def test_edits_hold_better_after_it(family: str) -> None:
    requests = helpers.requests(9)
    losses = {}
    for name, config in (("with", CONFIG), ("without", None)):
        edited = editor(family, config)
        edited.edit(requests)
        losses[name] = edit_loss(edited, requests)
    assert losses["with"] < losses["without"]


def test_steps_that_do_not_help_are_dropped() -> None:
    requests = helpers.requests(4)
    wild, plain = editor("gpt2", replace(CONFIG, rate=1e6)), editor("gpt2", None)
    wild.edit(requests)
    plain.edit(requests)
    for mine, theirs in zip(wild.modules, plain.modules, strict=True):
        assert torch.equal(mine.weight, theirs.weight)


def test_undo_across_it_is_bit_exact_and_editing_goes_on_as_before() -> None:
    edited, straight = editor("gpt2"), editor("gpt2")
    requests = helpers.requests(8)
    for some in (edited, straight):
        some.edit(requests[:3])
    weights = edited.weights_of(edited.snapshot())
    edited.edit(requests[3:6])()
    assert helpers.bits(edited.weights_of(edited.snapshot())) == helpers.bits(weights)
    assert edited.requests == tuple(requests[:3])
    for some in (edited, straight):
        some.edit(requests[3:])
    assert helpers.bits(edited.weights_of(edited.snapshot())) == helpers.bits(
        straight.weights_of(straight.snapshot())
    )


def test_a_prompt_edited_again_is_gone_over_with_its_last_target_only() -> None:
    old = [EditRequest("Ada lives in", "Rome"), *helpers.requests(4)[1:3]]
    again = EditRequest("Ada lives in", "Oslo")
    edited = editor("gpt2", replace(CONFIG, steps=30))
    edited.edit([*old, again])  # due at 4
    assert edit_loss(edited, [again]) < edit_loss(edited, [old[0]])


def test_forks_consolidate_too() -> None:
    edited = editor("gpt2")
    twin = edited.fork(helpers.model("gpt2"))
    assert twin.consolidation is edited.consolidation
