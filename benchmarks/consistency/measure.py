"""Factual consistency of a model before and after a sequence of edits."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, TypeVar

from benchmarks.consistency.config import ConsistencyConfig
from benchmarks.consistency.generation import Continuations, Writer
from benchmarks.consistency.likelihood import Preference, Preferences
from benchmarks.scoring import mean
from dafnet_plugin.cases import EditCase
from dafnet_plugin.data.consistency import SWAPS, ConsistencyPair
from dafnet_plugin.errors import DataError

T = TypeVar("T")


class Consistency:
    """Compares edited models with the unedited one.

    Args:
        model: the unedited model.
        pairs: on the facts of the cases, and on untouched ones.
        cases: of which sequences are edited.
        seed: of what is sampled.

    Raises:
        DataError: a pair does not fit the model's context.
    """

    def __init__(
        self,
        model: Any,
        tokenizer: Any,
        writer: Writer,
        pairs: Sequence[ConsistencyPair],
        cases: Sequence[EditCase],
        settings: ConsistencyConfig,
        *,
        seed: int = 0,
    ) -> None:
        self._pairs, self._cases, self._settings = pairs, cases, settings
        self._preferences = Preferences(model, tokenizer, writer, pairs)
        self._continuations = Continuations(
            model,
            tokenizer,
            writer,
            new_tokens=settings.new_tokens,
            temperature=settings.temperature,
            seed=seed,
        )
        self._of_case: dict[str, list[int]] = {}
        for index, pair in enumerate(pairs):
            if pair.case_id is not None:
                self._of_case.setdefault(pair.case_id, []).append(index)
        self._untouched = [index for index, pair in enumerate(pairs) if not pair.edited]
        self._preferred: dict[int, Preference] = {}  # by the unedited model
        self._named: dict[int, dict[str, list[bool]]] = {}

    def prepare(self, model: Any, sequence: Sequence[int]) -> None:
        """Ask the *unedited* model about a sequence of cases what it has not been asked yet.

        Raises:
            DataError: a case has no pair.
        """
        pairs = [i for i in self._asked(sequence) if i not in self._preferred]
        self._preferred |= dict(zip(pairs, self._preferences.of(model, pairs), strict=True))
        new = [i for i in self._written(sequence) if i not in self._named]
        self._named |= self._write(model, new)

    def compare(self, model: Any, sequence: Sequence[int]) -> dict[str, Any]:
        """The fields of :class:`benchmarks.results.Result` that a model has here.

        Args:
            model: after the edits of a sequence of cases that has been prepared.
        """
        pairs, written = self._asked(sequence), self._written(sequence)
        after = dict(zip(pairs, self._preferences.of(model, pairs), strict=True))
        both = {"before": self._preferred, "after": after}
        edited = [index for index in pairs if self._pairs[index].edited]
        rest = [index for index in pairs if not self._pairs[index].edited]
        fields: dict[str, Any] = {}
        for when, found in both.items():
            for name, some in (("edited", edited), ("untouched", rest)):
                shares = _shares(found, some)
                fields[f"consistency_{name}_{when}"] = shares["likelihood"]
                fields[f"consistency_pmi_{name}_{when}"] = shares["pmi"]
        for when, said in (("before", self._named), ("after", self._write(model, written))):
            for kind in ("greedy", "sampled"):
                named = (value for index in written for value in said[index][kind])
                fields[f"agreement_{kind}_{when}"] = mean(map(float, named))
        return fields | {"consistency_swaps": self._swaps(edited, both)}

    def _swaps(
        self, edited: Sequence[int], found: Mapping[str, Mapping[int, Preference]]
    ) -> dict[str, dict[str, float | None]]:
        """The shares of edited facts by what the contradiction exchanges."""
        rows: dict[str, dict[str, float | None]] = {}
        for swap in SWAPS:
            some = [index for index in edited if self._pairs[index].swap == swap]
            if not some:
                continue
            rows[swap] = {"pairs": len(some)}
            for when, preferred in found.items():
                shares = _shares(preferred, some)
                rows[swap] |= {when: shares["likelihood"], f"pmi_{when}": shares["pmi"]}
        return rows

    def _asked(self, sequence: Sequence[int]) -> list[int]:
        """Pairs on some of the facts that a sequence edits, and on untouched ones."""
        cases = [self._cases[index] for index in spread(sequence, self._settings.facts)]
        for case in cases:
            if case.case_id not in self._of_case:
                raise DataError(f"case {case.case_id}: there is no consistency pair on its fact")
        return [i for case in cases for i in self._of_case[case.case_id]] + self._untouched

    def _written(self, sequence: Sequence[int]) -> list[int]:
        return spread(sequence, self._settings.generated)

    def _write(self, model: Any, indices: Sequence[int]) -> dict[int, dict[str, list[bool]]]:
        """By case, whether continuations name its new object."""
        named = self._continuations.named(model, [self._cases[index] for index in indices])
        each = {kind: len(values) // len(indices) for kind, values in named.items() if indices}
        return {
            index: {k: v[n * each[k] : (n + 1) * each[k]] for k, v in named.items()}
            for n, index in enumerate(indices)
        }


def spread(items: Sequence[T], most: int) -> list[T]:
    """So many of some things, at most, at even distances from the first to the last."""
    if len(items) <= most:
        return list(items)
    if most < 2:
        return list(items[-1:] if most else ())
    return [items[round(n * (len(items) - 1) / (most - 1))] for n in range(most)]


def _shares(found: Mapping[int, Preference], indices: Iterable[int]) -> dict[str, float | None]:
    """In which share of some pairs the consistent summary is preferred, by either score."""
    some = [found[index] for index in indices]
    return {
        "likelihood": mean(float(one.likelihood) for one in some),
        "pmi": mean(float(one.pmi) for one in some),
    }
