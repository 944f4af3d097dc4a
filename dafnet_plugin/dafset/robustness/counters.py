"""Counter-samples: the same question with the opposite answer."""

from __future__ import annotations

import functools
import random
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from importlib import resources

import yaml

from dafnet_plugin.errors import DataError

ANTONYM, EXCLUSIVE = "antonym", "exclusive"


@dataclass(frozen=True, slots=True)
class Value:
    """An object of a relation."""

    id: str
    label: str


@dataclass(frozen=True, slots=True)
class Opposite:
    """A value that cannot hold together with another.

    Attributes:
        kind: ``"antonym"`` if it is the opposite of the other by its meaning (left and right),
            ``"exclusive"`` if a subject just has one value of the relation at a time.
    """

    value: Value
    kind: str


def opposite(
    key: str,
    relation: str,
    answer: str,
    values: Sequence[Value],
    *,
    avoid: Collection[str] = (),
    seed: int = 0,
) -> Opposite | None:
    """Choose the value that says the opposite of an answer.

    Args:
        key: of the sample; the same key, seed and values give the same choice.
        relation: ``"P30"``.
        answer: label of the value to be opposed.
        values: of the same relation, none of them true of the subject.
        avoid: labels not to be chosen.

    Returns:
        None if no value is left.
    """
    banned = {label.casefold() for label in (answer, *avoid)}
    fitting = {v.label.casefold(): v for v in values if v.label.casefold() not in banned}
    for label in antonyms(relation, answer):
        if label.casefold() in fitting:
            return Opposite(fitting[label.casefold()], ANTONYM)
    if not fitting:
        return None
    rng = random.Random(f"counter {seed} {key}")
    # Sorted: the order that values were found in must not matter.
    return Opposite(fitting[rng.choice(sorted(fitting))], EXCLUSIVE)


def antonyms(relation: str, label: str) -> list[str]:
    """The opposites of a value by its meaning, the nearest first; none for most values."""
    found = []
    for axis in load_antonyms().get(relation, []):
        names = [name.casefold() for name in axis]
        if label.casefold() in names:
            place = names.index(label.casefold())
            found += [name for index, name in enumerate(axis) if index != place]
    return list(dict.fromkeys(found))


@functools.cache
def load_antonyms() -> Mapping[str, list[list[str]]]:
    """The table ``antonyms.yaml``.

    Raises:
        DataError: an axis has fewer than two values.
    """
    text = resources.files(__package__).joinpath("antonyms.yaml").read_text(encoding="utf-8")
    table: dict[str, list[list[str]]] = yaml.safe_load(text)
    for relation, axes in table.items():
        if any(len(set(axis)) < 2 for axis in axes):
            raise DataError(f"antonyms.yaml: {relation}: an axis needs two values or more")
    return table
