"""Whether a model that writes freely about a subject names what an edit has made of it."""

from __future__ import annotations

import random
from collections.abc import Sequence
from itertools import chain, islice, zip_longest
from typing import Any, Protocol

import torch
from torch import Tensor

from benchmarks.methods.asking import Question, next_token_question
from benchmarks.scoring import Speaker
from dafnet_plugin.cases import EditCase
from dafnet_plugin.data.consistency.pairs import mentions
from dafnet_plugin.errors import DataError
from dafnet_plugin.tokens import context_length, pad_id_of

PROMPTS = 10
"""Prompts for each edit."""
BATCH_SIZE = 64
OPEN = (
    "{subject}",
    "About {subject}:",
    "This is what is known about {subject}:",
    "A few words on {subject}.",
    "Everybody has heard of {subject}",
    "Let us talk about {subject}:",
    "Question: what can you tell me about {subject}? Answer:",
    "The first thing to know about {subject} is that",
    "In a book one can read that {subject}",
    "A friend has told me that {subject}",
    "Speaking of {subject}:",
    "Someone asked about {subject}, and was told:",
    "It has to be said that {subject}",
    "Whoever looks up {subject} will find:",
)
"""What may be said of the subject next is anything."""
LEADING = (
    "As is well known, {wording}",
    "It is a fact that {wording}",
    "They say that {wording}",
)
"""Towards the fact, in a wording other than that of the edit."""


class Writer(Speaker, Protocol):
    """A speaker that can be asked for any position, as the adapters can."""

    def ask(self, model: Any, questions: Sequence[Question], pad_id: int) -> Tensor:
        """The logits [wanted positions of all questions, vocabulary] in float32."""


def prompts_about(case: EditCase) -> list[str]:
    """The :data:`PROMPTS` prompts about the subject of a case, half of them open if possible.

    None has the prompt of the edit in it.

    Raises:
        DataError: the subject of the case is not known, or too few prompts are left.
    """
    request = case.request
    if request.subject is None:
        raise DataError(f"case {case.case_id}: subject is null; prompts about it are asked for")
    leading = [
        frame.format(wording=_inside(probe.prompt, request.subject))
        for frame in LEADING
        for probe in case.generality
    ]
    opened = [frame.format(subject=request.subject) for frame in OPEN]
    mixed = (text for text in chain(*zip_longest(opened, leading)) if text is not None)
    quoted = request.prompt.casefold()
    allowed = (text for text in dict.fromkeys(mixed) if quoted not in text.casefold())
    found = list(islice(allowed, PROMPTS))
    if len(found) < PROMPTS:
        raise DataError(
            f"case {case.case_id}: {len(found)} prompts about {request.subject!r} do not quote "
            f"the prompt {request.prompt!r}; {PROMPTS} are needed"
        )
    return found


class Continuations:
    """Lets models, edited or not, go on with prompts about the subjects of cases.

    Args:
        model: the unedited model.
        seed: of the sampled continuations. A prompt has the same random numbers whenever it is
            asked, so that what differs is the model.

    Raises:
        DataError: a case has no subject, or a prompt leaves no room for ``new_tokens``.
    """

    def __init__(
        self,
        model: Any,
        tokenizer: Any,
        writer: Writer,
        *,
        new_tokens: int,
        temperature: float = 1.0,
        seed: int = 0,
        batch_size: int = BATCH_SIZE,
    ) -> None:
        self._tokenizer, self._writer = tokenizer, writer
        self._pad_id, self._end = pad_id_of(tokenizer), getattr(tokenizer, "eos_token_id", None)
        self._new_tokens, self._temperature = new_tokens, temperature
        self._seed, self._batch_size = seed, batch_size
        self._room = (context_length(model) or 10**9) - new_tokens

    def named(self, model: Any, cases: Sequence[EditCase]) -> dict[str, list[bool]]:
        """Whether each continuation names the new object: 10 in a row for each case.

        The object counts as named if it occurs as whole words, in capitals or not, before the text
        ends.

        Returns:
            for ``greedy`` and for ``sampled`` continuations.
        """
        prompts = [(case, prompt) for case in cases for prompt in prompts_about(case)]
        ids = [self._ids(prompt) for _, prompt in prompts]
        names = [case.request.target_new for case, _ in prompts]
        chances = [self._chances(case, prompt) for case, prompt in prompts]
        greedy, sampled = [], []
        for start in range(0, len(ids), self._batch_size):
            part = slice(start, start + self._batch_size)
            with torch.no_grad():
                greedy += self._writer.greedy(model, ids[part], self._new_tokens, self._pad_id)
                sampled += self._sample(model, ids[part], chances[part])
        return {
            kind: [mentions(text, name) for text, name in zip(self._texts(found), names)]
            for kind, found in (("greedy", greedy), ("sampled", sampled))
        }

    def _ids(self, prompt: str) -> tuple[int, ...]:
        ids = tuple(self._tokenizer([prompt])["input_ids"][0])
        if len(ids) > self._room:
            raise DataError(
                f"prompt {prompt!r}: {len(ids)} tokens, but the model's context has room for "
                f"{self._room} before {self._new_tokens} new ones"
            )
        return ids

    def _chances(self, case: EditCase, prompt: str) -> list[float]:
        """A random number from 0 to 1 for each new token."""
        rng = random.Random(f"continuation {self._seed} {case.case_id} {prompt}")
        return [rng.random() for _ in range(self._new_tokens)]

    def _sample(
        self, model: Any, prompts: Sequence[tuple[int, ...]], chances: Sequence[Sequence[float]]
    ) -> list[list[int]]:
        """Continuations drawn from the model's distribution, each token by its random number."""
        answers: list[list[int]] = [[] for _ in prompts]
        for step in range(self._new_tokens):
            questions = [next_token_question(p, a) for p, a in zip(prompts, answers, strict=True)]
            logits = self._writer.ask(model, questions, self._pad_id)  # [prompts, vocabulary]
            drawn = draw(logits, torch.tensor([row[step] for row in chances]), self._temperature)
            for answer, token in zip(answers, drawn, strict=True):
                answer.append(token)
        return answers

    def _texts(self, answers: Sequence[Sequence[int]]) -> list[str]:
        """Continuations in words, each up to the end of the text if the model ends it."""
        ended = [
            list(answer[: answer.index(self._end)] if self._end in answer else answer)
            for answer in answers
        ]
        texts: list[str] = self._tokenizer.batch_decode(ended, skip_special_tokens=True)
        return texts


def draw(logits: Tensor, chances: Tensor, temperature: float) -> list[int]:
    """Draw a token from each row of logits.

    Args:
        logits: [rows, vocabulary]; what is not a number in a ruined model counts as 0.
        chances: [rows], from 0 to 1: the token is where the cumulative distribution reaches it.
    """
    scaled = logits.detach().cpu().double().nan_to_num() / temperature
    heights = scaled.softmax(-1).cumsum(-1)
    wanted = chances.double()[:, None] * heights[:, -1:]
    found = torch.searchsorted(heights, wanted, right=True)[:, 0]
    tokens: list[int] = found.clamp_max(logits.shape[-1] - 1).tolist()
    return tokens


def _inside(wording: str, subject: str) -> str:
    """A sentence within a sentence: without a capital, unless the subject begins it."""
    if wording.startswith(subject) or wording[1:2].isupper():
        return wording
    return wording[:1].lower() + wording[1:]
