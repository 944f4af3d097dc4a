"""What changed between two stores: new, changed and removed facts.

Compared is what is current. A fact of a relation that holds one object at a time *changes*; its
old value is what a model that learned from the older dump may still say (``ground_truth``).
"""

from __future__ import annotations

import json
import os
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from dafnet_plugin.dafset.extras import require
from dafnet_plugin.dafset.store import Store
from dafnet_plugin.errors import DataError
from dafnet_plugin.files import atomic_path

MEMORY = "400MB"
NEW, CHANGED, REMOVED = "new", "changed", "removed"
KINDS = (NEW, CHANGED, REMOVED)


@dataclass(frozen=True, slots=True)
class Change:
    """One difference.

    Attributes:
        kind: ``"new"``, ``"changed"`` or ``"removed"``.
        subject, relation: of the fact; both stores have the subject, unless ``new_subject``.
        old: the object before; None when new.
        new: the object now; None when removed.
        new_subject: the older store has not heard of the subject.
        old_vanished: the newer store has no entity ``old``: it was deleted or merged into
            another, perhaps into ``new``, so this may be another name rather than a change.
        ended: the newer store still has the old statement, with an end date: the world changed,
            rather than that a mistake was corrected.
    """

    kind: str
    subject: str
    relation: str
    old: str | None
    new: str | None
    new_subject: bool
    old_vanished: bool
    ended: bool


def compare_stores(old: Store, new: Store, out: str | Path) -> dict[str, int]:
    """Write what changed to a Parquet file with the columns of :class:`Change`.

    Within a subject and relation, objects that came are paired with objects that went, both in
    the order of their numbers; what is left over is new or removed. Subjects that the newer
    store does not have at all (deleted, merged, or not in the sample) are only counted. Objects
    that were merged are compared as what they are now, where the newer store knows.

    Args:
        old, new: read from the older and the newer dump, with the same options.
        out: the file; written atomically.

    Returns:
        how many of each kind, and ``"vanished subjects"``.

    Raises:
        DataError: the stores were read with different languages or relations.
    """
    _check(old, new)
    with (
        tempfile.TemporaryDirectory(prefix="dafset-changes-") as folder,
        require("duckdb").connect(f"{folder}/changes.duckdb") as database,
    ):
        database.execute(f"SET memory_limit='{MEMORY}'")
        redirects = Path(folder) / "redirects.json"
        pairs = [{"source": old_id, "target": now} for old_id, now in new.redirects().items()]
        redirects.write_text(json.dumps(pairs), encoding="utf-8")
        for name, store in (("old", old), ("new", new)):
            for table, glob in (
                ("entities", store.entities_glob),
                ("statements", store.statements_glob),
            ):
                database.read_parquet(glob).create_view(f"{name}_{table}")
        database.execute(
            f"CREATE VIEW redirects AS SELECT * FROM read_json({_quoted(redirects)}, "
            "columns = {source: 'VARCHAR', target: 'VARCHAR'})"
        )
        database.execute(f"CREATE TABLE changes AS {_CHANGES}")
        found = dict(database.execute("SELECT kind, count(*) FROM changes GROUP BY 1").fetchall())
        ((vanished,),) = database.execute(
            "SELECT count(*) FROM old_entities ANTI JOIN new_entities USING (id)"
        ).fetchall()
        with atomic_path(out) as path:
            database.execute(
                f"COPY (SELECT * FROM changes ORDER BY {_NUMBER.format('subject')}, relation, "
                f"kind, old, new) TO {_quoted(path)} (FORMAT parquet, COMPRESSION zstd)"
            )
    return {**{kind: found.get(kind, 0) for kind in KINDS}, "vanished subjects": vanished}


def read_changes(path: str | Path) -> Iterator[Change]:
    """The rows of a file that :func:`compare_stores` wrote.

    Raises:
        DataError: it is no such file.
    """
    parquet = require("pyarrow.parquet")
    try:
        file = parquet.ParquetFile(path)
    except (OSError, require("pyarrow").ArrowInvalid) as error:
        raise DataError(f"{path}: not a Parquet file of changes: {error}") from error
    wanted = set(Change.__slots__)
    if set(file.schema_arrow.names) != wanted:
        raise DataError(
            f"{path}: has the columns {', '.join(file.schema_arrow.names)}; "
            f"allowed: {', '.join(Change.__slots__)}"
        )
    for batch in file.iter_batches():
        for row in batch.to_pylist():
            yield Change(**row)


def _check(old: Store, new: Store) -> None:
    for key in ("language", "relations"):
        values = [(store.info.get("plan") or {}).get(key) for store in (old, new)]
        if values[0] != values[1]:
            raise DataError(
                f"{old.path} was read with {key} {values[0]!r}, {new.path} with {values[1]!r}; "
                "two stores are compared that were read alike"
            )


def _quoted(path: str | os.PathLike[str]) -> str:
    return "'" + str(path).replace("'", "''") + "'"


_NUMBER = "TRY_CAST(substr({}, 2) AS HUGEINT)"
_CHANGES = f"""
WITH resolved AS (
    SELECT subject, relation, coalesce(target, object) AS object
    FROM old_statements LEFT JOIN redirects ON object = source
    WHERE current
), before AS (
    SELECT DISTINCT subject, relation, object FROM resolved
    SEMI JOIN new_entities ON subject = id
), after AS (
    SELECT DISTINCT subject, relation, object FROM new_statements WHERE current
), gone AS (
    SELECT subject, relation, object AS old, row_number() OVER (
        PARTITION BY subject, relation ORDER BY {_NUMBER.format("object")}
    ) AS place
    FROM before ANTI JOIN after USING (subject, relation, object)
), came AS (
    SELECT subject, relation, object AS new, row_number() OVER (
        PARTITION BY subject, relation ORDER BY {_NUMBER.format("object")}
    ) AS place
    FROM after ANTI JOIN before USING (subject, relation, object)
), pairs AS (
    SELECT * FROM gone FULL JOIN came USING (subject, relation, place)
), past AS (
    SELECT DISTINCT subject, relation, object AS old, true AS ended
    FROM new_statements WHERE "end" IS NOT NULL
)
SELECT
    CASE WHEN old IS NULL THEN '{NEW}' WHEN new IS NULL THEN '{REMOVED}' ELSE '{CHANGED}' END
        AS kind,
    subject, relation, old, new,
    subject NOT IN (SELECT id FROM old_entities) AS new_subject,
    old IS NOT NULL AND old NOT IN (SELECT id FROM new_entities) AS old_vanished,
    coalesce(ended, false) AS ended
FROM pairs LEFT JOIN past USING (subject, relation, old)
"""
