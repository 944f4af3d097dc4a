"""Items in Wikidata's JSON, as short as they can be, and files of them."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

Json = dict[str, Any]


def item(number: int, claims: Mapping[str, list[Json]] | None = None, **members: Any) -> Json:
    """An item with an English label."""
    label = {"en": {"language": "en", "value": f"Item {number}"}}
    return {
        "type": "item",
        "id": f"Q{number}",
        "labels": label,
        "descriptions": {},
        "aliases": {},
        "claims": dict(claims or {}),
        "sitelinks": {},
    } | members


def claim(
    relation: str, target: int | str | None, rank: str = "normal", **qualifiers: str | None
) -> Json:
    """A statement; ``start`` and ``end`` are times, ``target`` may be a kind of snak."""
    snak: Json = {"snaktype": "value", "property": relation, "datatype": "wikibase-item"}
    if isinstance(target, int):
        value = {"entity-type": "item", "numeric-id": target, "id": f"Q{target}"}
        snak["datavalue"] = {"value": value, "type": "wikibase-entityid"}
    elif target in ("somevalue", "novalue"):
        snak["snaktype"] = target
    else:
        snak |= {"datavalue": {"value": target, "type": "string"}, "datatype": "external-id"}
    found: Json = {"mainsnak": snak, "type": "statement", "rank": rank, "references": []}
    names = {"start": "P580", "end": "P582"}
    if qualifiers:
        found["qualifiers"] = {names[n]: [time_snak(t)] for n, t in qualifiers.items()}
    return found


def time_snak(time: str | None, precision: int = 11) -> Json:
    """A time; None is an unknown one, ``"novalue"`` none."""
    if time is None or time == "novalue":
        return {"snaktype": time or "somevalue"}
    value = {"time": time, "precision": precision}
    return {"snaktype": "value", "datavalue": {"value": value, "type": "time"}}


def write_items(path: Path, items: Iterable[Json | str | bytes]) -> Path:
    """A dump: one array, an entity a line; text is written as it is."""
    lines = [
        one
        if isinstance(one, bytes)
        else (one if isinstance(one, str) else json.dumps(one)).encode()
        for one in items
    ]
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(b"[\n" + b",\n".join(lines) + b"\n]\n")
    return path
