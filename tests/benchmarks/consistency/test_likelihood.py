"""FIB's two scores, by hand and in batches."""

from __future__ import annotations

import copy
import math
from typing import Any

import pytest
import torch

from benchmarks.consistency.likelihood import Preference, Preferences
from benchmarks.methods import get_adapter
from dafnet_plugin.data.consistency import ConsistencyPair
from dafnet_plugin.errors import DataError, ModelError
from dafnet_plugin.tokens import Encoded
from tests.helpers import FAMILIES, PEOPLE, PLACES, model, tokenizer

SPEAKER = get_adapter("FT")
PAIRS = [
    ConsistencyPair(
        f"{person} lives in {place}. {'Bo still lives. ' * (n % 3)}".strip(),
        f"{person} lives in {place}",
        f"{person} lives in {PLACES[(n + 3) % 8]}{' now' * (n % 2)}",
    )
    for n, (person, place) in enumerate(zip(PEOPLE, PLACES * 2))
]


def log_p(base: Any, ids: list[int], start: int) -> float:
    """Of the tokens from ``start`` on, in nats."""
    with torch.no_grad():
        rows = base(torch.tensor([ids])).logits[0].double().log_softmax(-1)
    return sum(float(rows[at - 1, ids[at]]) for at in range(start, len(ids)))


def by_hand(base: Any, pair: ConsistencyPair) -> Preference:
    tok = tokenizer()
    scores = []
    for summary in (pair.consistent, pair.contradicting):
        before = tok(pair.document)["input_ids"]
        ids = tok(f"{pair.document} {summary}")["input_ids"]
        assert ids[: len(before)] == before
        given = log_p(base, ids, len(before))
        alone = log_p(base, [tok.eos_token_id, *ids[len(before) :]], 1)
        scores.append((given / (len(ids) - len(before)), given - alone))
    return Preference(scores[0][0] > scores[1][0], scores[0][1] > scores[1][1])


@pytest.mark.parametrize("family", FAMILIES)
def test_preferences_are_those_of_both_scores(family: str) -> None:
    base = model(family)
    found = Preferences(base, tokenizer(), SPEAKER, PAIRS).of(base, range(len(PAIRS)))
    assert found == [by_hand(base, pair) for pair in PAIRS]
    assert len(set(found)) > 1  # both scores and both answers occur


@pytest.mark.parametrize("family", FAMILIES)
def test_batches_score_as_one_pair_at_a_time(family: str) -> None:
    base, everything = model(family), list(range(len(PAIRS)))
    batched = Preferences(base, tokenizer(), SPEAKER, PAIRS, batch_size=7)
    alone = Preferences(base, tokenizer(), SPEAKER, PAIRS, batch_size=1)
    texts = [text for pair in batched._pairs for one in pair for text in (one.given, one.alone)]
    assert batched.log_likelihoods(base, texts) == pytest.approx(
        [value for text in texts for value in alone.log_likelihoods(base, [text])], rel=1e-5
    )
    single = [one for index in everything for one in alone.of(base, [index])]
    assert batched.of(base, everything) == single
    assert batched.of(base, [5, 2]) == [single[5], single[2]]
    assert batched.of(base, []) == []


class Reader:
    """Prefers what the document says: the logit of a token is how often it was there before."""

    def __init__(self, weight: float) -> None:
        self.weight = weight

    def scored_logits(self, _: Any, texts: list[Encoded], __: int) -> torch.Tensor:
        rows = []
        for text in texts:
            for at in range(text.target_start, len(text.ids)):
                counts = torch.bincount(
                    torch.tensor(text.ids[: text.target_start]), minlength=len(tokenizer())
                )
                rows.append(self.weight * counts.float())
                del at
        return torch.stack(rows)

    def greedy(self, *_: Any) -> list[list[int]]:
        raise NotImplementedError


def test_who_reads_the_document_is_consistent_and_who_does_not_is_not() -> None:
    pairs = [
        ConsistencyPair(f"{person} lives in {PLACES[n % 8]}.", PLACES[n % 8], PLACES[(n + 1) % 8])
        for n, person in enumerate(PEOPLE)
    ]
    for weight, right in ((1.0, True), (0.0, False), (-1.0, False)):
        speaker = Reader(weight)
        found = Preferences(model("gpt2"), tokenizer(), speaker, pairs).of(None, range(12))
        # Without a weight all tokens are as likely: a tie is no preference.
        assert set(found) == {Preference(right, right)}


def test_the_same_tokens_with_and_without_a_document() -> None:
    found = Preferences(model("gpt2"), tokenizer(), SPEAKER, PAIRS)
    end = tokenizer().eos_token_id
    for pair in found._pairs:
        for one in pair:
            assert one.alone.ids == (end, *one.given.ids[one.given.target_start :])
            assert one.alone.target_start == 1 and one.size == len(one.alone.ids) - 1


def test_a_tokenizer_that_begins_every_text_begins_summaries_too() -> None:
    tok = tokenizer()
    tok.add_special_tokens({"bos_token": "<end>"})
    begun = copy.deepcopy(tok)
    from tokenizers.processors import TemplateProcessing

    begun._tokenizer.post_processor = TemplateProcessing(
        single="<end> $A", special_tokens=[("<end>", tok.bos_token_id)]
    )
    found = Preferences(model("llama"), begun, SPEAKER, PAIRS[:1])
    (one, _) = found._pairs[0]
    assert one.given.ids[0] == one.alone.ids[0] == tok.bos_token_id
    assert one.alone.target_start == 1


def test_documents_that_do_not_fit_are_named_and_not_cut() -> None:
    long = ConsistencyPair("Ada lives in Rome. " * 20, "Ada lives in Rome", "Ada lives in Oslo")
    with pytest.raises(DataError, match=r"Ada lives.*context holds 64; a document is not cut off"):
        Preferences(model("gpt2"), tokenizer(), SPEAKER, [*PAIRS, long])


def test_a_text_must_begin_with_something() -> None:
    tok = tokenizer(eos=False, pad=True)
    with pytest.raises(ModelError, match=r"neither a beginning-of-text token nor"):
        Preferences(model("gpt2"), tok, SPEAKER, PAIRS)


def test_a_ruined_model_prefers_nothing() -> None:
    ruined = model("gpt2")
    with torch.no_grad():
        ruined.transformer.h[0].mlp.c_fc.weight.fill_(math.nan)
    found = Preferences(model("gpt2"), tokenizer(), SPEAKER, PAIRS).of(ruined, range(4))
    assert found == [Preference(False, False)] * 4
