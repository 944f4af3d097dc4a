"""Search spaces: what a trial of a method may set, as YAML."""

from __future__ import annotations

import math
import random
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from dafnet_plugin.errors import ConfigError, did_you_mean

SECTIONS = ("editing", "training", "both")
"""Which YAML files of the method a key is of."""

FAMILIES = ("gpt2", "llama")

Settings = dict[str, dict[str, Any]]
"""Section -> key -> value. A dot in a key leads into a mapping."""


@dataclass(frozen=True)
class Range:
    """Numbers from ``low`` to ``high``: ``log`` spreads them evenly over the orders of magnitude,
    ``uniform`` over the numbers, ``integer`` takes whole ones, both ends included."""

    kind: str
    low: float
    high: float

    def draw(self, rng: random.Random) -> Any:
        """A number, rounded to three digits."""
        if self.kind == "integer":
            return rng.randint(int(self.low), int(self.high))
        if self.kind == "log":
            value = math.exp(rng.uniform(math.log(self.low), math.log(self.high)))
        else:
            value = rng.uniform(self.low, self.high)
        return float(f"{value:.3g}")


@dataclass(frozen=True)
class Choice:
    """One of some values."""

    values: tuple[Any, ...]

    def draw(self, rng: random.Random) -> Any:
        """One of them."""
        return rng.choice(self.values)


@dataclass(frozen=True)
class Space:
    """What a trial draws, by section and key."""

    keys: Mapping[str, Mapping[str, Range | Choice]]

    @classmethod
    def read(cls, path: str | Path, family: str) -> Space:
        """Read a space.

        A key has a list of choices, or one of ``{log: [low, high]}``, ``{uniform: ...}``,
        ``{integer: ...}``, or one of these for each family of models.

        Raises:
            ConfigError: names every problem of the file.
        """
        try:
            data = yaml.safe_load(Path(path).read_text(encoding="utf-8"))
        except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
            raise ConfigError(f"{path}: cannot be read: {error}") from error
        problems: list[str] = []
        keys: dict[str, dict[str, Range | Choice]] = {}
        for section, entries in (data if isinstance(data, dict) else {"": data}).items():
            if section not in SECTIONS or not isinstance(entries, dict):
                allowed = f"{', '.join(SECTIONS)}, each with keys"
                problems.append(
                    f"{section}{did_you_mean(str(section), SECTIONS)}; allowed: {allowed}"
                )
                continue
            keys[section] = {}
            for key, value in entries.items():
                try:
                    keys[section][key] = _parse(value, family)
                except ValueError as error:
                    problems.append(f"{section}.{key}: {value!r}; allowed: {error}")
        if problems:
            raise ConfigError(
                f"{path}: {len(problems)} problem(s)\n" + "\n".join(f"  - {p}" for p in problems)
            )
        return cls(keys)

    def draw(self, rng: random.Random) -> Settings:
        """Draw a value for every key."""
        return {
            section: {key: found.draw(rng) for key, found in keys.items()}
            for section, keys in self.keys.items()
        }


def _parse(value: Any, family: str) -> Range | Choice:
    """Raises ValueError with what is allowed."""
    if isinstance(value, dict) and value and set(value) <= set(FAMILIES):
        if family not in value:
            raise ValueError(f"one entry for each family; {family} is missing")
        value = value[family]
    if isinstance(value, list) and value:
        return Choice(tuple(value))
    if isinstance(value, dict) and len(value) == 1:
        kind, bounds = next(iter(value.items()))
        numbers = [n for n in bounds if _is_number(n)] if isinstance(bounds, list) else []
        if kind in ("log", "uniform", "integer") and len(numbers) == len(bounds) == 2:
            low, high = numbers
            if low < high and (kind != "log" or low > 0):
                return Range(kind, low, high)
    raise ValueError(
        "a list of choices, {log: [low, high]}, {uniform: [low, high]} or {integer: [low, high]}, "
        "or one of these for each of " + ", ".join(FAMILIES)
    )


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def applied(values: Mapping[str, Any], settings: Mapping[str, Any], origin: str) -> dict[str, Any]:
    """The values of a YAML file with the settings of a trial.

    Raises:
        ConfigError: the file has no such key; names it.
    """
    result: dict[str, Any] = yaml.safe_load(yaml.safe_dump(dict(values)))
    for dotted, value in settings.items():
        *folders, key = dotted.split(".")
        place = result
        for folder in folders:
            place = place.get(folder, {}) if isinstance(place, dict) else {}
        if not isinstance(place, dict) or key not in place:
            known = [*result, dotted.rpartition(".")[2]]
            raise ConfigError(f"{origin}: it has no {dotted!r}{did_you_mean(dotted, known[:-1])}")
        place[key] = value
    return result
