"""Padding side and amount change nothing."""

from __future__ import annotations

import pytest
import torch
from torch.testing import assert_close

from dafnet_plugin.editing.modules import find_edit_modules
from dafnet_plugin.editing.scoring import scored_labels, scored_logits
from dafnet_plugin.editing.signals import Signal, capture, capture_batch
from dafnet_plugin.editing.statistics import key_moments
from dafnet_plugin.tokens import collate, encode
from tests.helpers import FAMILIES, MODULES, dafnet_for, editor, model, requests, tokenizer

TEXTS = [(fact.prompt, fact.target_new) for fact in requests(5)]
TOLERANCE = {"rtol": 1e-3, "atol": 1e-5}


def assert_same(ours: list[Signal], expected: list[Signal]) -> None:
    for mine, theirs in zip(ours, expected, strict=True):
        assert mine.tokens_per_edit.tolist() == theirs.tokens_per_edit.tolist()
        assert_close(mine.x, theirs.x, **TOLERANCE)
        assert_close(mine.delta, theirs.delta, **TOLERANCE)


@pytest.mark.parametrize("family", FAMILIES)
def test_the_amount_of_padding_changes_no_signal(family: str) -> None:
    base, texts = model(family), encode(tokenizer(), TEXTS)
    assert len({len(text.ids) for text in texts}) > 1
    modules = find_edit_modules(base, MODULES[family])
    expected = capture_batch(base, modules, collate(texts, 0))
    for length in (25, 60):
        assert_same(capture_batch(base, modules, collate(texts, 0, length)), expected)
    assert_same(capture_batch(base, modules, collate(texts, 7)), expected)


@pytest.mark.parametrize("family", FAMILIES)
def test_the_batch_an_edit_is_in_changes_no_signal(family: str) -> None:
    base, texts = model(family), encode(tokenizer(), TEXTS)
    modules = find_edit_modules(base, MODULES[family])
    expected = capture(base, modules, texts, pad_id=0, batch_size=5)
    for size in (1, 2, 100):
        assert_same(capture(base, modules, texts, pad_id=0, batch_size=size), expected)


@pytest.mark.parametrize("family", FAMILIES)
def test_the_amount_of_padding_changes_no_logits_and_no_statistics(family: str) -> None:
    base, texts = model(family), encode(tokenizer(), TEXTS)
    modules = find_edit_modules(base, MODULES[family])
    short, long = collate(texts, 0), collate(texts, 3, 40)
    assert torch.equal(scored_labels(short), scored_labels(long))
    with torch.no_grad():
        assert_close(scored_logits(base, long), scored_logits(base, short), **TOLERANCE)
    for ours, expected in zip(
        key_moments(base, modules, [long]), key_moments(base, modules, [short]), strict=True
    ):
        assert_close(ours, expected, **TOLERANCE)


@pytest.mark.parametrize("family", FAMILIES)
def test_the_tokenizers_padding_side_changes_no_edit(family: str) -> None:
    edited = []
    for side in ("right", "left"):
        one = editor(family, kind="least_squares", normaliser="layer_norm")
        one.tokenizer = tokenizer(pad=True)
        one.tokenizer.padding_side = side
        one.edit(requests(4))
        edited.append(one.weights_of(one.snapshot()))
    for name, expected in edited[0].items():
        assert torch.equal(edited[1][name], expected)


def test_an_empty_list_of_edits_changes_nothing() -> None:
    one = editor("gpt2", kind="running_mean", normaliser="layer_norm")
    one.edit(requests(2))
    before, weights = one.snapshot(), one.weights_of(one.snapshot())
    one.edit([])
    assert one.snapshot() is before
    for name, expected in weights.items():
        assert torch.equal(one.model.get_parameter(name), expected)


@pytest.mark.parametrize("kind", ["sum", "least_squares"])
def test_edits_without_a_token_update_nothing(kind: str) -> None:
    dafnet = dafnet_for(model("gpt2"), "gpt2", kind=kind, normaliser="layer_norm")
    empty = [
        Signal(torch.zeros(0, d_in), torch.zeros(0, d_out), torch.tensor([0, 0]))
        for d_in, d_out in dafnet.shapes
    ]
    with torch.no_grad():
        state = dafnet(empty)
    assert state.edits == 2
    for update in state.updates:
        assert not update.weight.any()
