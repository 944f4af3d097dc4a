"""The last step of an ingest: chunks become the store.

What can only be seen when everything was read is done here: an entity that several sources
have is kept once, and statements point to what their object is called now.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from dafnet_plugin.dafset.extras import missing, require
from dafnet_plugin.dafset.graph import Drops, Reason
from dafnet_plugin.dafset.store import (
    ENTITIES,
    ENTITY_ROWS,
    FORMAT,
    INFO,
    STATEMENT_ROWS,
    STATEMENTS,
    TableWriter,
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


class _Part(NamedTuple):
    """A finished chunk."""

    order: int
    entities: Path
    statements: Path
    note: Mapping[str, Any]


def finish(store: Path, chunks: Path, plan: Mapping[str, Any]) -> None:
    """Join finished chunks into a store, a chunk at a time; ``store.json`` is written last.

    Args:
        store: the folder.
        chunks: the folder with a folder of chunks for each source.
        plan: for ``store.json``.

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
    writers = (
        TableWriter(store / "entities", ENTITIES, ENTITY_ROWS),
        TableWriter(store / "statements", STATEMENTS, STATEMENT_ROWS),
    )
    gone = pa.array(redirects, pa.string())
    current = resolved = 0
    for part in parts:
        lost = pa.array(losers.get(part.order, ()), pa.string())
        entities, statements = pq.read_table(part.entities), pq.read_table(part.statements)
        drops[Reason.DUPLICATE] += len(lost)
        drops[Reason.REDIRECTED] += pc.sum(pc.is_in(entities["id"], gone)).as_py() or 0
        for writer, table, key in zip(writers, (entities, statements), ("id", "subject")):
            unwanted = pc.or_(pc.is_in(table[key], lost), pc.is_in(table[key], gone))
            table = table.filter(pc.invert(unwanted))
            if key == "subject" and redirects:
                table, count = _resolve(table, redirects, gone)
                resolved += count
            if key == "subject":
                current += pc.sum(table["current"]).as_py() or 0
            writer.add(table)
    counts = {
        "entities": writers[0].close(),
        "statements": writers[1].close(),
        "current": current,
        "redirected_objects": resolved,
    }
    write_json(store / "redirects.json", redirects)
    days = [source["dump_date"] for source in plan["sources"] if source.get("dump_date")]
    info = {
        "format": FORMAT,
        "complete": True,
        "dump_date": max(days, default=None),
        "counts": counts,
        "drops": drops.as_dict(),
        "plan": plan,
    }
    write_json(store / INFO, info)


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


def _resolve(
    statements: pa.Table, redirects: Mapping[str, str], gone: pa.Array
) -> tuple[pa.Table, int]:
    """Statements with the objects as they are called now, and how many that were."""
    objects = statements["object"]
    count = pc.sum(pc.is_in(objects, gone)).as_py() or 0
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
