"""A small graph as a store of Parquet files: people, cities, countries, and what is wrong."""

from __future__ import annotations

import json
from collections.abc import Iterable
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("pyarrow")
pytest.importorskip("ibis")

NOW = datetime(2026, 11, 20, tzinfo=timezone.utc)
COUNTRIES = ("Arland", "Borland", "Corland", "Dorland", "Erland", "Forland")
LANGUAGES = ("Arish", "Borish", "Corish", "Dorish", "Erish", "Forish")
JOBS = ("baker", "miller", "singer", "lawyer", "painter", "sailor")
CONTINENTS = ("Northia", "Southia")
HUMAN, CITY, COUNTRY, LANGUAGE, JOB, CONTINENT = "Q5", "Q515", "Q6256", "Q34770", "Q28640", "Q5107"
PEOPLE = 90


def small_world() -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """Entities and statements; the ids tell the kind: Q1xxx countries, Q2xxx cities, ..."""
    entities: list[dict[str, Any]] = []
    statements: list[dict[str, Any]] = []

    def add(id: str, label: str | None, kind: str | None, **more: Any) -> None:
        number = int(id[1:])
        entities.append(
            {"id": id, "label": label, "description": None, "aliases": [], "page": label,
             "modified": NOW - timedelta(days=number % 40), "views": (number * 7919) % 1000} | more
        )  # fmt: skip
        if kind:
            state(id, "P31", kind)

    def state(subject: str, relation: str, object: str, **more: Any) -> None:
        row = {"subject": subject, "relation": relation, "object": object, "rank": "normal"}
        statements.append(row | {"start": None, "end": None, "current": True} | more)

    for n, name in enumerate(CONTINENTS):
        add(f"Q{5000 + n}", name, CONTINENT)
    for n, name in enumerate(LANGUAGES):
        add(f"Q{3000 + n}", name, LANGUAGE)
    for n, name in enumerate(JOBS):
        add(f"Q{4000 + n}", name, JOB)
    for n, name in enumerate(COUNTRIES):
        add(f"Q{1000 + n}", name, COUNTRY, aliases=[f"Republic of {name}"])
        state(f"Q{1000 + n}", "P30", f"Q{5000 + n % 2}")
        state(f"Q{1000 + n}", "P37", f"Q{3000 + n}")
        state(f"Q{1000 + n}", "P36", f"Q{2000 + 4 * n}")
        state(f"Q{2000 + 4 * n}", "P1376", f"Q{1000 + n}")
    for n in range(24):
        add(f"Q{2000 + n}", f"Town{chr(65 + n)}burg", CITY)
        state(f"Q{2000 + n}", "P17", f"Q{1000 + n // 4}")
    for n in range(PEOPLE):
        person = f"Q{6000 + n}"
        add(person, f"Person {chr(65 + n % 26)}{n}", HUMAN)
        state(person, "P19", f"Q{2000 + n % 24}")
        state(person, "P27", f"Q{1000 + (n % 24) // 4}")
        state(person, "P103", f"Q{3000 + (n % 24) // 4}")
        state(person, "P106", f"Q{4000 + n % 6}")
        state(person, "P20", f"Q{2000 + (n * 5 + 1) % 24}")
    _wrong(add, state)
    return entities, statements


def _wrong(add: Any, state: Any) -> None:
    """One statement for each reason against it (some of them more)."""
    add("Q7000", None, HUMAN)
    state("Q7000", "P19", "Q2000")  # no name of the subject
    add("Q7001", "Quinn One", HUMAN)
    state("Q7001", "P19", "Q99999")  # no name of the object
    add("Q7002", "Quinn Two", HUMAN)
    state("Q7002", "P26", "Q7002")  # subject and object are the same
    add("Q7003", "Quinn Three", HUMAN)
    state("Q7003", "P19", "Q2000")
    state("Q7003", "P19", "Q2001")  # several objects
    add("Q7004", "Quinn of TownAburg", HUMAN)
    state("Q7004", "P19", "Q2000")  # the name gives the object away
    for twin in ("Q7005", "Q7006"):
        add(twin, "Quinn Twin", HUMAN)
        state(twin, "P19", "Q2000")  # several subjects of that name
    add("Q7007", "Mount Quinn", CITY)
    state("Q7007", "P19", "Q2000")  # subject of another type
    add("Q7008", "Quinn Eight", HUMAN)
    state("Q7008", "P19", "Q1000")  # object of another type
    add("Q7009", "Q123456", HUMAN)
    state("Q7009", "P19", "Q2000")  # an id is no name
    state("Q7001", "P27", "Q1000", current=False, end="1990-01-01")
    state("Q6000", "P27", "Q1005", current=False, end="1990-01-01")
    state("Q2000", "P9999", "Q1000")  # not in the table


def write_small_store(
    folder: Path,
    entities: Iterable[dict[str, Any]] | None = None,
    statements: Iterable[dict[str, Any]] | None = None,
    dump_date: str | None = "2026-11-20",
) -> Path:
    """Write the world, or what is given, as ingestion would."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    default = small_world()
    entities = list(default[0] if entities is None else entities)
    statements = list(default[1] if statements is None else statements)
    text, when = pa.string(), pa.timestamp("us", "UTC")
    schemas = {
        "entities": pa.schema(
            {"id": text, "label": text, "description": text, "aliases": pa.list_(text),
             "page": text, "modified": when, "views": pa.int64()}
        ),
        "statements": pa.schema(
            {"subject": text, "relation": text, "object": text, "rank": text, "start": text,
             "end": text, "current": pa.bool_()}
        ),
    }  # fmt: skip
    for name, rows in (("entities", entities), ("statements", statements)):
        (folder / name).mkdir(parents=True, exist_ok=True)
        half = (len(rows) + 1) // 2
        for index, part in enumerate((rows[:half], rows[half:])):
            table = pa.Table.from_pylist(part, schemas[name])
            pq.write_table(table, folder / name / f"{index:05d}.parquet")
    info: dict[str, Any] = {
        "format": 1,
        "complete": True,
        "dump_date": dump_date,
        "drops": {},
        "plan": {},
    }
    (folder / "store.json").write_text(json.dumps(info))
    return folder
