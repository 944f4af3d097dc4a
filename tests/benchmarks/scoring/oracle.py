"""A model that says what it is told to say, to make scores that can be computed by hand."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import SimpleNamespace
from typing import Any

import torch
from torch import Tensor

from dafnet_plugin.tokens import Encoded, encode


class Oracle:
    """Answers prompts as a mapping says, and everything else with ``silence``.

    It stands for the model as well as for the adapter that asks it: ``model`` is the mapping.
    """

    config = SimpleNamespace(n_positions=64)

    def __init__(self, tokenizer: Any) -> None:
        self.tokenizer = tokenizer
        self.asked: list[str] = []

    def scored_logits(self, model: Mapping[str, str], texts: Sequence[Encoded], _: int) -> Tensor:
        """Logits whose arg-max is what the mapping says."""
        found: list[int] = []
        for text in texts:
            prompt = self.tokenizer.decode(text.ids[: text.target_start])
            self.asked.append(self.tokenizer.decode(text.ids))
            size = len(text.ids) - text.target_start
            said = self._tokens(prompt, model.get(prompt, "0"))
            found += (said + [0] * size)[:size]
        return torch.nn.functional.one_hot(torch.tensor(found), len(self.tokenizer)).float()

    def greedy(
        self, model: Mapping[str, str], prompts: Sequence[Sequence[int]], new_tokens: int, _: int
    ) -> list[list[int]]:
        """What the mapping says; then the last token over and over."""
        answers = []
        for ids in prompts:
            prompt = self.tokenizer.decode(ids)
            said = self._tokens(prompt, model.get(prompt, "0"))
            answers.append((said + said[-1:] * new_tokens)[:new_tokens])
        return answers

    def _tokens(self, prompt: str, answer: str) -> list[int]:
        (encoded,) = encode(self.tokenizer, [(prompt, answer)])
        return list(encoded.ids[encoded.target_start :])


class Sayings(dict[str, str]):
    """What an :class:`Oracle` says; looks enough like a model to be scored."""

    config = Oracle.config
