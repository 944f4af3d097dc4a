"""The store: a folder of Parquet files with entities and statements.

``entities/*.parquet``, ``statements/*.parquet`` and ``store.json`` (where it all came from). Any
tool that reads Parquet can use it; :class:`Store` is the way in from Python.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from operator import attrgetter
from pathlib import Path
from typing import Any

from dafnet_plugin.dafset.extras import missing
from dafnet_plugin.dafset.graph import Drops, Entity, Statement
from dafnet_plugin.errors import DataError
from dafnet_plugin.files import atomic_path, read_json, write_json

try:
    import pyarrow as pa
    import pyarrow.parquet as pq
except ImportError as error:
    raise missing("pyarrow", error=error) from error

FORMAT = 1
INFO = "store.json"
ENTITIES = pa.schema(
    [
        ("id", pa.string()),
        ("label", pa.string()),
        ("description", pa.string()),
        ("aliases", pa.list_(pa.string())),
        ("page", pa.string()),
        ("modified", pa.timestamp("us", "UTC")),
        ("views", pa.int64()),
    ]
)
STATEMENTS = pa.schema(
    [
        ("subject", pa.string()),
        ("relation", pa.string()),
        ("object", pa.string()),
        ("rank", pa.string()),
        ("start", pa.string()),
        ("end", pa.string()),
        ("current", pa.bool_()),
    ]
)
ENTITY_ROWS, STATEMENT_ROWS = 200_000, 1_000_000
"""Rows of a file; so many are in memory at once."""


@dataclass(frozen=True)
class Store:
    """A folder written by :func:`~dafnet_plugin.dafset.ingest.ingest` or :func:`write_store`.

    Attributes:
        path: of the folder.
    """

    path: Path
    _info: Mapping[str, Any] = field(init=False, repr=False, compare=False)

    def __init__(self, path: str | Path) -> None:
        """Open a store.

        Raises:
            DataError: there is none, it is not finished, or of another format.
        """
        object.__setattr__(self, "path", Path(path))
        info = read_info(path)
        if info is None:
            raise DataError(f"{self.path}: no {INFO}; a folder written by the ingest is needed")
        if not info.get("complete"):
            raise DataError(
                f"{self.path}: the ingest of this store was not finished; run it again, and it "
                "goes on from there"
            )
        object.__setattr__(self, "_info", info)

    @property
    def info(self) -> Mapping[str, Any]:
        """What ``store.json`` says: sources, counts, what was dropped by reason."""
        return self._info

    @property
    def drops(self) -> Drops:
        """What was dropped, by reason."""
        return Drops(self._info["drops"])

    @property
    def entities_glob(self) -> str:
        """The files with entities, for DuckDB or Spark."""
        return str(self.path / "entities" / "*.parquet")

    @property
    def statements_glob(self) -> str:
        """The files with statements, for DuckDB or Spark."""
        return str(self.path / "statements" / "*.parquet")

    def files(self, table: str) -> list[Path]:
        """The Parquet files of ``"entities"`` or ``"statements"``, in order."""
        return sorted((self.path / table).glob("*.parquet"))

    def entities(self) -> Iterator[Entity]:
        """All entities with their statements, in order; one file of each is in memory.

        Both tables are in the same order, so they are read side by side.
        """
        statements = self._rows("statements")
        row = next(statements, None)
        for entity in self._rows("entities"):
            found: list[Statement] = []
            while row is not None and row["subject"] == entity["id"]:
                del row["subject"]
                found.append(Statement(**row))
                row = next(statements, None)
            entity.pop("views")
            entity["aliases"] = tuple(entity["aliases"])
            yield Entity(**entity, statements=tuple(found))

    def redirects(self) -> dict[str, str]:
        """Id that was merged -> id that it is now."""
        path = self.path / "redirects.json"
        return dict(read_json(path)) if path.is_file() else {}

    def _rows(self, table: str) -> Iterator[dict[str, Any]]:
        for path in self.files(table):
            for batch in pq.ParquetFile(path).iter_batches():
                yield from batch.to_pylist()


def read_info(path: str | Path) -> dict[str, Any] | None:
    """``store.json`` of a folder, None where there is none.

    Raises:
        DataError: it is malformed, or of a format that this version does not read.
    """
    file = Path(path) / INFO
    if not file.is_file():
        return None
    info = read_json(file)
    if not isinstance(info, dict) or info.get("format") != FORMAT:
        found = info.get("format") if isinstance(info, dict) else type(info).__name__
        raise DataError(f"{file}: format {found!r}; allowed: {FORMAT}")
    return info


@dataclass
class Columns:
    """Entities and their statements, column by column.

    Lists rather than rows, since that is what Parquet is made of.
    """

    entities: list[tuple[Any, ...]] = field(default_factory=list)
    subjects: list[str] = field(default_factory=list)
    statements: list[Statement] = field(default_factory=list)

    def add(self, entity: Entity) -> None:
        """Add an entity."""
        self.entities.append(
            (
                entity.id,
                entity.label,
                entity.description,
                entity.aliases,
                entity.page,
                entity.modified,
                None,
            )
        )
        self.subjects += [entity.id] * len(entity.statements)
        self.statements += entity.statements

    def entity_table(self) -> pa.Table:
        """The entities as a table of schema ``ENTITIES``."""
        return _table(list(zip(*self.entities)), ENTITIES)

    def statement_table(self) -> pa.Table:
        """The statements as a table of schema ``STATEMENTS``."""
        if not self.statements:
            return STATEMENTS.empty_table()
        columns = [
            list(map(attrgetter(name), self.statements)) for name in Statement.__struct_fields__
        ]
        return _table([self.subjects, *columns], STATEMENTS)


def _table(columns: Sequence[Sequence[Any]], schema: pa.Schema) -> pa.Table:
    if not columns:
        return schema.empty_table()
    arrays = [pa.array(column, kind) for column, kind in zip(columns, schema.types)]
    return pa.Table.from_arrays(arrays, schema=schema)


def write_table(path: Path, table: pa.Table) -> None:
    """Write a Parquet file atomically; the same rows always give the same bytes."""
    with atomic_path(path) as temporary:
        pq.write_table(table, temporary, compression="zstd")


class TableWriter:
    """Writes tables of one schema into files of the same number of rows each.

    Where the files begin and end depends on the rows alone, not on how they arrive.
    """

    def __init__(self, folder: Path, schema: pa.Schema, rows: int) -> None:
        self.folder, self.schema, self.rows = folder, schema, rows
        self.count = 0
        self._files = 0
        self._waiting: list[pa.Table] = []
        self._waiting_rows = 0

    def add(self, table: pa.Table) -> None:
        """Take rows, and write what fills a file."""
        self.count += table.num_rows
        self._waiting.append(table)
        self._waiting_rows += table.num_rows
        while self._waiting_rows >= self.rows:
            self._write(self.rows)

    def close(self) -> int:
        """Write the rest, at least one file; returns how many rows there were."""
        if self._waiting_rows or not self._files:
            self._write(self._waiting_rows)
        return self.count

    def _write(self, rows: int) -> None:
        tables = self._waiting or [self.schema.empty_table()]
        table = pa.concat_tables(tables)
        path = self.folder / f"part-{self._files:06d}.parquet"
        write_table(path, table.slice(0, rows).combine_chunks())
        self._waiting = [table.slice(rows)]
        self._waiting_rows -= rows
        self._files += 1


def write_store(
    path: str | Path, entities: Iterable[Entity], info: Mapping[str, Any] | None = None
) -> Store:
    """Write entities that are in memory as a store, for tests and small worlds.

    Args:
        info: more keys for ``store.json``.
    """
    path, columns = Path(path), Columns()
    redirects: dict[str, str] = {}
    for entity in entities:
        columns.add(entity)
        redirects |= dict.fromkeys(entity.redirected_from, entity.id)
    tables = columns.entity_table(), columns.statement_table()
    for name, table, rows in zip(("entities", "statements"), tables, (ENTITY_ROWS, STATEMENT_ROWS)):
        writer = TableWriter(path / name, table.schema, rows)
        writer.add(table)
        writer.close()
    write_json(path / "redirects.json", redirects)
    counts = {"entities": tables[0].num_rows, "statements": tables[1].num_rows}
    write_json(
        path / INFO,
        {"format": FORMAT, "complete": True, "counts": counts, "drops": {}, **(info or {})},
    )
    return Store(path)
