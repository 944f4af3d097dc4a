"""What editing costs a model otherwise, by hand and at its limits."""

from __future__ import annotations

import copy
import math
from typing import Any

import pytest
import torch

from benchmarks import side_effects
from benchmarks.methods import get_adapter
from benchmarks.side_effects import LARGEST, SideEffects, divergence, entropy, weight_change
from dafnet_plugin.errors import DataError
from tests.benchmarks.scoring.oracle import Oracle, Sayings
from tests.helpers import FAMILIES, PEOPLE, PLACES, model, shuffle_parameters, tokenizer

SPEAKER = get_adapter("FT")
SENTENCES = [
    (f"{'Old ' * (i % 3)}{person} lives in", PLACES[i % 8]) for i, person in enumerate(PEOPLE)
]


def changed(base: Any, scale: float = 0.1) -> Any:
    edited = copy.deepcopy(base)
    shuffle_parameters(edited, scale=scale)
    return edited


def weights(module: torch.nn.Module) -> dict[str, torch.Tensor]:
    return dict([*module.named_parameters(), *module.named_buffers()])


@pytest.mark.parametrize("family", FAMILIES)
def test_a_model_that_did_not_change_has_no_side_effects(family: str) -> None:
    base = model(family)
    found = SideEffects(base, tokenizer(), SENTENCES, SPEAKER).compare(base)
    assert found["kl"] == 0
    for name in ("perplexity", "unrelated", "fluency"):
        assert found[f"{name}_before"] == found[f"{name}_after"]
    assert weight_change(weights(base), weights(base), weights(copy.deepcopy(base))) == 0


@pytest.mark.parametrize("family", FAMILIES)
def test_perplexity_divergence_and_accuracy_are_those_of_the_tokens(family: str) -> None:
    base, tok = model(family), tokenizer()
    edited = changed(base)
    # Two tokens each, so that there is one place to cut at.
    pairs = [(letter, place) for letter, place in zip("XYZQKJVW", PLACES)]
    ids = torch.tensor(tok([f"{prompt} {answer}" for prompt, answer in pairs])["input_ids"])
    assert ids.shape == (8, 2)
    found = SideEffects(base, tok, pairs, SPEAKER, batch_size=3).compare(edited)
    before, after = (m(ids[:, :1]).logits[:, 0].detach().log_softmax(-1) for m in (base, edited))
    for when, log_probs in (("before", before), ("after", after)):
        losses = -log_probs[torch.arange(8), ids[:, 1]]
        perplexity, accuracy = losses.mean().exp(), (log_probs.argmax(-1) == ids[:, 1]).float()
        assert found[f"perplexity_{when}"] == pytest.approx(float(perplexity), rel=1e-5)
        assert found[f"unrelated_{when}"] == float(accuracy.mean())
    kl = torch.nn.functional.kl_div(after, before, log_target=True, reduction="batchmean")
    assert found["kl"] == pytest.approx(float(kl), rel=1e-4) and found["kl"] > 0


class Told(Sayings):
    """A model that says what it is told, with as many embeddings as there are tokens."""

    def get_input_embeddings(self) -> torch.nn.Module:
        return torch.nn.Embedding(len(tokenizer()), 1)


def test_accuracy_and_fluency_of_a_model_that_says_what_it_is_told() -> None:
    pairs = [("Ada lives in", "Rome Oslo"), ("Bo lives in", "Paris")]
    base = Told({"Ada lives in": "Rome Lima", "Bo lives in": "Paris"})
    edited = Told({"Ada lives in": "Paris Rome"})
    found = SideEffects(base, tokenizer(), pairs, Oracle(tokenizer())).compare(edited)
    assert (found["unrelated_before"], found["unrelated_after"]) == (0.75, 0)
    # 24 tokens: "Rome Lima Lima ...", and one word for the other.
    bigrams = -(math.log2(1 / 23) + 22 * math.log2(22 / 23)) / 23
    trigrams = -(math.log2(1 / 22) + 21 * math.log2(21 / 22)) / 22
    first = (2 / 3 * bigrams + 4 / 3 * trigrams) / 2
    assert found["fluency_before"] == pytest.approx(first / 2)


@pytest.mark.parametrize("family", FAMILIES)
def test_batches_play_no_role(family: str) -> None:
    base = model(family)
    edited = changed(base)
    one, many = (
        SideEffects(base, tokenizer(), SENTENCES, SPEAKER, batch_size=size).compare(edited)
        for size in (1, 64)
    )
    assert one == pytest.approx(many, rel=1e-4)


class Counting(Oracle):
    """Counts the texts of each call."""

    def __init__(self, tokenizer: Any) -> None:
        super().__init__(tokenizer)
        self.sizes: list[int] = []

    def scored_logits(self, model: Any, texts: Any, pad_id: int) -> torch.Tensor:
        self.sizes.append(len(texts))
        return super().scored_logits(model, texts, pad_id)


@pytest.mark.parametrize(("values", "texts"), [(3, 3), (0, 1), (100, 8)])
def test_more_text_than_can_be_kept_is_left_out(
    monkeypatch: pytest.MonkeyPatch, values: int, texts: int
) -> None:
    counting = Counting(tokenizer())
    monkeypatch.setattr(side_effects, "REFERENCE_VALUES", values * len(counting.tokenizer))
    pairs = [("X", place) for place in PLACES]  # of one token each that is predicted
    SideEffects(Told(), counting.tokenizer, pairs, counting)
    assert counting.sizes == [texts, 8]
    monkeypatch.setattr(side_effects, "SENTENCES", 2)
    SideEffects(Told(), counting.tokenizer, pairs, counting)
    assert counting.sizes[2:] == [min(texts, 2), 2]


def test_prompts_without_room_to_go_on_have_no_fluency() -> None:
    pairs = [("Ada " * 22 + "lives in", "Rome")]
    base = model("gpt2")
    found = SideEffects(base, tokenizer(), pairs, SPEAKER).compare(base)
    assert found["fluency_before"] is None and found["kl"] == 0


def test_a_ruined_model_has_numbers_that_json_knows() -> None:
    base = model("gpt2")
    ruined = copy.deepcopy(base)
    with torch.no_grad():
        ruined.transformer.h[0].mlp.c_fc.weight.fill_(math.nan)
    found = SideEffects(base, tokenizer(), SENTENCES, SPEAKER).compare(ruined)
    assert found["perplexity_after"] == found["kl"] == LARGEST
    assert weight_change(weights(ruined), weights(ruined), weights(base)) == LARGEST
    assert all(value is None or math.isfinite(value) for value in found.values())


def test_text_that_does_not_fit_is_named() -> None:
    with pytest.raises(DataError, match=r"'Ada Ada.*context holds 64"):
        SideEffects(model("gpt2"), tokenizer(), [("Ada " * 70, "Rome")], SPEAKER)


# -- parts --------------------------------------------------------------------------------------


def test_divergence_of_known_distributions() -> None:
    before = torch.tensor([[0.5, 0.5], [0.9, 0.1]]).log()
    after = torch.tensor([[0.9, 0.1], [0.9, 0.1]]).log()
    first = 0.5 * math.log(0.5 / 0.9) + 0.5 * math.log(0.5 / 0.1)
    assert divergence(before, after) == pytest.approx(first / 2, rel=1e-6)
    assert divergence(before, before) == 0


def test_entropy_of_known_texts() -> None:
    # Bigrams ab, ba, ab: 1/3 log 3 + 2/3 log 3/2; trigrams aba, bab: 1 bit.
    bigrams = math.log2(3) / 3 + 2 * math.log2(1.5) / 3
    assert entropy("a b a b") == pytest.approx((2 / 3 * bigrams + 4 / 3 * 1) / 2)
    # 4 bigrams and 3 trigrams, all different; a sign is a word of its own.
    assert entropy("in Rome, not Oslo") == pytest.approx((2 / 3 * 2 + 4 / 3 * math.log2(3)) / 2)
    assert entropy("go go go go") == entropy("go") == entropy("") == 0
    assert entropy("a b c d e f") > entropy("a b a b a b") > entropy("a a a a a a")


def test_weight_change_is_relative_to_all_weights() -> None:
    base = {"a": torch.tensor([3.0]), "b": torch.tensor([[4.0]])}
    own = {"a": torch.tensor([3.0]), "b": torch.tensor([[14.0]])}
    assert weight_change(own, own, base) == pytest.approx(10 / 5)
    # A method has put the first weight into a module of its own: it is found all the same.
    moved = {"wrapper.a": own["a"], "b": own["b"], "wrapper.codebook": torch.ones(9)}
    assert weight_change(moved, own, base) == pytest.approx(10 / 5)
    kept = dict(base)
    assert weight_change({"wrapper.a": base["a"], "b": base["b"]}, kept, base) is None
    assert weight_change(kept, kept, base) == 0
    zero = {"a": torch.zeros(2)}
    assert weight_change(zero, zero, zero) == 0
