"""Which of two summaries a model prefers: FIB's two scores."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch

from benchmarks.scoring import Speaker
from dafnet_plugin.data.consistency import ConsistencyPair
from dafnet_plugin.errors import DataError, ModelError
from dafnet_plugin.tokens import Encoded, context_length, encode, pad_id_of

BATCH_SIZE = 32


@dataclass(frozen=True)
class Preference:
    """Whether a model prefers the consistent summary of a pair; a tie is no preference.

    Attributes:
        likelihood: by ``log p(summary | document) / length``, in nats a token.
        pmi: by ``log p(summary | document) - log p(summary)``, the pointwise mutual information
            of summary and document, in nats.
    """

    likelihood: bool
    pmi: bool


@dataclass(frozen=True)
class _Summary:
    """A summary after its document, and the same tokens by themselves."""

    given: Encoded
    alone: Encoded

    @property
    def size(self) -> int:
        return len(self.given.ids) - self.given.target_start


class Preferences:
    """Asks models, edited or not, for their preference among the summaries of pairs.

    Document and summary are joined by a space. To methods that look where a prompt ends, the
    document is the prompt. A summary by itself has the same tokens as after its document; what
    comes before it is what the tokenizer begins every text with, or else its beginning-of-text or
    end-of-text token.

    Args:
        model: the unedited model.
        speaker: asks it, and what it has become after edits.
        pairs: those that may be asked about.

    Raises:
        DataError: document and summary are longer than the model's context: nothing is cut off,
            for the document might then say nothing of what the pair turns on.
        ModelError: the tokenizer has no token for a text to begin with.
    """

    def __init__(
        self,
        model: Any,
        tokenizer: Any,
        speaker: Speaker,
        pairs: Sequence[ConsistencyPair],
        *,
        batch_size: int = BATCH_SIZE,
    ) -> None:
        self._speaker, self._pad_id, self._batch_size = speaker, pad_id_of(tokenizer), batch_size
        texts = [
            (pair.document, text)
            for pair in pairs
            for text in (pair.consistent, pair.contradicting)
        ]
        begin = _beginning(tokenizer)
        given = _encode(tokenizer, texts, context_length(model))
        summaries = [
            _Summary(text, Encoded((*begin, *text.ids[text.target_start :]), len(begin)))
            for text in given
        ]
        self._pairs = list(zip(summaries[::2], summaries[1::2], strict=True))

    def of(self, model: Any, indices: Sequence[int]) -> list[Preference]:
        """What a model prefers in some of the pairs."""
        summaries = [summary for index in indices for summary in self._pairs[index]]
        likely = self.log_likelihoods(
            model, [text for one in summaries for text in (one.given, one.alone)]
        )
        scores = [
            (given / summary.size, given - alone)
            for summary, given, alone in zip(summaries, likely[::2], likely[1::2], strict=True)
        ]
        return [
            Preference(right[0] > wrong[0], right[1] > wrong[1])
            for right, wrong in zip(scores[::2], scores[1::2], strict=True)
        ]

    @torch.no_grad()
    def log_likelihoods(self, model: Any, texts: Sequence[Encoded]) -> list[float]:
        """The log-likelihood of each text's target, in nats; NaN if the model is ruined."""
        found = [0.0] * len(texts)
        # Texts of one length side by side: less padding, fewer tokens to compute.
        order = sorted(range(len(texts)), key=lambda place: len(texts[place].ids))
        for start in range(0, len(texts), self._batch_size):
            places = order[start : start + self._batch_size]
            batch = [texts[place] for place in places]
            logits = self._speaker.scored_logits(model, batch, self._pad_id)
            targets = [torch.tensor(text.ids[text.target_start :]) for text in batch]
            labels = torch.cat(targets).to(logits.device)  # [target tokens]
            said = logits.gather(1, labels[:, None])[:, 0] - logits.logsumexp(-1)
            parts = said.cpu().double().split([len(target) for target in targets])
            for place, part in zip(places, parts, strict=True):
                found[place] = float(part.sum())
        return found


def _encode(tokenizer: Any, texts: Sequence[tuple[str, str]], context: int | None) -> list[Encoded]:
    try:
        return encode(tokenizer, texts, context)
    except DataError as error:
        raise DataError(
            f"consistency pair: {error}; a document is not cut off, as it might then say nothing "
            "of what the pair turns on: take a smaller number of sentences, or shorter documents"
        ) from error


def _beginning(tokenizer: Any) -> tuple[int, ...]:
    """What stands before a text that nothing comes before."""
    ids = tokenizer([""])["input_ids"][0]
    if len(ids):
        return tuple(ids)
    for name in ("bos_token_id", "eos_token_id"):
        value = getattr(tokenizer, name, None)
        if value is not None:
            return (int(value),)
    raise ModelError(
        f"tokenizer {getattr(tokenizer, 'name_or_path', tokenizer)!r} has neither a "
        "beginning-of-text token nor an end-of-text token; set tokenizer.bos_token to any token"
    )
