"""A made-up Wikidata dump of any length, for measurements and tests.

The lines have the shape of real ones (labels in many languages, identifiers of other
catalogues, references, qualifiers, sitelinks; about 13 kB each) and their oddities: deprecated
and preferred ranks, end dates, ``somevalue`` and ``novalue``, entities without an English
label, ``[]`` for an empty object. The n-th entity depends on the seed and n alone, so dumps of
different lengths agree where both have it.
"""

from __future__ import annotations

import gzip
import json
import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any, BinaryIO

from dafnet_plugin.dafset.graph import NORMAL
from dafnet_plugin.errors import ConfigError
from dafnet_plugin.files import atomic_path

LANGUAGES = tuple(
    "en de fr es it nl pl pt ru sv ja zh ar uk ca fa vi no fi cs hu tr id ko ro".split()  # noqa: SIM905
)
SYLLABLES = tuple("ba ko ri ma te lu so na vi de or an el ta mi ro sa ne ka lo".split())  # noqa: SIM905
EXTERNAL = ("P213", "P214", "P227", "P244", "P345", "P646", "P268", "P269", "P349", "P1566")
# Kind: its class, share among entities, relation -> kind of the object.
KINDS: dict[str, tuple[str, float, dict[str, str]]] = {
    "country": ("Q6256", 0.01, {"P36": "city", "P37": "language", "P30": "continent"}),
    "city": ("Q515", 0.20, {"P17": "country", "P131": "city", "P421": "language"}),
    "language": ("Q34770", 0.02, {"P17": "country"}),
    "continent": ("Q5107", 0.01, {}),
    "company": ("Q4830453", 0.16, {"P17": "country", "P159": "city", "P169": "person"}),
    "person": (
        "Q5",
        0.60,
        {"P27": "country", "P19": "city", "P20": "city", "P103": "language", "P108": "company"},
    ),
}


@dataclass(frozen=True, slots=True)
class SyntheticConfig:
    """Size and shape of a made-up dump.

    Attributes:
        entities: how many.
        seed: of everything in it.
        changed: share of the facts that have another object than in the dump with
            ``changed=0``; their entities are the last modified.
        references: references of a statement, at most; they are most of a dump's bytes.
        day: the last day of the dump's week, in UTC.
    """

    entities: int
    seed: int = 0
    changed: float = 0.0
    references: int = 2
    day: datetime = datetime(2024, 3, 8, tzinfo=timezone.utc)

    def __post_init__(self) -> None:
        if self.entities < 1:
            raise ConfigError(f"entities: {self.entities}; allowed: at least 1")
        if not 0 <= self.changed <= 1:
            raise ConfigError(f"changed: {self.changed}; allowed: 0 to 1")


def write_dump(path: str | Path, config: SyntheticConfig) -> Path:
    """Write the dump; a name that ends in ``.gz`` or ``.bz2`` makes it a compressed one."""
    path = Path(path)
    with atomic_path(path) as temporary, _opener(path)(temporary) as file:
        file.write(b"[\n")
        for index, line in enumerate(dump_lines(config)):
            file.write((b",\n" if index else b"") + line)
        file.write(b"\n]\n")
    return path


def dump_lines(config: SyntheticConfig) -> Iterator[bytes]:
    """The entities as JSON, without the commas between them."""
    world = _World(config)
    for number in range(1, config.entities + 1):
        yield json.dumps(world.entity(number), separators=(",", ":")).encode()


def write_pageviews(path: str | Path, config: SyntheticConfig) -> Path:
    """Write an hourly pageview file (``en`` and other wikis) for the entities that have a page."""
    path, world = Path(path), _World(config)
    with atomic_path(path) as temporary, _opener(path)(temporary) as file:
        for number in range(1, config.entities + 1):
            if world.has_page(number):
                title = world.name(number).replace(" ", "_")
                views = 1 + config.entities // number  # Zipf's law
                file.write(f"de {title} 7 0\nen {title} {views} 0\n".encode())
                file.write(f"en.m {title} {2 * views} 0\n".encode())
    return path


def _opener(path: Path) -> Callable[[Path], BinaryIO]:
    if path.suffix == ".gz":
        # Without a name and a time in its head, so that the same dump has the same bytes.
        return lambda p: gzip.GzipFile("", "wb", 6, open(p, "wb"), mtime=0)  # type: ignore[return-value]
    if path.suffix == ".bz2":
        import bz2

        return lambda p: bz2.open(p, "wb")  # type: ignore[return-value]
    return lambda p: open(p, "wb")


class _World:
    """Who is what; computed from the number of an entity, never stored."""

    def __init__(self, config: SyntheticConfig) -> None:
        self.config = config
        # In every hundred consecutive numbers each kind has its share.
        self.kinds = [
            kind for kind, (_, share, _) in KINDS.items() for _ in range(int(share * 100))
        ]
        self.places = {kind: [i for i, k in enumerate(self.kinds) if k == kind] for kind in KINDS}

    def kind(self, number: int) -> str:
        return self.kinds[number % 100]

    def name(self, number: int) -> str:
        rest, parts = number, list[str]()
        while rest or len(parts) < 2:
            rest, index = divmod(rest, len(SYLLABLES))
            parts.append(SYLLABLES[index])
        return "".join(parts).capitalize() + f" {self.kind(number).capitalize()}"

    def has_page(self, number: int) -> bool:
        return number % 3 == 0

    def rng(self, number: int, what: str) -> random.Random:
        return random.Random(f"{self.config.seed} {number} {what}")

    def any(self, kind: str, rng: random.Random) -> int:
        """An entity of a kind; one with a small number, which has many pointing to it."""
        hundreds = int((self.config.entities // 100) * rng.random() ** 3)
        return hundreds * 100 + rng.choice(self.places[kind]) or 100

    def entity(self, number: int) -> dict[str, Any]:
        rng, kind, name = self.rng(number, "entity"), self.kind(number), self.name(number)
        languages = LANGUAGES[: 1 + int(len(LANGUAGES) * rng.random() ** 2)]
        if number % 40 == 7:  # no English label
            languages = languages[1:]
        claims, changed = self.claims(number, kind, rng)
        age = timedelta(hours=rng.randrange(24 if changed else 24 * 700))
        terms = {code: {"language": code, "value": name} for code in languages}
        described = {
            code: {"language": code, "value": f"{kind} number {number} of a made-up world"}
            for code in languages
        }
        alias = {"en": [{"language": "en", "value": f"{name} {number}"}]} if number % 2 else []
        sites = [f"{code}wiki" for code in languages] if self.has_page(number) else []
        links = {site: {"site": site, "title": name, "badges": []} for site in sites}
        return {
            "type": "item",
            "id": f"Q{number}",
            "labels": terms or [],
            "descriptions": described or [],
            "aliases": alias,
            "claims": claims,
            "sitelinks": links or [],
            "pageid": number + 100,
            "ns": 0,
            "title": f"Q{number}",
            "lastrevid": 10**9 + number,
            "modified": (self.config.day - age).strftime("%Y-%m-%dT%H:%M:%SZ"),
        }

    def claims(self, number: int, kind: str, rng: random.Random) -> tuple[dict[str, Any], bool]:
        class_id, _, relations = KINDS[kind]
        claims = {"P31": [self.claim("P31", int(class_id[1:]), rng)]}
        changed = False
        for relation, target in relations.items():
            object_ = self.any(target, rng)
            # Drawn apart from the rest, so that nothing else differs between the two dumps.
            fate = self.rng(number, relation)
            if fate.random() < self.config.changed:
                object_, changed = self.any(target, fate), True
            claims[relation] = self.group(relation, object_, target, rng)
        for relation in rng.sample(EXTERNAL, rng.randrange(3, len(EXTERNAL))):
            claims[relation] = [self.text_claim(relation, rng)]
        return claims, changed

    def group(self, relation: str, target: int, kind: str, rng: random.Random) -> list[Any]:
        """The statements of a relation: mostly one, else something to be sorted out."""
        main, other, case = self.claim(relation, target, rng), self.any(kind, rng), rng.random()
        if case < 0.90:
            return [main]
        second = self.claim(relation, other, rng)
        if case < 0.94:  # what has ended
            second["qualifiers"] = {"P582": [_time_snak("P582", "+2001-05-11T00:00:00Z")]}
            return [main, second]
        if case < 0.96:
            return [main | {"rank": "preferred"}, second]
        if case < 0.98:
            return [second | {"rank": "deprecated"}, main]
        snak = {"snaktype": "somevalue" if case < 0.99 else "novalue", "property": relation}
        return [second | {"mainsnak": snak | {"hash": _digits(40, rng), "datatype": ITEM}}]

    def claim(self, relation: str, target: int, rng: random.Random) -> dict[str, Any]:
        value = {"entity-type": "item", "numeric-id": target, "id": f"Q{target}"}
        data = {"value": value, "type": "wikibase-entityid"}
        return self.statement(relation, data, ITEM, rng)

    def text_claim(self, relation: str, rng: random.Random) -> dict[str, Any]:
        return self.statement(
            relation, {"value": _digits(12, rng), "type": "string"}, "external-id", rng
        )

    def statement(self, relation: str, data: Any, kind: str, rng: random.Random) -> dict[str, Any]:
        return {
            "mainsnak": _snak(relation, data, kind, rng),
            "type": "statement",
            "id": f"Q1${_digits(32, rng)}",
            "rank": NORMAL,
            "references": [
                {
                    "hash": _digits(40, rng),
                    "snaks": {
                        "P248": [_snak("P248", _SOURCE, ITEM, rng)],
                        "P813": [_time_snak("P813", "+2020-02-01T00:00:00Z")],
                    },
                    "snaks-order": ["P248", "P813"],
                }
                for _ in range(rng.randrange(self.config.references + 1))
            ],
        }


ITEM = "wikibase-item"
_SOURCE = {
    "value": {"entity-type": "item", "numeric-id": 36578, "id": "Q36578"},
    "type": "wikibase-entityid",
}


def _snak(relation: str, data: Any, kind: str, rng: random.Random) -> dict[str, Any]:
    return {
        "snaktype": "value",
        "property": relation,
        "hash": _digits(40, rng),
        "datavalue": data,
        "datatype": kind,
    }


def _time_snak(relation: str, time: str) -> dict[str, Any]:
    value = {
        "time": time,
        "timezone": 0,
        "before": 0,
        "after": 0,
        "precision": 11,
        "calendarmodel": "http://www.wikidata.org/entity/Q1985727",
    }
    data = {"value": value, "type": "time"}
    return {"snaktype": "value", "property": relation, "datavalue": data, "datatype": "time"}


def _digits(length: int, rng: random.Random) -> str:
    return f"{rng.getrandbits(4 * length):0{length}x}"
