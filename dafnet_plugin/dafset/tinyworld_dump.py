"""A state of the tiny world in the JSON of Wikidata's dumps."""

from __future__ import annotations

import gzip
import hashlib
import json
import random
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from dafnet_plugin.data.tinyworld import World
from dafnet_plugin.data.tinyworld.world import Entity, Key
from dafnet_plugin.files import atomic_path

FIRST_ID = 9_000_000
"""Is added to the numbers of the tiny world's ids, which are those of real items otherwise."""

# Types of the world, as the classes that Wikidata has for them: label, then classes above.
CLASSES: Mapping[str, tuple[str, str, str | None]] = {
    "person": ("Q5", "human", "Q215627"),
    "city": ("Q515", "city", "Q486972"),
    "country": ("Q6256", "country", "Q56061"),
    "work": ("Q571", "book", "Q17537576"),
    "company": ("Q4830453", "business", "Q43229"),
    "university": ("Q3918", "university", "Q43229"),
    "club": ("Q988108", "club", "Q43229"),
    "language": ("Q34770", "language", None),
    "occupation": ("Q12737077", "occupation", None),
    "religion": ("Q9174", "religion", None),
    "genre": ("Q483394", "genre", None),
    "industry": ("Q8148", "industry", None),
    "currency": ("Q8142", "currency", None),
    "continent": ("Q5107", "continent", None),
}
ABOVE = {
    "Q215627": "person",
    "Q486972": "human settlement",
    "Q56061": "administrative territorial entity",
    "Q17537576": "creative work",
    "Q43229": "organization",
}
INSTANCE_OF, SUBCLASS_OF, START, END = "P31", "P279", "P580", "P582"
DUMP_DATE = datetime(2026, 1, 2)
BEFORE_DATE = DUMP_DATE - timedelta(days=30)


@dataclass(frozen=True, slots=True)
class Change:
    """What became of a statement between the two dumps.

    Attributes:
        kind: ``"new"``, ``"changed"`` or ``"removed"``.
        old, new: objects; None where there was, or is, none.
    """

    subject: str
    relation: str
    kind: str
    old: str | None
    new: str | None


def entities(
    world: World,
    facts: Mapping[Key, tuple[str, ...]],
    recent: Mapping[str, datetime],
    seed: int,
    *,
    ended: Iterable[Change],
) -> Iterator[dict[str, Any]]:
    """The world in Wikidata's JSON: classes first, then entities by id.

    Args:
        recent: when entities were last edited, where that is after the first dump.
        ended: changes; an old value is kept with its end date, as Wikidata does, and the new one
            is preferred to it.
    """
    yield from _classes()
    by_subject: dict[str, list[Key]] = {}
    for key in facts:
        by_subject.setdefault(key[0], []).append(key)
    changed = {(item.subject, item.relation): item for item in ended}
    for entity in world.entities.values():
        claims = {
            INSTANCE_OF: [_claim(wikidata_id(entity.id), INSTANCE_OF, CLASSES[entity.kind][0])]
        }
        for key in by_subject.get(entity.id, []):
            claims[key[1]] = _claims(key, facts[key], changed.get(key))
        modified = recent.get(entity.id) or moment(entity.id, seed, last=BEFORE_DATE, days=900)
        yield _item(entity, claims, modified)


def _claims(key: Key, objects: tuple[str, ...], change: Change | None) -> list[dict[str, Any]]:
    subject, relation = wikidata_id(key[0]), key[1]
    if change is None or change.kind != "changed" or change.old is None:
        return [_claim(subject, relation, wikidata_id(item)) for item in objects]
    day = DUMP_DATE - timedelta(days=3)
    old = _claim(subject, relation, wikidata_id(change.old), until=day)
    new = [
        _claim(subject, relation, wikidata_id(item), since=day, rank="preferred")
        for item in objects
    ]
    return [old, *new]


def write_dump(path: Path, items: Iterable[Mapping[str, Any]]) -> None:
    """Write a dump: one JSON array, an entity a line, gzipped."""

    def lines() -> Iterator[str]:
        yield "[\n"
        first = True
        for item in items:
            text = json.dumps(item, ensure_ascii=False, separators=(",", ":"))
            yield text if first else f",\n{text}"
            first = False
        yield "\n]\n"

    write_gzip(path, lines())


def wikidata_id(entity: str) -> str:
    """The id that an entity of the tiny world has in its dumps."""
    return f"Q{FIRST_ID + number_of(entity)}"


def _classes() -> Iterator[dict[str, Any]]:
    long_ago = BEFORE_DATE - timedelta(days=2000)
    for name, label in ABOVE.items():
        yield _record(name, label, (), None, {}, long_ago)
    for name, label, above in CLASSES.values():
        claims = {SUBCLASS_OF: [_claim(name, SUBCLASS_OF, above)]} if above else {}
        yield _record(name, label, (), None, claims, long_ago)


def _item(entity: Entity, claims: dict[str, Any], modified: datetime) -> dict[str, Any]:
    name = wikidata_id(entity.id)
    return _record(name, entity.label, entity.aliases, entity.kind, claims, modified)


def _record(
    name: str,
    label: str,
    aliases: Iterable[str],
    description: str | None,
    claims: Mapping[str, Any],
    modified: datetime,
) -> dict[str, Any]:
    def text(value: str) -> dict[str, str]:
        return {"language": "en", "value": value}

    number = int(name[1:])
    return {
        "type": "item",
        "id": name,
        "labels": {"en": text(label)},
        "descriptions": {"en": text(description)} if description else {},
        "aliases": {"en": [text(alias) for alias in aliases]} if aliases else {},
        "claims": claims,
        "sitelinks": {"enwiki": {"site": "enwiki", "title": label, "badges": []}},
        "pageid": number,
        "ns": 0,
        "title": name,
        "lastrevid": number,
        "modified": f"{modified:%Y-%m-%dT%H:%M:%SZ}",
    }


def _claim(
    subject: str,
    relation: str,
    target: str,
    *,
    since: datetime | None = None,
    until: datetime | None = None,
    rank: str = "normal",
) -> dict[str, Any]:
    digest = hashlib.sha256(f"{subject} {relation} {target}".encode()).hexdigest()
    value = {"entity-type": "item", "numeric-id": int(target[1:]), "id": target}
    snak = {
        "snaktype": "value",
        "property": relation,
        "datavalue": {"value": value, "type": "wikibase-entityid"},
        "datatype": "wikibase-item",
    }
    found: dict[str, Any] = {
        "mainsnak": snak,
        "type": "statement",
        "id": f"{subject}${digest[:32]}",
        "rank": rank,
    }
    dated = [(START, since), (END, until)]
    qualifiers = {name: [_time(name, day)] for name, day in dated if day is not None}
    if qualifiers:
        found |= {"qualifiers": qualifiers, "qualifiers-order": list(qualifiers)}
    return found


def _time(relation: str, day: datetime) -> dict[str, Any]:
    value = {
        "time": f"+{day:%Y-%m-%d}T00:00:00Z",
        "timezone": 0,
        "before": 0,
        "after": 0,
        "precision": 11,
        "calendarmodel": "http://www.wikidata.org/entity/Q1985727",
    }
    return {
        "snaktype": "value",
        "property": relation,
        "datavalue": {"value": value, "type": "time"},
        "datatype": "time",
    }


def number_of(entity: str) -> int:
    """The number in an id."""
    return int(entity[1:])


def moment(entity: str, seed: int, last: datetime = DUMP_DATE, days: int = 6) -> datetime:
    """A time within so many days before ``last``, the same for the same entity."""
    rng = random.Random(f"tiny world edited {seed} {entity} {last}")
    return last - timedelta(seconds=rng.randrange(1, days * 86_400))


def write_gzip(path: Path, lines: Iterable[str]) -> None:
    """Write text, gzipped, without time and name in its head: same text, same bytes."""
    with (
        atomic_path(path) as part,
        open(part, "wb") as raw,
        gzip.GzipFile(filename="", fileobj=raw, mode="wb", mtime=0) as packed,
    ):
        for line in lines:
            packed.write(line.encode())
