"""Reliability, generality and locality after sequences of edits, all of them scored at the end."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from dafnet_plugin.editing.modules import EditModule, evaluation_mode, swapped_weights
from dafnet_plugin.editing.scoring import scored_labels, scored_logits
from dafnet_plugin.tokens import Encoded
from dafnet_plugin.training.bank import CaseBank


@dataclass(frozen=True)
class Scores:
    """Shares of target tokens, 0 to 1, averaged over probes as EasyEdit does."""

    reliability: float
    generality: float
    locality: float

    @property
    def average(self) -> float:
        """Mean of the three."""
        return (self.reliability + self.generality + self.locality) / 3


class SequentialValidation:
    """Scores a DAFNet on sequences of edits of a bank's cases.

    The unedited model's predictions on the locality probes are taken once. All edits of a
    sequence are made in one call, which for a consistent fusion equals one by one.

    Args:
        lengths: sequence lengths in edits; those longer than the bank are cut to it.
        max_cases: cases used at most for the shorter lengths, in disjoint sequences.
        probe_batch: probes per forward pass.
    """

    def __init__(
        self,
        model: nn.Module,
        modules: Sequence[EditModule],
        bank: CaseBank,
        lengths: Sequence[int],
        max_cases: int,
        probe_batch: int = 256,
    ) -> None:
        self.model, self.modules, self.bank = model, modules, bank
        self.lengths = sorted({min(length, len(bank)) for length in lengths})
        self.max_cases, self.probe_batch = max_cases, probe_batch
        with evaluation_mode(model):
            self._before = [self._predictions(texts) for texts in bank.locality]

    @torch.no_grad()
    def run(self, dafnet: nn.Module) -> dict[int, Scores]:
        """Return the scores for each sequence length."""
        was_training = dafnet.training
        dafnet.eval()
        try:
            with evaluation_mode(self.model):
                return {length: self._run_length(dafnet, length) for length in self.lengths}
        finally:
            dafnet.train(was_training)

    def _run_length(self, dafnet: nn.Module, length: int) -> Scores:
        sequences = max(1, min(len(self.bank), self.max_cases) // length)
        scores: list[list[float]] = [[], [], []]
        for number in range(sequences):
            cases = list(range(number * length, (number + 1) * length))
            with self._edited(dafnet, cases):
                for values, more in zip(scores, self._score(cases), strict=True):
                    values += more
        return Scores(*(sum(values) / max(len(values), 1) for values in scores))

    def _edited(self, dafnet: nn.Module, cases: list[int]):  # type: ignore[no-untyped-def]
        state = dafnet(self.bank.select(torch.tensor(cases)))
        parameters, values = [], []
        for edit_module, update in zip(self.modules, state.updates, strict=True):
            for parameter, change in (
                (edit_module.weight, edit_module.stored(update.weight)),
                (edit_module.bias, update.bias),
            ):
                if parameter is not None and change is not None:
                    parameters.append(parameter)
                    values.append((parameter.detach() + change).to(parameter.dtype))
        return swapped_weights(parameters, values)

    def _score(self, cases: list[int]) -> tuple[list[float], list[float], list[float]]:
        requests = [self.bank.requests[case] for case in cases]
        generality = [text for case in cases for text in self.bank.generality[case]]
        # Probes about a subject that is edited in the same sequence need not stay.
        kept = self.bank.untouched(cases, cases)
        before = [self._before[case][number] for case, number in kept]
        after = self._predictions([self.bank.locality[case][number] for case, number in kept])
        return (
            self._hits(requests),
            self._hits(generality),
            [(a == b).float().mean().item() for a, b in zip(after, before, strict=True)],
        )

    def _hits(self, texts: Sequence[Encoded]) -> list[float]:
        predictions = self._predictions(texts)
        return [
            (p == torch.tensor(text.ids[text.target_start :])).float().mean().item()
            for p, text in zip(predictions, texts, strict=True)
        ]

    @torch.no_grad()
    def _predictions(self, texts: Sequence[Encoded]) -> list[Tensor]:
        """Arg-max tokens over each text's target, on the CPU."""
        predictions: list[Tensor] = []
        for start in range(0, len(texts), self.probe_batch):
            some = texts[start : start + self.probe_batch]
            batch = self.bank.batch(some)
            tokens = scored_logits(self.model, batch).argmax(-1).cpu()
            assert len(tokens) == len(scored_labels(batch))
            predictions += tokens.split([len(t.ids) - t.target_start for t in some])
        return predictions
