"""The last step of an ingest: chunks become the store.

What can only be seen when everything was read is done here: an entity that several sources
have is kept once, and statements point to what their object is called now.
"""

from __future__ import annotations

import tempfile
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple, Protocol

from dafnet_plugin.dafset.extras import missing, require
from dafnet_plugin.dafset.graph import Drops, Reason
from dafnet_plugin.dafset.store import (
    ENTITIES,
    ENTITY_ROWS,
    FORMAT,
    INFO,
    STATEMENT_ROWS,
    STATEMENTS,
    write_table,
)
from dafnet_plugin.errors import DataError
from dafnet_plugin.files import read_json, write_json

try:
    import pyarrow as pa
    import pyarrow.compute as pc
    import pyarrow.parquet as pq
except ImportError as error:
    raise missing("pyarrow", error=error) from error

MEMORY = "400MB"
COUNTS = ("entities", "statements", "current", "redirected_objects")


class Run(Protocol):
    """Calls a function with each of some arguments, as :func:`map` does; perhaps in processes."""

    def __call__(
        self, function: Callable[[Any], Any], arguments: Iterable[Any], /
    ) -> Iterable[Any]:
        """The results, in order."""
        ...


class _Part(NamedTuple):
    """A finished chunk."""

    order: int
    entities: Path
    statements: Path
    note: Mapping[str, Any]


class _Piece(NamedTuple):
    """Rows of a finished chunk's file, counted without those that are left out."""

    path: Path
    left_out: Collection[str]
    start: int
    stop: int


class _File(NamedTuple):
    """A file of the store, and what it is made of."""

    path: Path
    pieces: Sequence[_Piece]
    redirects: Mapping[str, str]


def finish(store: Path, chunks: Path, plan: Mapping[str, Any], run: Run = map) -> None:
    """Join finished chunks into a store, a file at a time; ``store.json`` is written last.

    Args:
        store: the folder.
        chunks: the folder with a folder of chunks for each source.
        plan: for ``store.json``.
        run: joins the files of the store, which are independent of each other.

    Raises:
        DataError: the chunks hold no entities at all.
    """
    parts = list(_parts(chunks))
    drops = Drops()
    for part in parts:
        drops.merge(part.note["drops"].items())
    if not any(part.note["entities"] for part in parts):
        raise DataError(f"{store}: no entities in the input; dropped: {drops.as_dict()}")
    redirects = _redirects(parts)
    losers = _losers(chunks, parts)
    left_out = [frozenset(losers.get(part.order, ())) | redirects.keys() for part in parts]
    drops[Reason.DUPLICATE] += sum(map(len, losers.values()))
    if redirects:
        gone = pa.array(redirects, pa.string())
        for part in parts:
            drops[Reason.REDIRECTED] += _among(_column(part.entities, "id"), gone)
    files = [
        *_files(store / "entities", [p.entities for p in parts], left_out, redirects, ENTITY_ROWS),
        *_files(
            store / "statements", [p.statements for p in parts], left_out, redirects, STATEMENT_ROWS
        ),
    ]
    written: Counter[str] = sum(run(_write, files), Counter())
    write_json(store / "redirects.json", redirects)
    days = [source["dump_date"] for source in plan["sources"] if source.get("dump_date")]
    info = {
        "format": FORMAT,
        "complete": True,
        "dump_date": max(days, default=None),
        "counts": {name: written[name] for name in COUNTS},
        "drops": drops.as_dict(),
        "plan": plan,
    }
    write_json(store / INFO, info)


def _files(
    folder: Path,
    paths: Sequence[Path],
    left_out: Sequence[Collection[str]],
    redirects: Mapping[str, str],
    rows: int,
) -> list[_File]:
    """The files of a table, at least one, each of as many rows but the last.

    Where they begin and end depends on the rows alone, not on how these came in chunks.
    """
    pieces: list[list[_Piece]] = [[]]
    room = rows
    for path, lost in zip(paths, left_out):
        start, count = 0, _count(path, lost)
        while start < count:
            if not room:
                pieces.append([])
                room = rows
            stop = min(count, start + room)
            pieces[-1].append(_Piece(path, lost, start, stop))
            room -= stop - start
            start = stop
    return [
        _File(folder / f"part-{number:06d}.parquet", of_file, redirects)
        for number, of_file in enumerate(pieces)
    ]


def _count(path: Path, left_out: Collection[str]) -> int:
    """Rows without those that are left out."""
    rows = int(pq.read_metadata(path).num_rows)
    if not left_out:
        return rows
    key = pq.read_schema(path).names[0]
    return rows - _among(_column(path, key), pa.array(left_out, pa.string()))


def _write(file: _File) -> Counter[str]:
    """Write a file of the store; returns what there is to count in it."""
    entities = file.path.parent.name == "entities"
    tables = [_rows(piece) for piece in file.pieces]
    table = pa.concat_tables(tables or [(ENTITIES if entities else STATEMENTS).empty_table()])
    if entities:
        counts = Counter(entities=table.num_rows)
    else:
        table, resolved = _resolve(table, file.redirects)
        current = pc.sum(table["current"]).as_py() or 0
        counts = Counter(statements=table.num_rows, current=current, redirected_objects=resolved)
    write_table(file.path, table.combine_chunks())
    return counts


def _rows(piece: _Piece) -> pa.Table:
    table = pq.read_table(piece.path)
    if piece.left_out:
        lost = pa.array(piece.left_out, pa.string())
        table = table.filter(pc.invert(pc.is_in(table[0], lost)))
    return table.slice(piece.start, piece.stop - piece.start)


def _column(path: Path, name: str) -> pa.ChunkedArray:
    return pq.read_table(path, columns=[name])[name]


def _among(names: pa.ChunkedArray, wanted: pa.Array) -> int:
    """How many of the names are wanted."""
    return int(pc.sum(pc.is_in(names, wanted)).as_py() or 0)


def _parts(chunks: Path) -> Iterator[_Part]:
    """The finished chunks, sources one after another."""
    for order, note in enumerate(sorted(chunks.glob("*/*.json"))):
        stem = note.with_suffix("")
        yield _Part(
            order,
            stem.with_suffix(".entities.parquet"),
            stem.with_suffix(".statements.parquet"),
            read_json(note),
        )


def _redirects(parts: list[_Part]) -> dict[str, str]:
    """Id that was merged -> id that it is now, over any number of steps."""
    steps = {old: new for part in parts for old, new in part.note["redirects"]}
    ends = {}
    for old in sorted(steps):
        new, seen = steps[old], {old}
        while new in steps and new not in seen:
            seen.add(new)
            new = steps[new]
        if new not in seen:  # a circle leads nowhere
            ends[old] = new
    return ends


def _resolve(statements: pa.Table, redirects: Mapping[str, str]) -> tuple[pa.Table, int]:
    """Statements with the objects as they are called now, and how many that were."""
    objects = statements["object"]
    count = _among(objects, pa.array(redirects, pa.string())) if redirects else 0
    if not count:
        return statements, 0
    new = pa.array([redirects.get(name, name) for name in objects.to_pylist()], pa.string())
    place = statements.schema.get_field_index("object")
    return statements.set_column(place, "object", new), count


def _losers(chunks: Path, parts: list[_Part]) -> dict[int, list[str]]:
    """Chunk -> ids that another chunk has better.

    The one modified last wins; among those that do not say, the first that has statements.
    DuckDB finds them in bounded memory: a dump has more ids than fit in it.
    """
    if len(parts) < 2:
        return {}
    names = {str(part.entities): part.order for part in parts}
    with (
        tempfile.TemporaryDirectory(dir=chunks) as folder,
        require("duckdb").connect(f"{folder}/ids.duckdb") as database,
    ):
        database.execute(f"SET memory_limit='{MEMORY}'")
        database.execute("SET threads=1")
        found = database.execute(
            """
            WITH twice AS (
                SELECT id FROM read_parquet($entities) GROUP BY id HAVING count(*) > 1
            ), stated AS (
                SELECT DISTINCT subject, replace(filename, '.statements.', '.entities.') AS file
                FROM read_parquet($statements, filename = true)
                WHERE subject IN (SELECT id FROM twice)
            )
            SELECT id, filename FROM read_parquet($entities, filename = true)
            LEFT JOIN stated ON subject = id AND file = filename
            WHERE id IN (SELECT id FROM twice)
            QUALIFY row_number() OVER (
                PARTITION BY id
                ORDER BY modified DESC NULLS LAST, subject IS NOT NULL DESC, filename
            ) > 1
            """,
            {
                "entities": [str(part.entities) for part in parts],
                "statements": [str(part.statements) for part in parts],
            },
        ).fetchall()
    losers: dict[int, list[str]] = {}
    for item, name in found:
        losers.setdefault(names[name], []).append(item)
    return losers
