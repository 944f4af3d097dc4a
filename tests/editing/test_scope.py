"""How other words for the same fact move keys."""

from __future__ import annotations

import pytest
import torch

from dafnet_plugin.editing.modules import find_edit_modules
from dafnet_plugin.editing.scope import Paraphrase, first_scored, key_shifts, moved_keys
from dafnet_plugin.editing.scoring import scored_logits
from dafnet_plugin.tokens import Encoded, collate, encode
from tests import helpers
from tests.helpers import FAMILIES, MODULES

TEXTS = [("Ada was born in", "Rome"), ("The birthplace of Ada is", "Rome"), ("Bo is", "here now")]


def texts() -> list[Encoded]:
    return encode(helpers.tokenizer(), TEXTS)


def test_first_scored_is_where_the_target_starts() -> None:
    batch = collate(texts(), 0)
    first = first_scored(batch)
    assert first.sum(1).tolist() == [1, 1, 1]
    assert first.int().argmax(1).tolist() == [text.target_start - 1 for text in texts()]


@pytest.mark.parametrize("family", FAMILIES)
def test_a_shift_is_the_difference_of_the_keys_of_two_wordings(family: str) -> None:
    model = helpers.model(family)
    modules = find_edit_modules(model, MODULES[family])
    one, other, third = texts()
    pairs = [Paraphrase(one, other), Paraphrase(one, one), Paraphrase(other, third)]
    shifts = key_shifts(model, modules, pairs, pad_id=0, batch_size=2)
    assert [shift.shape for shift in shifts] == [(3, m.d_in) for m in modules]

    def keys(text: Encoded) -> list[torch.Tensor]:
        """What each module reads of a text of its own at the last token of the prompt."""
        read: list[torch.Tensor] = []
        hooks = [
            m.module.register_forward_pre_hook(lambda _, args: read.append(args[0]))
            for m in modules
        ]
        with torch.no_grad():
            model(input_ids=torch.tensor([text.ids[: text.target_start]]))
        for hook in hooks:
            hook.remove()
        return [x[0, -1] for x in read]

    for shift, here, there in zip(shifts, keys(one), keys(other), strict=True):
        torch.testing.assert_close(shift[0], there - here, atol=1e-5, rtol=1e-4)
    assert shifts[0][1].abs().max() < 1e-5, "no move between a wording and itself"
    assert key_shifts(model, modules, [], pad_id=0) == []


@pytest.mark.parametrize("family", FAMILIES)
def test_keys_are_moved_at_the_first_target_only(family: str) -> None:
    model = helpers.model(family)
    modules = find_edit_modules(model, MODULES[family])[-1:]  # nothing comes after the last
    batch = collate(texts(), 0)
    d_in = modules[0].d_in
    some = torch.randn(3, d_in, generator=torch.Generator().manual_seed(0))
    some[1] = 0
    with torch.no_grad():
        before = scored_logits(model, batch)
        with moved_keys(modules, batch, [some]):
            during = scored_logits(model, batch)
        after = scored_logits(model, batch)
    changed = (before - during).abs().amax(1) > 1e-6
    assert changed.tolist()[:2] == [True, False], "the second text's key was not moved"
    assert changed.tolist()[2], "the last text: its first target is moved, which the next sees"
    assert torch.equal(before, after)


def test_the_hooks_are_gone_after_an_error() -> None:
    model = helpers.model("gpt2")
    modules = find_edit_modules(model, MODULES["gpt2"])
    batch = collate(texts(), 0)
    wrong = [torch.zeros(5, m.d_in) for m in modules]
    with pytest.raises((RuntimeError, ValueError)), moved_keys(modules, batch, wrong):
        scored_logits(model, batch)
    with torch.no_grad():
        scored_logits(model, batch)
