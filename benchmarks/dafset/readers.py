"""Readers of a dump as one would write them first, to compare with; they give the same entities.

:func:`plain_entity` is also what tests hold the decoder to: written independently, from plain
dictionaries, for well-formed dumps.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from dafnet_plugin.dafset.extras import require
from dafnet_plugin.dafset.graph import Drops, Entity, Statement, utc_time
from dafnet_plugin.dafset.sources import read_source
from dafnet_plugin.dafset.sources.dump import DumpSource
from dafnet_plugin.dafset.sources.files import open_stream

Reader = Callable[[Path], Iterator[Entity]]


def read_ours(path: Path) -> Iterator[Entity]:
    """The source that the ingest uses."""
    yield from read_source(DumpSource(path), drops=Drops())


def read_json_lines(path: Path) -> Iterator[Entity]:
    """The standard library, line by line."""
    yield from _lines(path, json.loads)


def read_orjson_lines(path: Path) -> Iterator[Entity]:
    """orjson, line by line: as fast as decoding everything can be."""
    yield from _lines(path, require("orjson").loads)


def read_ijson(path: Path) -> Iterator[Entity]:
    """ijson with its fastest backend: the array as one document, in constant memory."""
    with open_stream(path) as file:
        for data in require("ijson").items(file, "item"):
            if data["type"] == "item":
                yield plain_entity(data)


def _lines(path: Path, load: Callable[[bytes], Any]) -> Iterator[Entity]:
    with open_stream(path) as file:
        for line in file:
            text = line.strip().rstrip(b",")
            if text not in (b"[", b"]", b""):
                data = load(text)
                if data["type"] == "item":
                    yield plain_entity(data)


READERS: dict[str, Reader] = {
    "this package": read_ours,
    "json": read_json_lines,
    "orjson": read_orjson_lines,
    "ijson": read_ijson,
}


def plain_entity(data: dict[str, Any]) -> Entity:
    """The entity of a decoded line, in English; ended is whatever has an end date."""
    label = _term(data.get("labels"))
    aliases = data.get("aliases") or {}
    names = [term["value"] for code in ("en", "mul") for term in aliases.get(code, ())]
    links = data.get("sitelinks") or {}
    modified = data.get("modified")
    return Entity(
        data["id"],
        label,
        _term(data.get("descriptions")),
        tuple(name for name in dict.fromkeys(names) if name != label),
        links["enwiki"]["title"] if "enwiki" in links else None,
        utc_time(modified) if modified else None,
        tuple(_statements(data.get("claims") or {})),
    )


def _term(terms: Any) -> str | None:
    for code in ("en", "mul"):
        if terms and code in terms:
            return str(terms[code]["value"])
    return None


def _statements(claims: dict[str, list[dict[str, Any]]]) -> Iterator[Statement]:
    for relation, members in claims.items():
        best = "preferred" if any(m["rank"] == "preferred" for m in members) else "normal"
        for member in members:
            snak = member["mainsnak"]
            if member["rank"] == "deprecated" or snak["snaktype"] != "value":
                continue
            value = snak["datavalue"]["value"]
            if not isinstance(value, dict) or value.get("entity-type") != "item":
                continue
            qualifiers = member.get("qualifiers") or {}
            ends = [snak for snak in qualifiers.get("P582", ()) if snak["snaktype"] != "novalue"]
            yield Statement(
                relation,
                value.get("id") or f"Q{value['numeric-id']}",
                member["rank"],
                _day(qualifiers.get("P580", ())[:1]),
                _day(ends),
                member["rank"] == best and not ends,
            )


def _day(snaks: Any) -> str | None:
    days = []
    for snak in snaks:
        if snak["snaktype"] == "value":
            value = snak["datavalue"]["value"]
            parts = value["time"].split("T")[0].lstrip("+").split("-")
            parts = [parts[0].lstrip("0").rjust(4, "0"), *parts[1:]]
            days.append("-".join(parts[: max(1, min(3, value["precision"] - 8))]))
    return max(days) if days else None


def write_plainly(path: Path, store: Path) -> int:
    """What :func:`read_json_lines` gives in two Parquet files, as one would write it first."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    entities, statements = [], []
    for entity in read_json_lines(path):
        row = {name: getattr(entity, name) for name in entity.__struct_fields__}
        for statement in row.pop("statements"):
            values = {name: getattr(statement, name) for name in statement.__struct_fields__}
            statements.append({"subject": entity.id, **values})
        entities.append(row)
    store.mkdir(parents=True, exist_ok=True)
    pq.write_table(pa.Table.from_pylist(entities), store / "entities.parquet", compression="zstd")
    pq.write_table(pa.Table.from_pylist(statements), store / "facts.parquet", compression="zstd")
    return len(entities)
