"""Cases made ready for meta-training: their signals taken once, their probes tokenised once."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from dafnet_plugin.cases import EditCase, Probe
from dafnet_plugin.editing.modules import EditModule
from dafnet_plugin.editing.signals import Signal, capture, concatenate
from dafnet_plugin.errors import DataError
from dafnet_plugin.tokens import Encoded, TokenBatch, collate, context_length, encode, pad_id_of


@dataclass(frozen=True)
class CaseBank:
    """The cases of one data source.

    Attributes:
        name: of the source.
        signals: one a module, an edit a case; they depend on the unedited model only.
        requests: the edit requests, in the same order.
        generality, locality: the probes of each case.
        asked_about: for each locality probe of each case, the cases whose subject it names; when
            one of them is edited too, the probe's old answer need not stay.
        pad_id: token id for padding.
        device: where batches go.
    """

    name: str
    signals: list[Signal]
    requests: list[Encoded]
    generality: list[list[Encoded]]
    locality: list[list[Encoded]]
    asked_about: list[list[frozenset[int]]]
    pad_id: int
    device: torch.device

    def __len__(self) -> int:
        return len(self.requests)

    def select(self, cases: Tensor) -> list[Signal]:
        """Signals of some cases [k], as one sequence of edits."""
        return [signal.select(cases.to(signal.x.device)) for signal in self.signals]

    def untouched(self, cases: Sequence[int], edited: Iterable[int]) -> list[tuple[int, int]]:
        """Locality probes of some cases, without those about the subject of an edited case.

        Returns:
            pairs of case and number of the probe in ``locality[case]``.
        """
        edited = set(edited)
        return [
            (case, number)
            for case in cases
            for number, about in enumerate(self.asked_about[case])
            if about.isdisjoint(edited)
        ]

    def batch(self, texts: Sequence[Encoded]) -> TokenBatch:
        """Texts as one batch on the model's device."""
        return collate(texts, self.pad_id).to(self.device)

    def batches(self, texts: Sequence[Encoded], size: int) -> list[TokenBatch]:
        """Texts in batches of at most ``size``, the longest together to spare padding."""
        ordered = sorted(texts, key=lambda text: len(text.ids))
        return [self.batch(ordered[i : i + size]) for i in range(0, len(ordered), size)]


def build_bank(
    name: str,
    cases: Sequence[EditCase],
    model: nn.Module,
    tokenizer: Any,
    modules: Sequence[EditModule],
    *,
    batch_size: int,
    chat: bool = False,
    progress: Callable[[int], object] = lambda done: None,
) -> CaseBank:
    """Tokenise cases and take their gradient signals.

    Args:
        batch_size: edits per forward pass.
        chat: requests and probes are put into the tokenizer's chat template.
        progress: called with the number of cases done since the last call.

    Raises:
        DataError: no case, or a text that cannot be tokenised or is too long.
    """
    if not cases:
        raise DataError(f"source {name!r} has no case")
    limit = context_length(model)

    def probes(of: Callable[[EditCase], Sequence[Probe]]) -> list[list[Encoded]]:
        pairs = [(p.prompt, p.answer) for c in cases for p in of(c)]
        flat = encode(tokenizer, pairs, limit, chat=chat)
        rest = iter(flat)
        return [[next(rest) for _ in of(case)] for case in cases]

    requests = encode(
        tokenizer,
        [(case.request.prompt, case.request.target_new) for case in cases],
        limit,
        chat=chat,
    )
    pad_id = pad_id_of(tokenizer)
    parts = []
    for start in range(0, len(requests), batch_size):
        some = requests[start : start + batch_size]
        parts.append(capture(model, modules, some, pad_id=pad_id, batch_size=batch_size))
        progress(len(some))
    return CaseBank(
        name=name,
        signals=[concatenate(of_module) for of_module in zip(*parts, strict=True)],
        requests=requests,
        generality=probes(lambda case: case.generality),
        locality=probes(lambda case: case.locality),
        asked_about=_asked_about(cases),
        pad_id=pad_id,
        device=next(model.parameters()).device,
    )


def _asked_about(cases: Sequence[EditCase]) -> list[list[frozenset[int]]]:
    by_subject: dict[str, list[int]] = {}
    for number, case in enumerate(cases):
        if case.request.subject:
            by_subject.setdefault(case.request.subject, []).append(number)
    return [
        [
            frozenset(
                number
                for subject, numbers in by_subject.items()
                if subject in probe.prompt
                for number in numbers
            )
            for probe in case.locality
        ]
        for case in cases
    ]
