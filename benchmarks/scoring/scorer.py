"""Cases scored in batches.

A probe is asked as EasyEdit asks it: ``prompt + ' ' + target`` is tokenised, and at every
position that predicts a target token the arg-max is taken. Reliability, generality and
portability are the share of those that are the target's tokens (``rewrite_acc``,
``rephrase_acc``, ``portability``), locality the share that are what the unedited model said.
Several probes of a case are averaged, of portability within each criterion first.

Every method is asked alike. For GRACE alone EasyEdit's main branch lets the model write instead,
and compares that with the tokens of the target *without* the space before it: for most tokenizers
these are other tokens, so that nothing would be right.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import torch

from benchmarks.scoring.asking import Ask, plain_logits
from benchmarks.scoring.questions import Questions, Tokens
from benchmarks.scoring.scores import Scores
from dafnet_plugin.cases import EditCase
from dafnet_plugin.errors import DataError
from dafnet_plugin.tokens import Encoded, context_length, encode, pad_id_of


class Scorer:
    """Scores cases by their index.

    Args:
        model: the unedited model: its predictions for the locality probes are what locality
            compares with, and the conditions of portability are asked of it.
        tokenizer: of the model; its padding side plays no role.
        cases: what may be scored later.
        indices: of the cases to prepare now, all by default; see :meth:`prepare`.
        ask: how models are asked; for methods whose edited model looks at more than its input.
        max_length: cut texts to so many tokens, as EasyEdit's wheel does with
            ``hparams.max_length``; None cuts nothing, as its main branch.
        batch_size: texts of a forward pass.

    Raises:
        DataError: a text has no target token (within ``max_length``), or is longer than the
            model's context.
    """

    def __init__(
        self,
        model: Any,
        tokenizer: Any,
        cases: Sequence[EditCase],
        *,
        indices: Iterable[int] | None = None,
        ask: Ask = plain_logits,
        max_length: int | None = None,
        batch_size: int = 64,
    ) -> None:
        self._tokenizer, self._cases = tokenizer, cases
        self._ask, self._pad_id, self._batch_size = ask, pad_id_of(tokenizer), batch_size
        self._max_length = max_length
        self._context = None if max_length else context_length(model)
        self._questions: dict[int, Questions] = {}
        self._answers_before: dict[int, dict[int, Tokens]] = {}
        self.prepare(model, range(len(cases)) if indices is None else indices)

    def prepare(self, model: Any, indices: Iterable[int]) -> None:
        """Ask the *unedited* model about cases that it has not been asked about yet."""
        new = [index for index in dict.fromkeys(indices) if index not in self._questions]
        questions = {index: Questions.of(self._cases[index], self._encode) for index in new}
        wanted = {
            index: list(dict.fromkeys(found.asked() + found.conditions()))
            for index, found in questions.items()
        }
        answers = self._answers(model, questions, wanted)
        for index in new:
            self._questions[index] = questions[index].counting(answers[index])
        self._answers_before |= answers

    def before(self, indices: Sequence[int]) -> list[Scores]:
        """The scores of the unedited model; its locality is 1."""
        return [
            self._questions[i].judge(self._answers_before[i], self._answers_before[i])
            for i in indices
        ]

    def excluded(self, indices: Sequence[int]) -> dict[str, int]:
        """Criterion -> tests that do not count, as the unedited model fails a condition."""
        total: Counter[str] = Counter()
        for index in indices:
            total.update(self._questions[index].excluded)  # keeps criteria with 0 as well
        return dict(total)

    def score(
        self, model: Any, indices: Sequence[int], *, portability: bool = True
    ) -> list[Scores]:
        """Score cases with a model as it is now.

        Args:
            indices: of cases that have been prepared.
            portability: whether to ask for it too.
        """
        questions = {index: self._questions[index] for index in indices}
        wanted = {index: found.asked(portability) for index, found in questions.items()}
        answers = self._answers(model, questions, wanted)
        return [
            questions[i].judge(answers[i], self._answers_before[i], portability) for i in indices
        ]

    def _encode(self, texts: Sequence[tuple[str, str]]) -> list[Encoded]:
        whole = encode(self._tokenizer, texts, self._context)
        cut = [Encoded(text.ids[: self._max_length], text.target_start) for text in whole]
        for text, (prompt, _) in zip(cut, texts, strict=True):
            if text.target_start >= len(text.ids):
                raise DataError(
                    f"prompt {prompt!r}: {text.target_start} tokens leave nothing of its "
                    f"target within max_length: {self._max_length}"
                )
        return cut

    def _answers(
        self, model: Any, questions: Mapping[int, Questions], wanted: Mapping[int, list[int]]
    ) -> dict[int, dict[int, Tokens]]:
        """For each case, its texts with their answers."""
        places = [(index, text) for index, texts in wanted.items() for text in texts]
        found = self._predict(model, [questions[index].texts[text] for index, text in places])
        answers: dict[int, dict[int, Tokens]] = {index: {} for index in wanted}
        for (index, text), tokens in zip(places, found, strict=True):
            answers[index][text] = tokens
        return answers

    @torch.no_grad()
    def _predict(self, model: Any, texts: Sequence[Encoded]) -> list[Tokens]:
        """The arg-max at the positions that predict the target tokens of each text."""
        answers: list[Tokens] = [()] * len(texts)
        # Texts of one length side by side: less padding, fewer tokens to compute.
        order = sorted(range(len(texts)), key=lambda place: len(texts[place].ids))
        for start in range(0, len(texts), self._batch_size):
            batch = order[start : start + self._batch_size]
            logits = self._ask(model, [texts[place] for place in batch], self._pad_id)
            found = logits.argmax(-1).tolist()  # [scored positions]
            for place in batch:
                size = len(texts[place].ids) - texts[place].target_start
                answers[place], found = tuple(found[:size]), found[size:]
        return answers
