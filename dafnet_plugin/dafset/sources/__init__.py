"""Where entities come from; each source gives the same :class:`~dafnet_plugin.dafset.graph.Entity`.

A source hands out *chunks*: numbered, independent of each other, always the same for the same
input. They are what is read in parallel, and what is not read again after an interruption.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from dafnet_plugin.dafset.graph import Drops, Entity
from dafnet_plugin.dafset.sources.options import ReadOptions


class Chunk(Protocol):
    """A part of a source; can be sent to another process."""

    @property
    def number(self) -> int:
        """Place in the source, from 0."""
        ...

    def entities(self, options: ReadOptions, drops: Drops) -> Iterator[Entity]:
        """Read it; what is dropped is added to ``drops``."""
        ...


class Source(Protocol):
    """Files or a service with entities."""

    @property
    def name(self) -> str:
        """For messages: a path or a URL."""
        ...

    def provenance(self) -> dict[str, Any]:
        """What was read, as plain JSON data: files with size and SHA-256, or URL and query.

        The same input gives the same data; ``retrieved``, for services, is not compared.
        """
        ...

    def chunks(self, options: ReadOptions, done: Collection[int] = ()) -> Iterator[Chunk]:
        """The chunks whose number is not in ``done``, in order.

        Raises:
            DataError: the input is unreadable from here on; the chunks before are good.
        """
        ...


@dataclass(frozen=True, slots=True)
class EntityChunk:
    """Entities that are there already, with what was dropped on the way to them."""

    number: int
    read: tuple[Entity, ...]
    dropped: Mapping[str, int]

    def entities(self, options: ReadOptions, drops: Drops) -> Iterator[Entity]:
        """Yield them."""
        drops.merge(self.dropped.items())
        yield from self.read


def read_source(
    source: Source, options: ReadOptions | None = None, drops: Drops | None = None
) -> Iterator[Entity]:
    """All entities of a source, one after another, in this process.

    Args:
        drops: is added to while the entities are read.

    Raises:
        DataError: the input is unreadable; what was yielded before is good.
    """
    options = options or ReadOptions()
    counted = Drops() if drops is None else drops
    for chunk in source.chunks(options):
        yield from chunk.entities(options, counted)


def open_source(path: str | Path, **settings: Any) -> Source:
    """The source that reads a file, which is told by what is in it.

    Args:
        path: a dump (one entity a line) or entity JSON, plain, ``.gz`` or ``.bz2``; or a KGTK
            file. Several KGTK files belong to one
            :class:`~dafnet_plugin.dafset.sources.kgtk.KgtkSource`.
        settings: of :class:`~dafnet_plugin.dafset.sources.dump.DumpSource`, where it is one.

    Raises:
        DataError: the file cannot be read or is none of these; says what it starts with.
    """
    from dafnet_plugin.dafset.sources.dump import DumpSource
    from dafnet_plugin.dafset.sources.entity_json import EntityJsonSource
    from dafnet_plugin.dafset.sources.files import sniff
    from dafnet_plugin.dafset.sources.kgtk import KgtkSource

    kind = sniff(path)
    if kind == "kgtk":
        return KgtkSource([path])
    if kind == "entity json":
        return EntityJsonSource([path])
    return DumpSource(path, **settings)


def open_sources(inputs: Iterable[str | Path | Source], **settings: Any) -> list[Source]:
    """The sources of several files; those that belong together become one.

    KGTK files are joined (labels, claims), and so are files with entity JSON. Sources that are
    given as objects are taken as they are.

    Args:
        settings: of the dumps among them.

    Raises:
        DataError: as :func:`open_source`.
    """
    from dafnet_plugin.dafset.sources.entity_json import EntityJsonSource
    from dafnet_plugin.dafset.sources.kgtk import KgtkSource

    opened: list[Source] = []
    files: dict[type, list[str | Path]] = {KgtkSource: [], EntityJsonSource: []}
    for item in inputs:
        source = open_source(item, **settings) if isinstance(item, str | Path) else item
        together = files.get(type(source)) if isinstance(item, str | Path) else None
        if together is None:
            opened.append(source)
            continue
        if not together:
            # Its place is that of its first file; the list goes on growing behind it.
            opened.append(type(source)(together))  # type: ignore[call-arg]
        together.append(item)  # type: ignore[arg-type]
    return opened
