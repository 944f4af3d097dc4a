"""Frequency, degree, views and likelihood of a data set's facts, the same way for every set."""

from __future__ import annotations

import math
import tempfile
from bisect import bisect_left, bisect_right
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from dafnet_plugin.dafset.analyse.knowledge import Knowledge
from dafnet_plugin.dafset.analyse.sets import FactSet, fold
from dafnet_plugin.dafset.frequency import Mentions, count_mentions
from dafnet_plugin.errors import NumericalError

Values = Mapping[str, list[float]]
"""By name of the set; facts or subjects of which nothing is known are left out."""


@dataclass(frozen=True)
class Measure:
    """One quantity, for every set that it could be had for.

    Attributes:
        name: ``"frequency"``, ``"degree"``, ``"views"`` or ``"likelihood"``.
        unit: what is counted.
        basis: where the numbers are from.
        values: by set; one for each subject (for likelihood, for each fact).
        asked: by set: how many there could be.
    """

    name: str
    unit: str
    basis: str
    values: Values
    asked: Mapping[str, int]


def measure(
    sets: Sequence[FactSet],
    *,
    knowledge: Knowledge | None = None,
    corpus: str | Path | None = None,
    model: str | None = None,
    device: str = "cpu",
    batch_size: int = 32,
) -> list[Measure]:
    """Everything that is known or can be found out.

    What the samples themselves say (``"recorded"``) is there for the DAFSet alone. With a corpus,
    a graph or a model, the quantity is found anew and in the same way for all sets, by the
    subject's name.

    Raises:
        DataError: the corpus or the graph cannot be read.
        ConfigError: the model cannot be loaded.
        NumericalError: the model gives no finite number for any fact of a set.
    """
    subjects = {one.name: len(one.subjects) for one in sets}
    facts = {one.name: len(one.facts) for one in sets}
    views = _recorded(sets, "views")
    measures = [
        _frequency(sets, corpus, subjects),
        Measure("degree", "statements", *_degree(sets, knowledge), subjects),
        Measure("views", "page views", "recorded in the data set", views, subjects),
        Measure("likelihood", "probability", *_likelihood(sets, model, device, batch_size), facts),
    ]
    return [one for one in measures if any(one.values.values())]


def _recorded(sets: Sequence[FactSet], field: str) -> dict[str, list[float]]:
    return {
        one.name: [
            float(value)
            for fact in one.subjects.values()
            if fact.meta and (value := getattr(fact.meta, field)) is not None
        ]
        for one in sets
    }


def _frequency(
    sets: Sequence[FactSet], corpus: str | Path | None, asked: Mapping[str, int]
) -> Measure:
    unit = "mentions"
    if corpus is None:
        recorded = _recorded(sets, "frequency")
        return Measure("frequency", unit, "recorded in the data set", recorded, asked)
    names = {key: [fact.subject] for one in sets for key, fact in one.subjects.items()}
    with tempfile.TemporaryDirectory() as work:
        counts = count_mentions(Mentions(names), [corpus], Path(work))
    values = {one.name: [float(counts[key]) for key in one.subjects] for one in sets}
    basis = f"mentions of the subject's name in {Path(corpus).name}"
    return Measure("frequency", unit, basis, values, asked)


def _degree(sets: Sequence[FactSet], knowledge: Knowledge | None) -> tuple[str, Values]:
    if knowledge is None:
        return "recorded in the data set", _recorded(sets, "degree")
    known = identities(sets, knowledge)
    found = knowledge.degrees(known.values())
    values = {
        one.name: [float(found[known[key]]) for key in one.subjects if key in known] for one in sets
    }
    return "current statements of the graph from and to the subject", values


def identities(sets: Sequence[FactSet], knowledge: Knowledge) -> dict[str, str]:
    """The graph's id of each subject: recorded, or else of the best connected entity so named."""
    known: dict[str, str] = {}
    unknown: dict[str, str] = {}
    for one in sets:
        for key, fact in one.subjects.items():
            if fact.meta:
                known[key] = fact.meta.subject_id
            else:
                unknown.setdefault(key, fact.subject)
    named = knowledge.ids([name for key, name in unknown.items() if key not in known])
    by_key = {fold(name): entity for name, entity in named.items()}
    return by_key | known


def _likelihood(
    sets: Sequence[FactSet], model: str | None, device: str, batch_size: int
) -> tuple[str, Values]:
    """Probability per token (geometric mean) of the true answers."""
    if model is None:
        recorded = {
            one.name: [
                math.exp(fact.meta.log_likelihood)
                for fact in one.facts
                if fact.meta and fact.meta.log_likelihood is not None
            ]
            for one in sets
        }
        return "recorded in the data set: of the true object over the relation's patterns", recorded
    from dafnet_plugin.dafset.likelihood import load_scorer

    scorer = load_scorer(model, device=device, batch_size=batch_size)
    values: dict[str, list[float]] = {}
    for one in sets:
        known = [fact for fact in one.facts if fact.true]
        scores = scorer.score([(fact.prompt, str(fact.true)) for fact in known]) if known else []
        values[one.name] = [math.exp(score) for score in scores if math.isfinite(score)]
        if known and not values[one.name]:
            raise NumericalError(
                f"model {Path(model).name!r} gives NaN or infinity for each of the {len(known)} "
                f"facts of {one.name}; use another model"
            )
    return f"of the old answer after the edit's prompt, by {Path(model).name}", values


def median(values: Sequence[float]) -> float | None:
    """The middle value; None of nothing."""
    ordered = sorted(values)
    if not ordered:
        return None
    middle = len(ordered) // 2
    return ordered[middle] if len(ordered) % 2 else (ordered[middle - 1] + ordered[middle]) / 2


def curve(values: Sequence[float], *, points: int = 160, rising: bool = False) -> list[list[float]]:
    """The share of values that are at least x (at most x, if ``rising``), as [x, share].

    For logarithmic axes: values of 0 count in the shares but have no point of their own.
    """
    ordered, total = sorted(values), len(values)
    distinct = sorted({value for value in ordered if value > 0})
    step = max(1, len(distinct) / points)
    picked = [distinct[int(index * step)] for index in range(int(len(distinct) / step))]
    picked += distinct[-1:]
    found = []
    for x in dict.fromkeys(picked):
        count = bisect_right(ordered, x) if rising else total - bisect_left(ordered, x)
        found.append([x, count / total])
    return found
