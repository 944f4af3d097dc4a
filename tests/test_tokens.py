"""Prompt and target as tokens, and the positions that count."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from dafnet_plugin.errors import DataError, ModelError
from dafnet_plugin.tokens import (
    IGNORED,
    Encoded,
    collate,
    context_length,
    encode,
    pad_id_of,
)
from tests.helpers import FAMILIES, model, tokenizer

WORDS = st.lists(st.sampled_from(["Ada", "lives", "in", "Rome", "é"]), min_size=1, max_size=6)


@settings(deadline=None)
@given(WORDS, WORDS)
def test_the_target_is_what_follows_the_prompt(prompt: list[str], target: list[str]) -> None:
    tok = tokenizer()
    (text,) = encode(tok, [(" ".join(prompt), " ".join(target))])
    assert tok.decode(text.ids[: text.target_start]) == " ".join(prompt)
    assert tok.decode(text.ids[text.target_start :]) == " " + " ".join(target)


def test_spaces_around_a_target_do_not_matter() -> None:
    first, second = encode(tokenizer(), [("Ada is in", "Rome"), ("Ada is in", "  Rome ")])
    assert first == second


def test_a_token_that_spans_prompt_and_target_belongs_to_the_target() -> None:
    class Merging:
        """Every token ends with its space; so the prompt's last token changes."""

        def __call__(self, texts: list[str]) -> dict[str, Any]:
            ids = {"a b": [1, 2], "a b c": [1, 5, 3]}
            return {"input_ids": [ids[text] for text in texts]}

    assert encode(Merging(), [("a b", "c")]) == [Encoded((1, 5, 3), 1)]


@settings(deadline=None)
@given(
    st.lists(
        st.integers(2, 9).flatmap(lambda n: st.tuples(st.just(n), st.integers(1, n - 1))),
        min_size=1,
        max_size=5,
    ),
    st.none() | st.integers(1, 14),
)
def test_labels_are_the_next_tokens_of_the_target(
    sizes: list[tuple[int, int]], length: int | None
) -> None:
    texts = [Encoded(tuple(range(100, 100 + size)), start) for size, start in sizes]
    batch = collate(texts, 0, length)
    assert batch.input_ids.shape[1] == max([length or 0, *(size - 1 for size, _ in sizes)])
    for row, (size, start) in enumerate(sizes):
        assert batch.attention_mask[row].sum() == size - 1
        assert batch.input_ids[row, : size - 1].tolist() == list(range(100, 99 + size))
        assert not batch.input_ids[row, size - 1 :].any()
        scored = batch.scored[row].nonzero()[:, 0]
        assert scored.tolist() == list(range(start - 1, size - 1))
        # The label is the token that follows the one at its position.
        assert (batch.labels[row, scored] == batch.input_ids[row, scored] + 1).all()
        assert (batch.labels[row][~batch.scored[row]] == IGNORED).all()


def test_bad_texts_are_named() -> None:
    tok = tokenizer()
    with pytest.raises(DataError, match=r"prompt 'Ada is in': the target is empty"):
        encode(tok, [("Bo is in", "Rome"), ("Ada is in", " \n")])
    with pytest.raises(DataError, match=r"no token comes before the target 'Rome'"):
        encode(tok, [("", "Rome")])


def test_a_text_longer_than_the_context_is_named_and_one_that_just_fits_is_not() -> None:
    tok = tokenizer()
    (text,) = encode(tok, [("Ada lives in", "Rome")])
    size = len(text.ids) - 1  # nothing follows the last token, so the model never reads it
    encode(tok, [("Ada lives in", "Rome")], size)
    with pytest.raises(DataError, match=rf"'Ada lives in'.*{size + 1} tokens.*holds {size - 1}"):
        encode(tok, [("Ada lives in", "Rome")], size - 1)


def test_no_text_is_no_call_of_the_tokenizer() -> None:
    assert encode(None, []) == []


def test_padding_takes_the_pad_token_then_the_end_token() -> None:
    assert pad_id_of(SimpleNamespace(pad_token_id=0, eos_token_id=5)) == 0
    assert pad_id_of(SimpleNamespace(pad_token_id=None, eos_token_id=5)) == 5
    with pytest.raises(ModelError, match=r"neither a pad token nor.*set tokenizer\.pad_token"):
        pad_id_of(tokenizer(eos=False))


@pytest.mark.parametrize("family", FAMILIES)
def test_the_context_is_that_of_the_config(family: str) -> None:
    assert context_length(model(family)) == 64
    assert context_length(SimpleNamespace(config=SimpleNamespace())) is None


def test_a_batch_moves_as_a_whole() -> None:
    batch = collate([Encoded((1, 2, 3), 1)], 0).to(torch.device("meta"))
    assert {t.device.type for t in (batch.input_ids, batch.attention_mask, batch.labels)} == {
        "meta"
    }
