"""What editing does to a model beside the facts that were edited."""

from __future__ import annotations

import math
import random
import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from benchmarks.scoring import Speaker, mean
from dafnet_plugin.tokens import Encoded, context_length, encode, pad_id_of

SENTENCES = 128
"""Sentences of held-out text; perplexity, divergence and accuracy are over these."""
PROMPTS, NEW_TOKENS = 16, 24
"""How many sentences are begun for the model to go on, and how far."""
REFERENCE_VALUES = 2**25
"""Log-probabilities of a model that are kept: 128 MiB. A large vocabulary means less text."""
LARGEST = 1e30
"""Stands for whatever is larger or not a number, as JSON has no word for these."""


@dataclass(frozen=True)
class Reading:
    """What one model says.

    Attributes:
        log_probs: [tokens, vocabulary], in nats, of the tokens of the held-out text.
        perplexity: of these tokens.
        unrelated: mean share of the tokens of an answer that the model gets right.
        fluency: mean n-gram entropy of continuations, in bits.
    """

    log_probs: Tensor
    perplexity: float
    unrelated: float
    fluency: float | None


class SideEffects:
    """Compares edited models with the unedited one on sentences that no edit is about.

    Each sentence is cut at a place that is drawn once; the tokens after it are the held-out text.
    What comes before is the prompt, for methods that look where a prompt ends, so that they see
    prompts of every length.

    Args:
        model: the unedited model.
        sentences: pairs of prompt and answer, of which :data:`SENTENCES` are drawn.
        seed: of the sentences and the places.

    Raises:
        DataError: a sentence is longer than the model's context.
    """

    def __init__(
        self,
        model: Any,
        tokenizer: Any,
        sentences: Sequence[tuple[str, str]],
        speaker: Speaker,
        *,
        seed: int = 0,
        batch_size: int = 64,
    ) -> None:
        self._tokenizer, self._speaker = tokenizer, speaker
        self._pad_id, self._batch_size = pad_id_of(tokenizer), batch_size
        context = context_length(model)
        rng = random.Random(f"held-out text {seed}")
        drawn = rng.sample(sentences, min(SENTENCES, len(sentences)))
        self._facts = encode(tokenizer, drawn, context)
        vocabulary = model.get_input_embeddings().weight.shape[0]
        self._text = _within(
            [Encoded(fact.ids, rng.randrange(1, len(fact.ids))) for fact in self._facts],
            REFERENCE_VALUES // vocabulary,
        )
        prompts = dict.fromkeys(fact.ids[: fact.target_start] for fact in self._facts)
        room = (context or 10**9) - NEW_TOKENS
        self._prompts = [prompt for prompt in prompts if len(prompt) <= room][:PROMPTS]
        self._before = self._read(model)

    def compare(self, model: Any) -> dict[str, float | None]:
        """The fields of :class:`benchmarks.results.Result` that an edited model has here."""
        before, after = self._before, self._read(model)
        return {
            "perplexity_before": before.perplexity,
            "perplexity_after": after.perplexity,
            "kl": divergence(before.log_probs, after.log_probs),
            "unrelated_before": before.unrelated,
            "unrelated_after": after.unrelated,
            "fluency_before": before.fluency,
            "fluency_after": after.fluency,
        }

    @torch.no_grad()
    def _read(self, model: Any) -> Reading:
        logits = self._ask(model, self._text)
        log_probs = torch.cat([rows.log_softmax(-1).cpu() for rows in logits])
        labels = torch.tensor([t for text in self._text for t in text.ids[text.target_start :]])
        losses = -log_probs.gather(1, labels[:, None])  # [tokens, 1], nats
        said = [
            token for rows in self._ask(model, self._facts) for token in rows.argmax(-1).tolist()
        ]
        shares = []
        for fact in self._facts:
            wanted = fact.ids[fact.target_start :]
            shares.append(sum(a == b for a, b in zip(said, wanted)) / len(wanted))
            said = said[len(wanted) :]
        return Reading(
            log_probs=log_probs,
            perplexity=_finite(math.exp(min(float(losses.mean()), 80.0))),
            unrelated=mean(shares) or 0.0,
            fluency=self._fluency(model),
        )

    def _ask(self, model: Any, texts: Sequence[Encoded]) -> Iterator[Tensor]:
        size = self._batch_size
        for start in range(0, len(texts), size):
            yield self._speaker.scored_logits(model, texts[start : start + size], self._pad_id)

    def _fluency(self, model: Any) -> float | None:
        if not self._prompts:
            return None
        found = self._speaker.greedy(model, self._prompts, NEW_TOKENS, self._pad_id)
        texts = self._tokenizer.batch_decode(found, skip_special_tokens=True)
        return mean(entropy(text) for text in texts)


def entropy(text: str) -> float:
    """Weighted mean of the entropies of a text's bigrams and trigrams, in bits.

    The measure of "Mass-editing memory" and "Locating and editing factual associations" (their
    ``n_gram_entropy``): 2/3 of the one and 4/3 of the other, halved. Text that repeats itself
    has little. Words and signs are told apart by a regular expression, not by nltk's tokenizer,
    whose data would have to be downloaded. A text too short for an n-gram has none: 0 bits.
    """
    words = re.findall(r"\w+|[^\w\s]", text)
    parts = [
        weight * _bits(Counter(zip(*(words[start:] for start in range(n)))))
        for n, weight in ((2, 2 / 3), (3, 4 / 3))
    ]
    return sum(parts) / len(parts)


def _bits(counts: Counter[Any]) -> float:
    total = counts.total()
    return -sum(count / total * math.log2(count / total) for count in counts.values()) + 0.0


def divergence(before: Tensor, after: Tensor) -> float:
    """Mean KL divergence of ``after`` from ``before``, in nats a token.

    Args:
        before, after: log-probabilities [tokens, vocabulary].
    """
    total = 0.0
    for p, q in zip(before.split(1024), after.split(1024), strict=True):
        total += float((p.exp() * (p - q)).double().sum())
    # Rounding can take the sum below 0, which a divergence never is.
    return _finite(max(total / len(before), 0.0))


@torch.no_grad()
def weight_change(
    now: Mapping[str, Tensor], kept: Mapping[str, Tensor], base: Mapping[str, Tensor]
) -> float | None:
    """Frobenius norm of the change of all weights, relative to that of the weights.

    Args:
        now: parameters and buffers of the edited model, by name.
        kept: those of the unedited model, as objects: a method may have moved them into a
            module of its own, where they have another name.
        base: copies of them from before the edits.

    Returns:
        None for a method that leaves the weights as they are and adds modules of its own: how
        much these change is not a change of weights.
    """
    change, norm = 0.0, 0.0
    for name, before in base.items():
        found = now.get(name)
        after = kept[name] if found is None or found.shape != before.shape else found
        change += float(torch.linalg.vector_norm(after.float() - before.float())) ** 2
        norm += float(torch.linalg.vector_norm(before.float())) ** 2
    if change == 0 and now.keys() != base.keys():
        return None
    return _finite(math.sqrt(change / norm)) if norm else 0.0


def _within(texts: Sequence[Encoded], tokens: int) -> list[Encoded]:
    """The first texts, as many as have no more scored tokens than this, but at least one."""
    kept: list[Encoded] = []
    for text in texts:
        tokens -= len(text.ids) - text.target_start
        if kept and tokens < 0:
            break
        kept.append(text)
    return kept


def _finite(value: float) -> float:
    return value if value < LARGEST else LARGEST  # which NaN is not either
