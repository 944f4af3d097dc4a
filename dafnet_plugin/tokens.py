"""Prompt and target as token ids, with the positions whose predictions count."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from dafnet_plugin.errors import DataError, ModelError

IGNORED = -100
"""Label of positions that do not count, as in ``torch.nn.functional.cross_entropy``."""


@dataclass(frozen=True)
class Encoded:
    """One text: its token ids, and the index of the first target token among them."""

    ids: tuple[int, ...]
    target_start: int


@dataclass(frozen=True)
class TokenBatch:
    """Texts of one batch, padded on the right.

    Attributes:
        input_ids: [texts, length], without each text's last token (nothing follows it).
        attention_mask: [texts, length], 1 for tokens, 0 for padding.
        labels: [texts, length]; the logits at t predict ``labels[t]``; ``IGNORED`` outside the
            target.
    """

    input_ids: Tensor
    attention_mask: Tensor
    labels: Tensor

    @property
    def scored(self) -> Tensor:
        """[texts, length] booleans: positions that predict a target token."""
        return self.labels != IGNORED

    def to(self, device: torch.device) -> TokenBatch:
        """The same batch on another device."""
        return TokenBatch(
            self.input_ids.to(device), self.attention_mask.to(device), self.labels.to(device)
        )


def encode(
    tokenizer: Any,
    texts: Sequence[tuple[str, str]],
    max_tokens: int | None = None,
    *,
    chat: bool = False,
) -> list[Encoded]:
    """Tokenise pairs of prompt and target as EasyEdit scores them, ``prompt + ' ' + target``.

    The target starts where the tokens of the whole text part from those of the prompt alone.

    Args:
        max_tokens: the model's context length in tokens.
        chat: put each prompt into the tokenizer's chat template, as :func:`in_chat` does, and the
            target where the answer starts.

    Raises:
        DataError: an empty target, a target without a token, or a text longer than
            ``max_tokens``; names the text.
        ModelError: ``chat``, and the tokenizer has no chat template.
    """
    if not texts:
        return []
    for prompt, target in texts:
        if not target.strip():
            raise DataError(f"prompt {prompt!r}: the target is empty")
    heads = [prompt for prompt, _ in texts]
    if chat:
        heads = in_chat(tokenizer, heads)
    # What comes before an answer in a chat often ends in white space already.
    spaces = ["" if chat and head[-1:].isspace() else " " for head in heads]
    joined = [f"{h}{s}{target.strip()}" for h, s, (_, target) in zip(heads, spaces, texts)]
    # A template writes the special tokens itself.
    settings = {"add_special_tokens": False} if chat else {}
    prompts = tokenizer(heads, **settings)["input_ids"]
    wholes = tokenizer(joined, **settings)["input_ids"]
    encoded = []
    for (prompt, target), head, ids in zip(texts, prompts, wholes, strict=True):
        start = _common_prefix(head, ids)
        if start >= len(ids):
            raise DataError(f"prompt {prompt!r}: the target {target!r} has no token of its own")
        if start == 0:
            raise DataError(f"prompt {prompt!r}: no token comes before the target {target!r}")
        if max_tokens is not None and len(ids) - 1 > max_tokens:
            raise DataError(
                f"prompt {prompt[:60]!r}...: {len(ids)} tokens with its target, "
                f"but the model's context holds {max_tokens}"
            )
        encoded.append(Encoded(tuple(ids), start))
    return encoded


def in_chat(tokenizer: Any, prompts: Sequence[str]) -> list[str]:
    """Prompts as a user's turn, up to where the assistant's answer starts.

    Raises:
        ModelError: the tokenizer has no chat template, or it refuses a prompt.
    """
    if not getattr(tokenizer, "chat_template", None):
        raise ModelError(
            f"use_chat_template: the tokenizer {getattr(tokenizer, 'name_or_path', tokenizer)!r} "
            "has no chat template; set tokenizer.chat_template, or use_chat_template: false"
        )
    from jinja2.exceptions import TemplateError

    try:
        return [
            tokenizer.apply_chat_template(
                [{"role": "user", "content": prompt}], tokenize=False, add_generation_prompt=True
            )
            for prompt in prompts
        ]
    except (TemplateError, ValueError) as error:
        raise ModelError(f"use_chat_template: the chat template fails: {error}") from error


def collate(encoded: Sequence[Encoded], pad_id: int, length: int | None = None) -> TokenBatch:
    """Pad encoded texts on the right to a common length.

    Args:
        pad_id: token id to pad with; it is masked, so any id will do.
        length: pad to at least this many tokens.
    """
    width = max([length or 1, *(len(text.ids) - 1 for text in encoded)])
    input_ids = torch.full((len(encoded), width), pad_id)
    attention_mask = torch.zeros_like(input_ids)
    labels = torch.full_like(input_ids, IGNORED)
    for row, text in enumerate(encoded):
        size, first = len(text.ids) - 1, text.target_start - 1
        input_ids[row, :size] = torch.tensor(text.ids[:-1])
        attention_mask[row, :size] = 1
        labels[row, first:size] = torch.tensor(text.ids[first + 1 :])
    return TokenBatch(input_ids, attention_mask, labels)


def pad_id_of(tokenizer: Any) -> int:
    """Return the id to pad with: the pad token, else the end-of-sequence token.

    Raises:
        ModelError: the tokenizer has neither.
    """
    for name in ("pad_token_id", "eos_token_id"):
        value = getattr(tokenizer, name, None)
        if value is not None:
            return int(value)
    raise ModelError(
        f"tokenizer {getattr(tokenizer, 'name_or_path', tokenizer)!r} has neither a pad token nor "
        "an end-of-sequence token; set tokenizer.pad_token to any token (it is masked out)"
    )


def context_length(model: Any) -> int | None:
    """Return how many tokens the model's positions allow, None when it does not say."""
    for name in ("max_position_embeddings", "n_positions", "max_seq_len"):
        value = getattr(model.config, name, None)
        if isinstance(value, int) and value > 0:
            return value
    return None


def _common_prefix(first: Sequence[int], second: Sequence[int]) -> int:
    for index, (a, b) in enumerate(zip(first, second)):
        if a != b:
            return index
    return min(len(first), len(second))
