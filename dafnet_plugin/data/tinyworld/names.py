"""Invented names: every entity of a world has one that no other has."""

from __future__ import annotations

import random
from collections.abc import Callable
from importlib import resources
from typing import Any

import yaml

from dafnet_plugin.errors import ConfigError


class Namer:
    """Hands out names, each once."""

    def __init__(self, rng: random.Random) -> None:
        text = resources.files(__package__).joinpath("words.yaml").read_text(encoding="utf-8")
        self._words: dict[str, Any] = yaml.safe_load(text)
        self._rng = rng
        self._invented: set[str] = set()
        self._used: set[str] = set()
        self._left: dict[str, list[str]] = {}

    def name(self, kind: str) -> str:
        """A name for an entity of this type."""
        return self._fresh(lambda: self._draw(kind))

    def alias(self, kind: str) -> str:
        """A second name, made of an invented word."""
        endings = self._words["alias_endings"]
        return self._fresh(
            lambda: self._word() + endings.get(kind, self._words["other_alias_ending"])
        )

    def _fresh(self, draw: Callable[[], str]) -> str:
        for _ in range(10_000):
            name = draw()
            if name not in self._used:
                self._used.add(name)
                return name
        raise ConfigError("tiny world: it is too large for the names there are; lower its scale")

    def _draw(self, kind: str) -> str:
        if kind == "person":
            return f"{self._one('given')} {self._word()}"
        if kind == "work":
            noun = self._one("nouns") if self._titles_are_left() else self._word()
            return f"The {self._one('adjectives')} {noun}"
        if kind == "company":
            return f"{self._word()} {self._one('firms')}"
        if kind == "university":
            return f"{self._word()} {self._one('schools')}"
        if kind == "club":
            return f"{self._take('animals')} {self._one('societies')}"
        if kind in self._words:
            return self._take(kind)
        return self._word() + self._words["endings"].get(kind, "")

    def _titles_are_left(self) -> bool:
        """Whether titles of two plain words are not nearly used up, as in large worlds."""
        titles = len(self._words["adjectives"]) * len(self._words["nouns"])
        return sum(name.startswith("The ") for name in self._used) < 0.9 * titles

    def _one(self, words: str) -> str:
        return str(self._rng.choice(self._words[words]))

    def _word(self) -> str:
        """An invented word that no other name has, so that no name is part of another."""
        while True:
            syllables = self._one("onsets") + self._one("vowels")
            syllables += self._one("onsets") + self._one("vowels")
            word = (syllables + self._one("codas")).capitalize()
            if word not in self._invented:
                self._invented.add(word)
                return word

    def _take(self, words: str) -> str:
        """The next word of a list in random order; an invented one when none is left."""
        if words not in self._left:
            self._left[words] = self._rng.sample(self._words[words], len(self._words[words]))
        left = self._left[words]
        return left.pop() if left else self._word()
