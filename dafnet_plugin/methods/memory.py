"""What added neurons shall leave alone: sentences, and the edits made before."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from dafnet_plugin.editing.modules import by_position, evaluation_mode, model_device
from dafnet_plugin.editing.scoring import scored_logits
from dafnet_plugin.methods.hparams import NeuronHparams
from dafnet_plugin.methods.neurons import queries_of
from dafnet_plugin.tokens import Encoded, collate, context_length, pad_id_of
from dafnet_plugin.training.text import encode_texts, read_sentences


@dataclass(frozen=True)
class Sentences:
    """Sentences to be left alone.

    Attributes:
        texts: as given.
        encoded: their tokens, every token after the first being a target.
    """

    texts: tuple[str, ...]
    encoded: tuple[Encoded, ...]

    def __len__(self) -> int:
        return len(self.texts)

    def about(self, subject: str | None) -> Tensor:
        """[sentences] booleans: those that name a subject; an edit is about it on purpose."""
        named = [bool(subject) and str(subject) in text for text in self.texts]
        return torch.tensor(named, dtype=torch.bool)


def draw_sentences(hparams: NeuronHparams, model: nn.Module, tokenizer: Any) -> Sentences:
    """Draw from ``memory_path`` and ``memory_texts``; none if both are empty.

    Raises:
        DataError: ``memory_path`` cannot be read.
    """
    texts = list(hparams.memory_texts)
    if hparams.memory_path is not None:
        texts += read_sentences(hparams.memory_path)
    texts = list(dict.fromkeys(text for text in texts if text.strip()))
    if len(texts) > hparams.memory_size:
        texts = random.Random(hparams.seed).sample(texts, hparams.memory_size)
    kept, encoded = [], []
    for text in texts:
        for tokens in encode_texts(tokenizer, [text], 2, context_length(model)):
            kept.append(text)
            encoded.append(tokens)
    return Sentences(tuple(kept), tuple(encoded))


@torch.no_grad()
def queries(
    model: nn.Module, name: str, texts: Sequence[Encoded], tokenizer: Any, batch_size: int = 64
) -> list[Tensor]:
    """What a feed-forward module reads at every token of texts but the last, in float32.

    Args:
        name: of the module, in ``model.named_modules()``.

    Returns:
        [tokens - 1, d] for each text, on the module's device.

    Raises:
        ModelError: the module is not run at every position.
    """
    found: list[Tensor] = []
    pad_id, device = pad_id_of(tokenizer), model_device(model)
    for start in range(0, len(texts), batch_size):
        some = texts[start : start + batch_size]
        batch = collate(some, pad_id).to(device)
        with evaluation_mode(model), queries_of(model, name) as read:
            scored_logits(model, batch)
        rows = by_position(name, torch.cat(read), batch.attention_mask)
        found += [row[: len(text.ids) - 1].float() for row, text in zip(rows, some, strict=True)]
    return found
