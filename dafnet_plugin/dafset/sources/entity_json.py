"""Entity JSON: replies of ``wbgetentities`` and ``Special:EntityData``, or bare entities.

A file holds ``{"entities": {"Q42": {...}}}``, one entity, or a list of them.
:class:`ApiSource` asks a service for them; the URL is the user's, and no other is asked.
"""

from __future__ import annotations

import itertools
import urllib.parse
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from dafnet_plugin.dafset.graph import Drops, Entity, Reason, check_ids
from dafnet_plugin.dafset.sources import Chunk, name_of
from dafnet_plugin.dafset.sources.files import file_provenance, open_stream
from dafnet_plugin.dafset.sources.http import Client, check_url
from dafnet_plugin.dafset.sources.options import ReadOptions
from dafnet_plugin.dafset.sources.wikibase import EntityDecoder, msgspec
from dafnet_plugin.errors import DataError

MAX_FILE = 256 << 20
"""Bytes of a file with entity JSON; what is longer is better written an entity a line."""
BATCH = 50
"""Entities of a request; what Wikidata's API allows."""
_PROPS = "info|labels|descriptions|aliases|claims|sitelinks"


@dataclass(frozen=True)
class EntityJsonSource:
    """Files with entity JSON; plain, gzip or bzip2. A file is a chunk."""

    paths: Sequence[str | Path]

    @property
    def name(self) -> str:
        """The first path."""
        return name_of(self.paths)

    def provenance(self) -> dict[str, Any]:
        """The files."""
        return {"kind": "entity json", "files": [file_provenance(path) for path in self.paths]}

    def chunks(self, options: ReadOptions, done: Collection[int] = ()) -> Iterator[Chunk]:
        """One for each file.

        Raises:
            DataError: a file cannot be read, or is too long.
        """
        for number, path in enumerate(self.paths):
            if number not in done:
                with open_stream(path) as file:
                    text = file.read(MAX_FILE + 1)
                if len(text) > MAX_FILE:
                    raise DataError(
                        f"{path}: more than {MAX_FILE} bytes of entity JSON; allowed: that, or "
                        "a dump with an entity a line"
                    )
                yield ReplyChunk(number, str(path), text)


@dataclass(frozen=True)
class ApiSource:
    """Items from Wikidata's API, fifty a request.

    Attributes:
        url: of ``api.php``, for ``wbgetentities``; or with ``{id}`` in it, for
            ``Special:EntityData/{id}.json``, an item a request.
        ids: of the items.
        client: how it is asked.
    """

    url: str
    ids: Sequence[str]
    client: Client = field(default_factory=Client)

    def __post_init__(self) -> None:
        check_url(self.url.replace("{id}", "Q1"))
        check_ids(self.ids, "ids of the API")

    @property
    def name(self) -> str:
        """The URL."""
        return self.url

    def provenance(self) -> dict[str, Any]:
        """URL and ids."""
        return {"kind": "wikidata api", "url": self.url, "ids": list(self.ids)}

    def chunks(self, options: ReadOptions, done: Collection[int] = ()) -> Iterator[Chunk]:
        """One for each request, which is made when the chunk is asked for.

        Raises:
            DataError: the service does not answer, or not with entities.
        """
        single = "{id}" in self.url
        ids = list(dict.fromkeys(self.ids))
        size = 1 if single else BATCH
        for number, start in enumerate(range(0, len(ids), size)):
            if number not in done:
                batch = ids[start : start + size]
                text = (
                    self.client.get(self.url.replace("{id}", batch[0]))
                    if single
                    else self._batch(batch, options)
                )
                yield ReplyChunk(number, self.url, text)

    def _batch(self, ids: Sequence[str], options: ReadOptions) -> bytes:
        query = {
            "action": "wbgetentities",
            "format": "json",
            "ids": "|".join(ids),
            "props": _PROPS,
            "languages": f"{options.language}|mul",
            "sitefilter": options.wiki,
            "maxlag": "5",
        }
        separator = "&" if urllib.parse.urlsplit(self.url).query else "?"
        return self.client.get(self.url + separator + urllib.parse.urlencode(query))


@dataclass(frozen=True, slots=True)
class ReplyChunk:
    """A file or a reply of the API, in memory."""

    number: int
    name: str
    text: bytes

    def entities(self, options: ReadOptions, drops: Drops) -> Iterator[Entity]:
        """Decode it.

        Raises:
            DataError: it is not JSON, holds an error of the API, or no entities.
        """
        decoder = EntityDecoder(options, drops)
        for asked, raw in _entities(self.name, self.text):
            if bytes(raw).strip()[:1] != b"{":
                drops[Reason.MALFORMED] += 1
                continue
            entity = decoder.decode(raw)
            if entity is None:
                continue
            if asked not in ("", entity.id, *entity.redirected_from):
                # Special:EntityData names what was asked for, and gives what it is now.
                entity = _renamed(entity, asked)
            yield entity


def _renamed(entity: Entity, asked: str) -> Entity:
    return msgspec.structs.replace(entity, redirected_from=(*entity.redirected_from, asked))


def _entities(name: str, text: bytes) -> Iterator[tuple[str, msgspec.Raw]]:
    """The entities of a reply with the ids that were asked for."""
    try:
        if text.lstrip()[:1] == b"[":
            return zip(itertools.repeat(""), msgspec.json.decode(text, type=list[msgspec.Raw]))
        reply = msgspec.json.decode(text, type=dict[str, msgspec.Raw])
        if "error" in reply:
            raise DataError(f"{name}: the API answered with an error: {_error(reply['error'])}")
        if "entities" in reply:
            found = msgspec.json.decode(reply["entities"], type=dict[str, msgspec.Raw] | list)
            return iter(found.items() if isinstance(found, dict) else ())
    except msgspec.DecodeError as error:
        raise DataError(f"{name}: not entity JSON: {error}") from error
    if "id" in reply:
        return iter([("", msgspec.Raw(text))])
    raise DataError(
        f"{name}: an object with the keys {', '.join(map(repr, list(reply)[:5]))}; allowed: "
        "'entities', an entity with an 'id', or a list of entities"
    )


def _error(raw: msgspec.Raw) -> str:
    error = msgspec.json.decode(raw)
    if not isinstance(error, dict):
        return str(error)[:200]
    return f"{error.get('code')}: {error.get('info')}"[:200]
