"""What a model says to a few prompts, in words: before, right after and at the end."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from benchmarks.results import Example
from benchmarks.scoring.asking import Speaker
from dafnet_plugin.cases import EditCase, Probe
from dafnet_plugin.tokens import context_length, pad_id_of

NEW_TOKENS = 8


@dataclass(frozen=True)
class _Prompt:
    position: int  # of the case in the sequence
    kind: str
    probe: Probe
    ids: tuple[int, ...]


class Examples:
    """Asks for continuations while the first edits of a sequence are made, and after the last.

    Of each case the request is asked, and the first probe of each kind and of each criterion.

    Args:
        model: the unedited model.
        cases: of the first edits, in their order.
    """

    def __init__(
        self, model: Any, tokenizer: Any, speaker: Speaker, cases: Sequence[EditCase]
    ) -> None:
        self._tokenizer, self._speaker, self._cases = tokenizer, speaker, cases
        self._pad_id = pad_id_of(tokenizer)
        room = (context_length(model) or 10**9) - NEW_TOKENS
        self._prompts = [
            _Prompt(position, kind, probe, ids)
            for position, case in enumerate(cases)
            for kind, probe in _probes(case)
            if len(ids := tuple(tokenizer([probe.prompt])["input_ids"][0])) <= room
        ]
        self._before = self._continuations(model, self._prompts)
        self._immediate: list[str] = []

    def edited(self, model: Any, position: int) -> None:
        """Ask about the case whose edit has just been made; to be called in their order."""
        prompts = [prompt for prompt in self._prompts if prompt.position == position]
        self._immediate += self._continuations(model, prompts)

    def finished(self, model: Any) -> list[Example]:
        """Ask for the last time, and return all that was said."""
        rows = zip(
            self._prompts,
            self._before,
            self._immediate,
            self._continuations(model, self._prompts),
            strict=True,
        )
        return [
            Example(
                case_id=self._cases[prompt.position].case_id,
                kind=prompt.kind,
                prompt=prompt.probe.prompt,
                wanted=prompt.probe.answer,
                before=before,
                immediate=immediate,
                final=final,
            )
            for prompt, before, immediate, final in rows
        ]

    def _continuations(self, model: Any, prompts: Sequence[_Prompt]) -> list[str]:
        if not prompts:
            return []
        ids = [prompt.ids for prompt in prompts]
        found = self._speaker.greedy(model, ids, NEW_TOKENS, self._pad_id)
        texts: list[str] = self._tokenizer.batch_decode(found, skip_special_tokens=True)
        return [text.strip() for text in texts]


def _probes(case: EditCase) -> list[tuple[str, Probe]]:
    found = [("reliability", Probe(case.request.prompt, case.request.target_new))]
    found += [("generality", probe) for probe in case.generality[:1]]
    found += [("locality", probe) for probe in case.locality[:1]]
    for criterion in dict.fromkeys([*case.portability, *case.tests]):
        tests = [query.probe() for test in case.tests.get(criterion, ()) for query in test.queries]
        found += [(criterion, probe) for probe in (*case.portability.get(criterion, ()), *tests)][
            :1
        ]
    return found
