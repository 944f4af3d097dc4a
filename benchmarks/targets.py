"""Final averages that a benchmark sets out to reach; its report says where they are reached."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple


class Target(NamedTuple):
    """A label's final average after so many edits of a data set, on each base model."""

    label: str
    dataset: str
    num_edits: int
    average: float


def targets_of(given: Mapping[str, Any]) -> list[Target]:
    """``{label: {data set: {number of edits: average}}}`` as a list; JSON's numbers are text."""
    return [
        Target(label, dataset, int(edits), average)
        for label, of_label in given.items()
        for dataset, averages in of_label.items()
        for edits, average in averages.items()
    ]


def target_problems(
    given: Mapping[str, Any], labels: Sequence[str], datasets: Sequence[str]
) -> list[str]:
    """What is wrong with targets, a line each."""
    found = []
    for label, of_label in given.items():
        if label not in labels:
            found.append(f"targets: {label!r}; allowed: {', '.join(dict.fromkeys(labels))}")
        if not isinstance(of_label, dict):
            found.append(f"targets.{label}: {of_label!r}; allowed: averages by data set")
            continue
        for dataset, averages in of_label.items():
            where = f"targets.{label}.{dataset}"
            if dataset not in datasets:
                found.append(f"{where}: unknown data set; allowed: {', '.join(datasets)}")
            if not isinstance(averages, dict) or not all(
                type(edits) is int
                and edits > 0
                and type(average) in (int, float)
                and 0 <= average <= 1
                for edits, average in averages.items()
            ):
                found.append(
                    f"{where}: {averages}; allowed: averages from 0 to 1 by number of edits"
                )
    return found
