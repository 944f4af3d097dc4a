"""What the graph knows about subjects: names, degrees, classes."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from dafnet_plugin.dafset.extras import require
from dafnet_plugin.errors import DataError

INSTANCE_OF, SUBCLASS_OF = "P31", "P279"
DOMAINS = 20
"""Domains that classes are folded up to, at most."""
OTHER, UNKNOWN = "other", "unknown"


class Knowledge:
    """A store of entities and statements, asked with DuckDB.

    Args:
        folder: with ``entities/*.parquet`` and ``statements/*.parquet``.

    Raises:
        DataError: it has none.
        ConfigError: DuckDB is not installed.
    """

    def __init__(self, folder: str | Path) -> None:
        folder = Path(folder)
        self._database: Any = require("duckdb").connect()
        for name in ("entities", "statements"):
            files = sorted(map(str, (folder / name).glob("*.parquet")))
            if not files:
                raise DataError(f"{folder / name}: no Parquet files; a store of DAFSet is needed")
            self._database.read_parquet(files).create_view(name)

    def degrees(self, ids: Iterable[str]) -> dict[str, int]:
        """Current statements from and to each entity, zeros included."""
        found = self._ask(
            """
            SELECT wanted.id, count(ends.id) FROM wanted LEFT JOIN (
                SELECT subject AS id FROM statements WHERE current
                UNION ALL SELECT object FROM statements WHERE current
            ) AS ends USING (id) GROUP BY wanted.id
            """,
            ids,
        )
        return {name: int(count) for name, count in found}

    def ids(self, names: Sequence[str]) -> dict[str, str]:
        """The best connected entity of each label or alias; names without one are left out."""
        found = self._ask(
            """
            WITH named AS (
                SELECT id, label AS name FROM entities WHERE label IS NOT NULL
                UNION ALL SELECT id, unnest(aliases) FROM entities
            ), fitting AS (
                SELECT wanted.id AS name, named.id FROM wanted JOIN named ON named.name = wanted.id
            ), degree AS (
                SELECT id, count(*) AS number FROM (
                    SELECT subject AS id FROM statements WHERE current
                    UNION ALL SELECT object FROM statements WHERE current
                ) WHERE id IN (SELECT id FROM fitting) GROUP BY id
            )
            SELECT name, arg_max(id, (coalesce(number, 0), id)) FROM fitting
            LEFT JOIN degree USING (id) GROUP BY name
            """,
            names,
        )
        return dict(found)

    def classes(self, ids: Iterable[str]) -> dict[str, list[str]]:
        """Classes that entities are instances of; entities without one are left out."""
        return self._objects(ids, INSTANCE_OF)

    def above(self, classes: Iterable[str]) -> dict[str, list[str]]:
        """The classes above each, along all that are above them in turn."""
        found: dict[str, list[str]] = {}
        left = set(classes)
        while left:
            step = self._objects(left, SUBCLASS_OF)
            found |= {name: step.get(name, []) for name in left}
            left = {parent for parents in step.values() for parent in parents} - found.keys()
        return found

    def labels(self, ids: Iterable[str]) -> dict[str, str]:
        """Labels; entities without one are left out."""
        query = "SELECT id, label FROM entities JOIN wanted USING (id) WHERE label IS NOT NULL"
        return dict(self._ask(query, ids))

    def _objects(self, ids: Iterable[str], relation: str) -> dict[str, list[str]]:
        pairs = self._ask(
            "SELECT subject, object FROM statements JOIN wanted ON subject = wanted.id "
            f"WHERE relation = '{relation}' AND current ORDER BY ALL",
            ids,
        )
        found: dict[str, list[str]] = defaultdict(list)
        for subject, target in pairs:
            found[subject].append(target)
        return dict(found)

    def _ask(self, query: str, ids: Iterable[str]) -> list[tuple[Any, ...]]:
        self._database.execute("CREATE OR REPLACE TEMP TABLE wanted (id VARCHAR)")
        wanted = sorted(set(ids))
        if wanted:
            arrow = require("pyarrow").table({"id": wanted})
            self._database.register("given", arrow)
            self._database.execute("INSERT INTO wanted SELECT id FROM given")
            self._database.unregister("given")
        rows: list[tuple[Any, ...]] = self._database.execute(query).fetchall()
        return rows


def fold_classes(
    classes: Mapping[str, Sequence[str]],
    above: Mapping[str, Sequence[str]],
    limit: int = DOMAINS,
) -> dict[str, str]:
    """Fold the classes of entities up the hierarchy until about ``limit`` of them are left.

    Each entity counts for one of its classes, the most frequent. The smallest class is folded
    into the one above it, again and again; what cannot be folded any further and is too small
    becomes ``"other"``.

    Args:
        classes: of each entity.
        above: classes above each class; may have cycles, as Wikidata's has.

    Returns:
        a class, or ``"other"``, for each entity.
    """
    frequent = Counter(name for names in classes.values() for name in names)
    now = {
        entity: max(names, key=lambda name: (frequent[name], name))
        for entity, names in classes.items()
        if names
    }
    folded: set[str] = set()
    while len(sizes := Counter(now.values())) > limit:
        for name, _ in sorted(sizes.items(), key=lambda item: (item[1], item[0])):
            parents = [one for one in above.get(name, ()) if one not in folded and one != name]
            if parents:
                break
        else:
            break
        folded.add(name)
        target = max(parents, key=lambda one: (sizes[one], frequent[one], one))
        now = {entity: target if one == name else one for entity, one in now.items()}
    kept = {name for name, _ in Counter(now.values()).most_common(limit)}
    if len(set(now.values())) > limit:
        kept = {name for name, _ in Counter(now.values()).most_common(limit - 1)}
    return {entity: name if name in kept else OTHER for entity, name in now.items()}
