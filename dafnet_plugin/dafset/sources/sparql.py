"""A SPARQL endpoint with Wikidata's vocabulary: what changed lately, for some relations.

First one query a relation for the statements of the subjects that were modified last, then
queries for the names of all that occurred. Set ``Client.cache`` to keep the answers: an
interrupted build then goes on where it was. (That a fact has *no* value is not in the answers;
such a fact has no statement here.)
"""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timezone
from typing import Any, NamedTuple

from dafnet_plugin.dafset.graph import (
    DEPRECATED,
    NORMAL,
    PREFERRED,
    Claim,
    Drops,
    Entity,
    Reason,
    Statement,
    check_ids,
    clean,
    is_item,
    iso_date,
    judge,
    utc_time,
)
from dafnet_plugin.dafset.sources import Chunk, EntityChunk
from dafnet_plugin.dafset.sources.http import Client, ServiceError, check_url
from dafnet_plugin.dafset.sources.options import FALLBACK, ReadOptions
from dafnet_plugin.errors import ConfigError

CHUNK_ENTITIES = 5_000
NAMES_BATCH = 200
_RANKS = {"PreferredRank": PREFERRED, "NormalRank": NORMAL, "DeprecatedRank": DEPRECATED}
_ACCEPT = {"Accept": "application/sparql-results+json"}

# A subject is either here with all its statements of the relation or not at all, so the limit is
# on subjects; else a preferred statement could be cut off, and a normal one taken for the best.
STATEMENTS = """\
PREFIX p: <http://www.wikidata.org/prop/>
PREFIX ps: <http://www.wikidata.org/prop/statement/>
PREFIX pq: <http://www.wikidata.org/prop/qualifier/>
PREFIX pqv: <http://www.wikidata.org/prop/qualifier/value/>
PREFIX schema: <http://schema.org/>
PREFIX wikibase: <http://wikiba.se/ontology#>
PREFIX xsd: <http://www.w3.org/2001/XMLSchema#>
SELECT ?subject ?modified ?statement ?object ?rank ?start ?startPrecision ?end ?endPrecision ?ended
WHERE {{
  {{ SELECT DISTINCT ?subject ?modified WHERE {{
      ?subject p:{relation} [] ; schema:dateModified ?modified .{since}
    }} ORDER BY DESC(?modified) ?subject LIMIT {limit} }}
  ?subject p:{relation} ?statement .
  ?statement ps:{relation} ?object ; wikibase:rank ?rank .
  OPTIONAL {{ ?statement pqv:P580 [ wikibase:timeValue ?start ;
                                   wikibase:timePrecision ?startPrecision ] }}
  OPTIONAL {{ ?statement pqv:P582 [ wikibase:timeValue ?end ;
                                   wikibase:timePrecision ?endPrecision ] }}
  OPTIONAL {{ ?statement pq:P582 ?ended }}
}}
"""
SINCE = '\n      FILTER(?modified >= "{since}"^^xsd:dateTime)'
NAMES = """\
PREFIX rdfs: <http://www.w3.org/2000/01/rdf-schema#>
PREFIX schema: <http://schema.org/>
PREFIX skos: <http://www.w3.org/2004/02/skos/core#>
PREFIX wd: <http://www.wikidata.org/entity/>
SELECT ?item ?kind ?text WHERE {{
  VALUES ?item {{ {items} }}
  {{ ?item rdfs:label ?text BIND("label" AS ?kind) FILTER(LANG(?text) IN ({languages})) }}
  UNION
  {{ ?item schema:description ?text BIND("description" AS ?kind)
     FILTER(LANG(?text) IN ({languages})) }}
  UNION
  {{ ?item skos:altLabel ?text BIND("alias" AS ?kind) FILTER(LANG(?text) IN ({languages})) }}
  UNION
  {{ ?page schema:about ?item ; schema:isPartOf <https://{wiki}.wikipedia.org/> ;
          schema:name ?text BIND("page" AS ?kind) }}
}}
"""


_Row = Mapping[str, Any]  # variable -> {"type": ..., "value": ...}


class _Subject(NamedTuple):
    modified: datetime | None
    claims: dict[str, dict[str, Claim]]  # relation -> statement's URI -> claim


@dataclass(frozen=True)
class SparqlSource:
    """The subjects modified last that have a statement of a relation.

    Attributes:
        endpoint: URL of the service, such as ``https://query.wikidata.org/sparql``.
        relations: ids of properties.
        since: only subjects modified at this time or later; None: the last ones.
        limit: subjects for each relation, at most.
        client: how it is asked.
    """

    endpoint: str
    relations: Sequence[str]
    since: datetime | None = None
    limit: int = 1000
    client: Client = field(default_factory=Client)

    def __post_init__(self) -> None:
        check_url(self.endpoint)
        check_ids(self.relations, "relations of SPARQL", properties=True)
        if self.limit < 1:
            raise ConfigError(f"limit: {self.limit}; allowed: at least 1")

    @property
    def name(self) -> str:
        """The URL."""
        return self.endpoint

    def provenance(self) -> dict[str, Any]:
        """Endpoint, relations and query (for the first of them)."""
        return {
            "kind": "sparql",
            "endpoint": self.endpoint,
            "relations": list(self.relations),
            "query": self.query(self.relations[0]) if self.relations else None,
        }

    def query(self, relation: str) -> str:
        """The query for the statements of a relation."""
        since = ""
        if self.since is not None:
            time = self.since.astimezone(timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ")
            since = SINCE.format(since=time)
        return STATEMENTS.format(relation=relation, since=since, limit=self.limit)

    def chunks(self, options: ReadOptions, done: Collection[int] = ()) -> Iterator[Chunk]:
        """The subjects and what they point to, five thousand a chunk.

        Raises:
            DataError: the service does not answer, or not with results.
        """
        drops = Drops()
        subjects = self._subjects(drops)
        items = set(subjects) | {
            claim.object
            for subject in subjects.values()
            for claims in subject.claims.values()
            for claim in claims.values()
            if claim.object
        }
        order = sorted(items, key=lambda item: int(item[1:]))
        for number, first in enumerate(range(0, len(order), CHUNK_ENTITIES)):
            if number not in done:
                chosen = order[first : first + CHUNK_ENTITIES]
                read = tuple(self._entities(chosen, subjects, options, drops))
                yield EntityChunk(number, read, dict(drops))
            drops.clear()

    def _subjects(self, drops: Drops) -> dict[str, _Subject]:
        found: dict[str, _Subject] = {}
        for relation in self.relations:
            for row in self._ask(self.query(relation)):
                item = _id(_cell(row, "subject"))
                statement = _value(row, "statement")
                if item is None or statement is None:
                    drops[Reason.MALFORMED_STATEMENT] += 1
                    continue
                modified = utc_time(_value(row, "modified") or "")
                subject = found.setdefault(item, _Subject(modified, {}))
                claims = subject.claims.setdefault(relation, {})
                # A statement with two end dates makes two rows; the last lets it live longest.
                before = claims.get(statement)
                claim = _claim(row, drops if before is None else Drops())
                if before is None or (before.object and _later(claim.end, before.end)):
                    claims[statement] = claim
        return found

    def _entities(
        self,
        items: Sequence[str],
        subjects: Mapping[str, _Subject],
        options: ReadOptions,
        drops: Drops,
    ) -> Iterator[Entity]:
        for first in range(0, len(items), NAMES_BATCH):
            batch = items[first : first + NAMES_BATCH]
            names = self._names(batch, options)
            for item in batch:
                texts = names.get(item, {})
                label, description, page = (
                    next(iter(texts.get(kind, ())), None)
                    for kind in ("label", "description", "page")
                )
                if label is None:
                    drops[Reason.NO_LABEL] += 1
                subject = subjects.get(item, _Subject(None, {}))
                statements: list[Statement] = []
                for relation, claims in subject.claims.items():
                    statements += judge(relation, list(claims.values()), drops, options.as_of)
                aliases = tuple(name for name in texts.get("alias", ()) if name != label)
                yield Entity(
                    item, label, description, aliases, page, subject.modified, tuple(statements)
                )

    def _names(
        self, items: Sequence[str], options: ReadOptions
    ) -> dict[str, dict[str, dict[str, None]]]:
        """Item -> kind of name -> names, those in the language asked for first."""
        query = NAMES.format(
            items=" ".join(f"wd:{item}" for item in items),
            languages=", ".join(f'"{code}"' for code in (options.language, FALLBACK)),
            wiki=options.language,
        )
        names: dict[str, dict[str, dict[str, None]]] = {}
        rows = sorted(
            self._ask(query),
            key=lambda row: _cell(row, "text").get("xml:lang") == FALLBACK,
        )
        for row in rows:
            item, kind, text = _id(_cell(row, "item")), _value(row, "kind"), _value(row, "text")
            if item and kind and text and (name := clean(text)):
                names.setdefault(item, {}).setdefault(kind, {})[name] = None
        return names

    def _ask(self, query: str) -> list[_Row]:
        body = self.client.post(self.endpoint, {"query": query, "format": "json"}, _ACCEPT)
        try:
            rows = json.loads(body)["results"]["bindings"]
        except (ValueError, KeyError, TypeError) as error:
            # A query that runs out of time breaks off in the middle of the answer.
            raise ServiceError(
                f"{self.endpoint}: the answer is no SPARQL result in JSON, it ends with "
                f"{body[-60:]!r} (a query that took too long? allowed: a smaller limit)"
            ) from error
        if not isinstance(rows, list):
            raise ServiceError(f"{self.endpoint}: 'bindings' is no list")
        return [row for row in rows if isinstance(row, dict)]


def _claim(row: _Row, drops: Drops) -> Claim:
    rank = _RANKS.get((_value(row, "rank") or "").rpartition("#")[2])
    cell = _cell(row, "object")
    target = _id(cell)
    if rank is None:
        drops[Reason.MALFORMED_STATEMENT] += 1
        return Claim(None, NORMAL)
    if target is None:
        unknown = cell.get("type") == "bnode" or "/.well-known/genid/" in str(cell.get("value"))
        reason = Reason.SOMEVALUE if unknown else Reason.NOT_AN_ITEM
        drops[Reason.DEPRECATED if rank == DEPRECATED else reason] += 1
        return Claim(None, rank)
    start, end = (_day(row, name, drops) for name in ("start", "end"))
    return Claim(target, rank, start, end, "end" in row or "ended" in row)


def _day(row: _Row, name: str, drops: Drops) -> str | None:
    time, precision = _value(row, name), _value(row, f"{name}Precision") or "11"
    if time is None:
        return None
    day = iso_date(time, int(precision)) if precision.isdecimal() else None
    if day is None:
        drops[Reason.BAD_TIME] += 1
    return day


def _later(day: str | None, other: str | None) -> bool:
    """Whether an end date is known to be the later one."""
    return day is not None and (other is None or day > other)


def _cell(row: _Row, name: str) -> Mapping[str, Any]:
    """The value of a variable, empty where an answer has something else there."""
    cell = row.get(name)
    return cell if isinstance(cell, Mapping) else {}


def _value(row: _Row, name: str) -> str | None:
    value = _cell(row, name).get("value")
    return value if isinstance(value, str) else None


def _id(cell: Mapping[str, Any]) -> str | None:
    """``Q42`` from ``http://www.wikidata.org/entity/Q42``, None from anything else."""
    match = re.fullmatch(r"https?://[^/]+/entity/(Q\d+)", str(cell.get("value")))
    return match[1] if match and is_item(match[1]) else None
