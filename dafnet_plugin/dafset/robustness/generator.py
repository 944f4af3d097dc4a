"""Contexts written by a language model."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from dafnet_plugin.dafset.robustness.context import BUCKETS, DISTRACTING, RELATED, Cell, Subject
from dafnet_plugin.dafset.robustness.corpus import split_sentences
from dafnet_plugin.errors import ModelError, NumericalError

TOPICS = ("the weather", "a train ride", "cooking", "a garden", "a walk in the rain", "a kitchen")
"""What unrelated contexts are about."""

Asked = tuple[Subject, Cell]


class GeneratedSource:
    """Candidates from any causal language model of ``transformers``, batched and seeded.

    What it writes is only taken if it passes the checks that all contexts pass; a model that
    cannot do it leaves the work to the other sources.

    Args:
        model: folder or name of the model, and of its tokenizer.
        device: ``"cpu"``, ``"cuda"``, ``"mps"``.
        batch_size: texts generated at once.
        per_cell: texts generated for each context wanted.
        max_new_tokens: of each.
        seed: the same seed, requests and batch size give the same texts on the same machine.

    Raises:
        ModelError: the model cannot be loaded.
    """

    name = "generated"

    def __init__(
        self,
        model: str,
        *,
        device: str = "cpu",
        batch_size: int = 32,
        per_cell: int = 2,
        max_new_tokens: int = 60,
        seed: int = 0,
    ) -> None:
        from transformers import AutoModelForCausalLM, AutoTokenizer

        try:
            self.tokenizer: Any = AutoTokenizer.from_pretrained(model, padding_side="left")
            self.model: Any = AutoModelForCausalLM.from_pretrained(model).to(device).eval()
        except (OSError, ValueError) as error:
            raise ModelError(f"contexts: model {model!r} cannot be loaded: {error}") from error
        if self.tokenizer.pad_token_id is None:
            self.tokenizer.pad_token = self.tokenizer.eos_token
        self.origin, self.device = model, device
        self.batch_size, self.per_cell, self.seed = batch_size, per_cell, seed
        self.max_new_tokens = max_new_tokens
        self._written: dict[tuple[str, Cell], list[str]] = {}

    def prepare(
        self, asked: Sequence[Asked], progress: Callable[[int], object] = lambda done: None
    ) -> None:
        """Write texts for many contexts in batches, which takes far less time than one by one.

        Args:
            progress: called with the number of contexts done since the last call.

        Raises:
            NumericalError: the model yields NaN or infinity; names it and the text it read.
        """
        todo = [one for one in asked if self._key(one) not in self._written and _can(one)]
        for start in range(0, len(todo), self.batch_size):
            some = todo[start : start + self.batch_size]
            for one, texts in zip(some, self._write(some, start), strict=True):
                self._written[self._key(one)] = texts
            progress(len(some))

    def candidates(self, subject: Subject, cell: Cell, rng: random.Random) -> Iterator[str]:
        """What was written for this context; it is written now if :meth:`prepare` has not."""
        self.prepare([(subject, cell)])
        yield from self._written.get(self._key((subject, cell)), [])

    def _write(self, asked: Sequence[Asked], number: int) -> list[list[str]]:
        import torch
        from transformers import LogitsProcessorList

        prompts = [prompt_for(*one, seed=self.seed) for one in asked]
        batch = self.tokenizer(prompts, return_tensors="pt", padding=True).to(self.device)

        def check(_: torch.Tensor, scores: torch.Tensor) -> torch.Tensor:
            bad = torch.isnan(scores).any(-1).nonzero().flatten().tolist()
            if bad:
                raise NumericalError(
                    f"contexts: model {self.origin!r} yields NaN after "
                    f"{prompts[bad[0] // self.per_cell]!r}; nothing was written for this batch"
                )
            return scores

        cuda = [self.device] if self.device.startswith("cuda") else []
        with torch.random.fork_rng(devices=cuda), torch.inference_mode():
            torch.manual_seed(self.seed * 1_000_003 + number)
            output = self.model.generate(
                **batch,
                do_sample=True,
                top_p=0.95,
                max_new_tokens=self.max_new_tokens,
                num_return_sequences=self.per_cell,
                pad_token_id=self.tokenizer.pad_token_id,
                logits_processor=LogitsProcessorList([check]),
            )
        read = batch["input_ids"].shape[1]
        texts = self.tokenizer.batch_decode(output[:, read:], skip_special_tokens=True)
        sentences = [next(split_sentences([text.split("\n")[0]]), "") for text in texts]
        size = self.per_cell
        return [sentences[row * size : (row + 1) * size] for row in range(len(asked))]

    @staticmethod
    def _key(asked: Asked) -> tuple[str, Cell]:
        return asked[0].key, asked[1]


def prompt_for(subject: Subject, cell: Cell, *, seed: int = 0) -> str:
    """What a model is given to go on from."""
    least, most = BUCKETS[cell.length]
    topic = random.Random(f"{seed} {subject.key} {cell}").choice(TOPICS)
    about = subject.name if cell.content == RELATED else topic
    return f"A {cell.sentiment} sentence about {about}, of {least} to {most} words:"


def _can(asked: Asked) -> bool:
    """Whether a model may write it: facts about others would have to be true."""
    return asked[1].content != DISTRACTING
