"""A made-up Wikidata dump of any length, for measurements and tests.

The lines have the members of real ones and as much of each, on average: 14 kB and 14 statements
(:data:`MEAN` has where the numbers are from), names in many scripts, values of all kinds,
qualifiers, references, sitelinks. They have the oddities, too: deprecated and preferred ranks,
end dates, ``somevalue`` and ``novalue``, entities without an English label, ``[]`` for an empty
object. The same settings give the same bytes.
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

from dafnet_plugin.dafset.synthetic_json import (
    EXTERNAL,
    LANGUAGES,
    OTHERS,
    in_script,
    item_claim,
    other_claim,
    terms,
    text_claim,
    time_snak,
    unknown_snak,
)
from dafnet_plugin.errors import ConfigError
from dafnet_plugin.files import atomic_path

MEAN = {
    "bytes": 14_000,
    "statements": 14.0,
    "labels": 5.1,
    "descriptions": 25.4,
    "aliases": 1.05,
    "items among values": 0.36,
    "qualifiers of a statement": 0.38,
}
"""What an entity has on average.

The first five are of all of Wikidata: 1.4 TB for about 98 million entities (dump of July 2022),
1.57 billion statements for about 112 million items (mid-2024), 500 million labels, 2,471 million
descriptions and 103 million aliases for 97.3 million items (Wikitech, "Wikidata Vertical
Analysis", 2021). The last two are those of five whole entities (Q1, Q22, Q42, Q1040, Q131261; 379
statements). References, of which those five, from 2013 to 2018, have 0.5 a statement, fill up
what is missing.
"""
SYLLABLES = tuple("ba ko ri ma te lu so na vi de or an el ta mi ro sa ne ka lo".split())  # noqa: SIM905
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
        references: of a statement, on average.
        day: the last day of the dump's week, in UTC.
    """

    entities: int
    seed: int = 0
    changed: float = 0.0
    references: float = 0.8
    day: datetime = datetime(2024, 3, 8, tzinfo=timezone.utc)

    def __post_init__(self) -> None:
        if self.entities < 1:
            raise ConfigError(f"entities: {self.entities}; allowed: at least 1")
        if self.references < 0:
            raise ConfigError(f"references: {self.references}; allowed: at least 0")
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
        languages = LANGUAGES[: 1 + int(len(LANGUAGES) * rng.random() ** 9)]
        described = LANGUAGES[: rng.randrange(10, len(LANGUAGES) + 1)]
        if number % 40 == 7:  # no English label
            languages = languages[1:]
        claims, changed = self.claims(number, kind, rng)
        age = timedelta(hours=rng.randrange(24 if changed else 24 * 700))
        named = ["en", *(code for code in languages[1:] if rng.random() < 0.28)]
        aliases = {
            code: [{"language": code, "value": in_script(f"{name} {number}", code)}]
            for code in named
        }
        sites = [f"{code}wiki" for code in languages] if self.has_page(number) else []
        links = {site: {"site": site, "title": name, "badges": []} for site in sites}
        return {
            "type": "item",
            "id": f"Q{number}",
            "labels": terms(name, languages) or [],
            "descriptions": terms(f"{kind} of a made-up world", described),
            "aliases": aliases if number % 2 else [],
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
        cited = self.config.references
        claims = {"P31": [item_claim("P31", int(class_id[1:]), cited, rng)]}
        changed = False
        for relation, target in relations.items():
            object_ = self.any(target, rng)
            # Drawn apart from the rest, so that nothing else differs between the two dumps.
            fate = self.rng(number, relation)
            if fate.random() < self.config.changed:
                object_, changed = self.any(target, fate), True
            claims[relation] = self.group(relation, object_, target, rng)
        for relation in rng.sample(EXTERNAL, rng.randrange(3, len(EXTERNAL))):
            claims[relation] = [text_claim(relation, cited, rng)]
        for relation in rng.sample(list(OTHERS), rng.randrange(1, len(OTHERS))):
            claims[relation] = [other_claim(relation, cited, rng)]
        return claims, changed

    def group(self, relation: str, target: int, kind: str, rng: random.Random) -> list[Any]:
        """The statements of a relation: mostly one, else something to be sorted out."""
        cited = self.config.references
        main, other, case = (
            item_claim(relation, target, cited, rng),
            self.any(kind, rng),
            rng.random(),
        )
        if case < 0.90:
            return [main]
        second = item_claim(relation, other, cited, rng)
        if case < 0.94:  # what has ended
            second["qualifiers"] = {"P582": [time_snak("P582", "+2001-05-11T00:00:00Z", rng)]}
            return [main, second]
        if case < 0.96:
            return [main | {"rank": "preferred"}, second]
        if case < 0.98:
            return [second | {"rank": "deprecated"}, main]
        kind_of = "somevalue" if case < 0.99 else "novalue"
        return [second | {"mainsnak": unknown_snak(relation, kind_of, rng)}]
