"""KGTK files: an edge a line, tab-separated, with columns ``node1``, ``label``, ``node2``.

Labels, claims and qualifiers of an entity are far apart, often in different files. The edges
are therefore put into a DuckDB database in a temporary folder, which sorts and joins them in
bounded memory.
"""

from __future__ import annotations

import itertools
import re
import tempfile
import urllib.parse
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from dafnet_plugin.dafset.extras import require
from dafnet_plugin.dafset.graph import (
    DEPRECATED,
    END,
    NORMAL,
    RANKS,
    START,
    Claim,
    Drops,
    Entity,
    Reason,
    Statement,
    clean,
    is_item,
    is_property,
    iso_date,
    judge,
)
from dafnet_plugin.dafset.sources import Chunk, EntityChunk
from dafnet_plugin.dafset.sources.files import file_provenance, open_stream
from dafnet_plugin.dafset.sources.options import FALLBACK, ReadOptions
from dafnet_plugin.errors import DataError

CHUNK_ENTITIES = 20_000
MEMORY = "400MB"
_BATCH = 100_000
_COLUMNS = ("node1", "label", "node2")
_TEXT = re.compile(r"""'(?P<text>(?:[^'\\]|\\.)*)'@(?P<language>[a-zA-Z-]+)|"(?P<bare>.*)\"""")
_DATE = re.compile(r"\^([^/]+)(?:/(\d+))?")
_ESCAPE = re.compile(r"\\(.)")
_PAGE = re.compile(r"https?://(?P<wiki>[a-z-]+)\.wikipedia\.org/wiki/(?P<title>.+)")


class _Edge(NamedTuple):
    """A row of the database; ``part`` says which of the others mean something."""

    part: str  # "label", "alias", "description", "page", "claim" or "time"
    node: str
    relation: str
    value: str | None
    rank: str
    edge: str | None


@dataclass(frozen=True)
class KgtkSource:
    """KGTK files that belong together: claims, labels, aliases, descriptions, qualifiers.

    A claim may have a column ``rank``; qualifiers are edges whose ``node1`` is the ``id`` of a
    claim.
    """

    paths: Sequence[str | Path]

    @property
    def name(self) -> str:
        """The first path."""
        return f"{self.paths[0]}" + (" and others" if len(self.paths) > 1 else "")

    def provenance(self) -> dict[str, Any]:
        """The files."""
        return {"kind": "kgtk", "files": [file_provenance(path) for path in self.paths]}

    def chunks(self, options: ReadOptions, done: Collection[int] = ()) -> Iterator[Chunk]:
        """Entities by number, twenty thousand a chunk.

        Raises:
            DataError: a file cannot be read, or has not the columns of KGTK.
        """
        drops = Drops()
        with (
            tempfile.TemporaryDirectory(prefix="dafset-kgtk-") as folder,
            require("duckdb").connect(f"{folder}/edges.duckdb") as database,
        ):
            database.execute(f"SET memory_limit='{MEMORY}'")
            self._load(database, options, drops)
            entities = _entities(_sorted(database), options, drops)
            for number in itertools.count():
                read = tuple(itertools.islice(entities, CHUNK_ENTITIES))
                if (read or drops) and number not in done:
                    yield EntityChunk(number, read, dict(drops))
                drops.clear()
                if len(read) < CHUNK_ENTITIES:
                    break

    def _load(self, database: Any, options: ReadOptions, drops: Drops) -> None:
        arrow = require("pyarrow")
        database.execute(
            "CREATE TABLE edges (part VARCHAR, node VARCHAR, relation VARCHAR, value VARCHAR, "
            "rank VARCHAR, edge VARCHAR, line BIGINT)"
        )
        line = 0
        edges = itertools.chain.from_iterable(_read(path, options, drops) for path in self.paths)
        while batch := list(itertools.islice(edges, _BATCH)):
            columns = [arrow.array(column, arrow.string()) for column in zip(*batch)]
            lines = arrow.array(range(line, line + len(batch)), arrow.int64())
            line += len(batch)
            rows = arrow.table([*columns, lines], names=[*_Edge._fields, "line"])
            database.register("rows", rows)
            database.execute("INSERT INTO edges SELECT * FROM rows")
            database.unregister("rows")


def _read(path: str | Path, options: ReadOptions, drops: Drops) -> Iterator[_Edge]:
    """The edges of a file that mean something here."""
    with open_stream(path) as file:
        header = file.readline().decode("utf-8", "replace").rstrip("\r\n").split("\t")
        missing = [name for name in _COLUMNS if name not in header]
        if missing:
            raise DataError(
                f"{path}: no column {', '.join(map(repr, missing))} among {header[:8]!r}; "
                f"a KGTK file has the columns {', '.join(_COLUMNS)}"
            )
        places = [header.index(name) for name in _COLUMNS]
        rank, edge = (header.index(name) if name in header else None for name in ("rank", "id"))
        for line in file:
            try:
                fields = line.decode().rstrip("\r\n").split("\t")
                node, label, value = (fields[place] for place in places)
                found = _edge(node, label, value, options, drops)
                if found is not None:
                    yield _Edge(
                        *found,
                        fields[rank] or NORMAL if rank is not None else NORMAL,
                        fields[edge] or None if edge is not None else None,
                    )
            except (IndexError, UnicodeDecodeError):
                drops[Reason.BROKEN] += 1


def _edge(
    node: str, label: str, value: str, options: ReadOptions, drops: Drops
) -> tuple[str, str, str, str | None] | None:
    """Part, node, relation and value; None when the edge is dropped."""
    if not is_item(node):
        if label in (START, END) and not is_property(node):
            return "time", node, label, value
        drops[Reason.NO_ITEM_ENTITY] += 1
    elif is_property(label):
        if options.relations is None or label in options.relations:
            return "claim", node, label, value
    elif label in ("label", "alias", "description"):
        text = _text(value, options.language)
        return (label, node, "", text) if text else None
    elif label == "wikipedia_sitelink":
        match = _PAGE.fullmatch(value.strip('"'))
        if match and match["wiki"] == options.language:
            return "page", node, "", urllib.parse.unquote(match["title"]).replace("_", " ")
    else:
        drops[Reason.OTHER_EDGE] += 1
    return None


def _text(value: str, language: str) -> str | None:
    """``'Paris'@en`` and ``"Paris"`` without their marks; None in another language."""
    match = _TEXT.fullmatch(value)
    if match is None or match["language"] not in (None, language, FALLBACK):
        return None
    text = match["text"] if match["text"] is not None else match["bare"]
    return clean(_ESCAPE.sub(lambda found: {"t": "\t", "n": "\n"}.get(found[1], found[1]), text))


def _sorted(database: Any) -> Iterator[tuple[Any, ...]]:
    """Rows of part, node, relation, value, rank, start, end; those of an entity together."""
    result = database.execute(f"""
        WITH times AS (
            SELECT node, max(CASE relation WHEN '{START}' THEN value END) AS started,
                   max(CASE relation WHEN '{END}' THEN value END) AS ended
            FROM edges WHERE part = 'time' GROUP BY node
        )
        SELECT part, edges.node, relation, value, rank, started, ended
        FROM edges LEFT JOIN times ON edges.edge = times.node AND part = 'claim'
        WHERE part <> 'time'
        ORDER BY TRY_CAST(substr(edges.node, 2) AS HUGEINT), line
    """)
    while rows := result.fetchmany(10_000):
        yield from rows


def _entities(
    rows: Iterable[tuple[Any, ...]], options: ReadOptions, drops: Drops
) -> Iterator[Entity]:
    for node, edges in itertools.groupby(rows, key=lambda row: row[1]):
        texts: dict[str, dict[str, None]] = {}
        claims: dict[str, list[Claim]] = {}
        for part, _, relation, value, rank, start, end in edges:
            if part == "claim":
                claims.setdefault(relation, []).append(_claim(value, rank, start, end, drops))
            else:
                texts.setdefault(part, {})[value] = None
        statements: list[Statement] = []
        for relation, members in claims.items():
            statements += judge(relation, members, drops, options.as_of)
        label, description, page = (
            next(iter(texts.get(part, ())), None) for part in ("label", "description", "page")
        )
        if label is None:
            drops[Reason.NO_LABEL] += 1
        aliases = tuple(name for name in texts.get("alias", ()) if name != label)
        yield Entity(node, label, description, aliases, page, None, tuple(statements))


def _claim(value: str, rank: str, start: str | None, end: str | None, drops: Drops) -> Claim:
    if rank not in RANKS:
        drops[Reason.MALFORMED_STATEMENT] += 1
        return Claim(None, NORMAL)
    if is_item(value):
        ended = end is not None and end != "novalue"
        return Claim(value, rank, _date(start, drops), _date(end, drops), ended)
    known = value if value in (Reason.SOMEVALUE, Reason.NOVALUE) else Reason.NOT_AN_ITEM
    drops[Reason.DEPRECATED if rank == DEPRECATED else known] += 1
    return Claim(None, rank)


def _date(value: str | None, drops: Drops) -> str | None:
    """``^1991-11-25T00:00:00Z/11`` as an ISO date."""
    if value in (None, Reason.SOMEVALUE, Reason.NOVALUE):
        return None
    match = _DATE.fullmatch(value or "")
    day = iso_date(match[1], int(match[2] or 11)) if match else None
    if day is None:
        drops[Reason.BAD_TIME] += 1
    return day
