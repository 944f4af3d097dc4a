"""Triples with labels, a JSON object a line: the files of ParaRel and of LAMA's T-REx.

``{"sub_label": "Ada", "obj_label": "London"}``, and where they are known ``sub_uri``,
``obj_uri`` (items of Wikidata) and ``predicate_id``; without it, the relation is the name of the
file, ``P19.jsonl``. ParaRel leaves the items out. What has none gets an id made of its label, of a
range that Wikidata has not reached: namesakes then are one entity.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dafnet_plugin.dafset.graph import (
    Drops,
    Entity,
    Reason,
    Statement,
    clean,
    is_item,
    is_property,
)
from dafnet_plugin.dafset.sources import Chunk, in_chunks, name_of
from dafnet_plugin.dafset.sources.files import file_provenance, open_stream
from dafnet_plugin.dafset.sources.options import ReadOptions
from dafnet_plugin.errors import DataError

KIND = "triples"
FIRST_MADE = 10**15
"""The number of an id made of a label is at least this."""


@dataclass(frozen=True)
class TripleSource:
    """Files of triples that belong together. They are read into memory: they are small."""

    paths: Sequence[str | Path]

    @property
    def name(self) -> str:
        """The first path."""
        return name_of(self.paths)

    def provenance(self) -> dict[str, Any]:
        """The files."""
        return {"kind": KIND, "files": [file_provenance(path) for path in self.paths]}

    def chunks(self, options: ReadOptions, done: Collection[int] = ()) -> Iterator[Chunk]:
        """Entities by number, twenty thousand a chunk; what was dropped is with the first.

        Raises:
            DataError: a file cannot be read, or neither it nor its name says the relation.
        """
        drops = Drops()
        labels: dict[str, str] = {}
        statements: dict[str, dict[Statement, None]] = {}
        for path in self.paths:
            for subject, relation, target in _read(path, drops):
                labels.update((subject, target))
                if options.relations is None or relation in options.relations:
                    known = statements.setdefault(subject[0], {})
                    known[Statement(relation, target[0])] = None
        entities = (
            Entity(name, labels[name], statements=tuple(statements.get(name, ())))
            for name in sorted(labels, key=lambda name: int(name[1:]))
        )
        yield from in_chunks(entities, drops, done)


def made_id(label: str) -> str:
    """The id of something of which only the label is known."""
    digest = hashlib.sha256(label.encode()).hexdigest()
    return f"Q{FIRST_MADE + int(digest[:12], 16)}"


_Named = tuple[str, str]  # id and label


def _read(path: str | Path, drops: Drops) -> Iterator[tuple[_Named, str, _Named]]:
    """Subject, relation and object of the lines that have them."""
    of_file = Path(path).name.split(".")[0]
    with open_stream(path) as file:
        for line in file:
            if not line.strip():
                continue
            try:
                record = json.loads(line)
            except ValueError:
                drops[Reason.BROKEN] += 1
                continue
            subject, target = (_named(record, end) for end in ("sub", "obj"))
            if subject is None or target is None:
                drops[Reason.MALFORMED_STATEMENT] += 1
                continue
            relation = record.get("predicate_id", of_file)
            if not isinstance(relation, str) or not is_property(relation):
                raise DataError(
                    f"{path}: relation {relation!r}; allowed: a property in 'predicate_id' of "
                    "each line, or as the name of the file, such as P19.jsonl"
                )
            yield subject, relation, target


def _named(record: Any, end: str) -> _Named | None:
    if not isinstance(record, dict):
        return None
    label, item = record.get(f"{end}_label"), record.get(f"{end}_uri")
    text = clean(label) if isinstance(label, str) else None
    if text is None:
        return None
    return (item if isinstance(item, str) and is_item(item) else made_id(text)), text
