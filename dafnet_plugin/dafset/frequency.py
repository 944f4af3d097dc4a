"""How often entities are mentioned in a text corpus: Aho-Corasick over labels and aliases."""

from __future__ import annotations

import bz2
import gzip
import json
import logging
import unicodedata
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path
from typing import IO, Any

from dafnet_plugin.dafset.extras import require
from dafnet_plugin.errors import DataError
from dafnet_plugin.files import sha256 as file_sha256
from dafnet_plugin.files import write_json

logger = logging.getLogger(__name__)
SUFFIXES = (".txt", ".jsonl")
PACKED = {".gz": gzip.open, ".bz2": bz2.open}
MIN_NAME = 3
"""Characters; shorter names are mostly abbreviations that mean many things."""


@dataclass
class Mentions:
    """Counts names of entities in text.

    A name counts where it stands as a word of its own (no letter or digit beside it), as written
    (upper and lower case differ). Of overlapping names the leftmost, then the longest counts:
    "New York City" is no mention of New York. A name that several entities have counts for each.

    Attributes:
        names: entity id -> its label and aliases.
    """

    names: Mapping[str, Iterable[str]]
    _owners: dict[str, list[str]] = field(init=False, repr=False)
    _automaton: Any = field(init=False, repr=False)

    def __post_init__(self) -> None:
        owners: dict[str, list[str]] = {}
        for entity in sorted(self.names):
            for name in dict.fromkeys(normalise(name) for name in self.names[entity]):
                if len(name) >= MIN_NAME and not name.isdigit():
                    owners.setdefault(name, []).append(entity)
        self._owners = owners
        self._automaton = require("ahocorasick").Automaton()
        for name in owners:
            self._automaton.add_word(name, name)
        self._automaton.make_automaton()

    @property
    def digest(self) -> str:
        """Changes whenever counts would."""
        return sha256(json.dumps(self._owners, sort_keys=True).encode()).hexdigest()

    def count(self, text: str) -> Counter[str]:
        """Mentions by name in a text."""
        found: Counter[str] = Counter()
        if not self._owners:
            return found
        text = normalise(text)
        matches = []
        for last, name in self._automaton.iter(text):
            first = last - len(name) + 1
            if not (_in_word(text, first - 1) or _in_word(text, last + 1)):
                matches.append((first, -len(name), name))
        free = 0
        for first, _, name in sorted(matches):
            if first >= free:
                found[name] += 1
                free = first + len(name)
        return found

    def by_entity(self, by_name: Mapping[str, int]) -> dict[str, int]:
        """Counts of each entity, zeros included."""
        counts = dict.fromkeys(sorted(self.names), 0)
        for name, count in by_name.items():
            for entity in self._owners.get(name, ()):
                counts[entity] += count
        return counts


def count_mentions(mentions: Mentions, files: Sequence[str | Path], work: Path) -> dict[str, int]:
    """Count over whole files, one after another.

    The counts of a file are kept in ``work``: a stopped run goes on with the next file, and a
    file that has not changed is not read again.

    Returns:
        mentions of each entity.

    Raises:
        DataError: a file is missing, truncated, or of another kind; names it.
    """
    total: Counter[str] = Counter()
    for file in map(Path, files):
        if not file.is_file():
            raise DataError(f"{file}: no such file; a text corpus is needed")
        key = sha256(f"{mentions.digest} {file_sha256(file)}".encode()).hexdigest()[:24]
        kept = work / f"mentions-{key}.json"
        if kept.is_file():
            total.update(json.loads(kept.read_text(encoding="utf-8")))
            continue
        counts: Counter[str] = Counter()
        for text in read_texts(file):
            counts.update(mentions.count(text))
        write_json(kept, dict(sorted(counts.items())))
        logger.info("%s: %d mentions of %d names", file, sum(counts.values()), len(counts))
        total.update(counts)
    return mentions.by_entity(total)


def read_texts(file: Path) -> Iterator[str]:
    """Texts of a corpus, in constant memory: lines of ``.txt``, ``"text"`` of ``.jsonl``.

    Either may be packed (``.gz``, ``.bz2``).

    Raises:
        DataError: names file, line, and what is wrong.
    """
    inner = Path(file.stem) if file.suffix in PACKED else file
    if inner.suffix not in SUFFIXES:
        packed = ", ".join(PACKED)
        raise DataError(
            f"{file}: not a text corpus; allowed: {', '.join(SUFFIXES)}, also packed ({packed})"
        )
    number = 0
    try:
        with _open(file) as lines:
            for number, line in enumerate(lines, start=1):
                if line.strip():
                    yield _text_of(line, inner.suffix == ".jsonl", f"{file}: line {number}")
    except (EOFError, OSError, UnicodeDecodeError) as error:
        raise DataError(f"{file}: after line {number}: cannot be read on: {error}") from error


def normalise(text: str) -> str:
    """Composed characters and single spaces, so that the same name is the same text."""
    return " ".join(unicodedata.normalize("NFC", text).split())


def _open(file: Path) -> IO[str]:
    opener: Any = PACKED.get(file.suffix, open)
    stream: IO[str] = opener(file, "rt", encoding="utf-8")
    return stream


def _text_of(line: str, is_json: bool, where: str) -> str:
    if not is_json:
        return line
    try:
        record = json.loads(line)
    except json.JSONDecodeError as error:
        raise DataError(f"{where}, column {error.colno}: not JSON: {error.msg}") from error
    text = record.get("text") if isinstance(record, dict) else None
    if not isinstance(text, str):
        raise DataError(f"{where}: field 'text' is {text!r}; allowed: text")
    return text


def _in_word(text: str, at: int) -> bool:
    return 0 <= at < len(text) and text[at].isalnum()
