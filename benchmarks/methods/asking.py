"""Asking a model, edited or not, for its predictions."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from dafnet_plugin.editing.scoring import scored_logits
from dafnet_plugin.tokens import IGNORED, Encoded, TokenBatch


@dataclass(frozen=True)
class Question:
    """A text and the positions whose predictions are wanted.

    Attributes:
        ids: all tokens, those after the wanted positions included; methods that decide by the
            whole text, as EasyEdit shows it to them, look at these too.
        prompt_end: number of tokens of the prompt, at least 1.
        first: position of the first prediction wanted; ``last`` that of the last one.
    """

    ids: tuple[int, ...]
    prompt_end: int
    first: int
    last: int

    @property
    def wanted(self) -> slice:
        """The wanted positions."""
        return slice(self.first, self.last + 1)

    @property
    def size(self) -> int:
        """How many they are."""
        return self.last - self.first + 1


def target_questions(texts: Iterable[Encoded]) -> list[Question]:
    """Ask for the predictions of all target tokens."""
    return [Question(t.ids, t.target_start, t.target_start - 1, len(t.ids) - 2) for t in texts]


def next_token_question(prompt: Sequence[int], answer: Sequence[int]) -> Question:
    """Ask for the token after a prompt and the first tokens of an answer."""
    ids = (*prompt, *answer)
    return Question(ids, len(prompt), len(ids) - 1, len(ids) - 1)


def collate_questions(
    questions: Sequence[Question], pad_id: int, device: torch.device, *, whole: bool = False
) -> TokenBatch:
    """Pad questions on the right; any label but ``IGNORED`` marks a wanted position.

    Args:
        whole: keep the tokens after the last wanted position.
    """
    ids = [q.ids if whole else q.ids[: q.last + 1] for q in questions]
    width = max(map(len, ids))
    input_ids = torch.full((len(ids), width), pad_id)
    attention_mask = torch.zeros_like(input_ids)
    labels = torch.full_like(input_ids, IGNORED)
    for row, (tokens, question) in enumerate(zip(ids, questions, strict=True)):
        input_ids[row, : len(tokens)] = torch.tensor(tokens)
        attention_mask[row, : len(tokens)] = 1
        labels[row, question.wanted] = 0
    return TokenBatch(input_ids, attention_mask, labels).to(device)


def ask_in_one_batch(model: Any, questions: Sequence[Question], pad_id: int) -> Tensor:
    """The logits [wanted positions, vocabulary], in float32, of an ordinary causal model."""
    return scored_logits(model, collate_questions(questions, pad_id, device_of(model)))


def ask_one_by_one(model: Any, questions: Sequence[Question]) -> Tensor:
    """The same, each whole text in a forward pass of its own, as EasyEdit's evaluation does."""
    device = device_of(model)
    found = []
    for question in questions:
        ids = torch.tensor([question.ids], device=device)
        output = model(input_ids=ids, attention_mask=torch.ones_like(ids))
        logits = output if isinstance(output, Tensor) else output.logits
        found.append(logits[0, question.wanted].float())
    return torch.cat(found)


def groups_by(keys: Sequence[int]) -> dict[int, list[int]]:
    """Indices of equal keys, by key."""
    groups: dict[int, list[int]] = {}
    for index, key in enumerate(keys):
        groups.setdefault(key, []).append(index)
    return groups


def device_of(model: Any) -> torch.device:
    """Where the weights of a model are."""
    device: torch.device = next(model.parameters()).device
    return device
