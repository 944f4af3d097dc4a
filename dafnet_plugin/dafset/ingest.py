"""From sources to a store, on several cores, and from where it was interrupted.

Each chunk of a source becomes three files in ``chunks/``: entities, statements, and last a note
of what was dropped, which says that the chunk is done. When all chunks are done, they are
joined into the store (:mod:`~dafnet_plugin.dafset.finish`) and removed. Which process reads a
chunk changes nothing, so the store has the same bytes whatever ``jobs`` was.
"""

from __future__ import annotations

import gc
import multiprocessing
import shutil
import signal
from collections.abc import Callable, Collection, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any

from dafnet_plugin.dafset.finish import finish
from dafnet_plugin.dafset.graph import Drops, Entity, Reason
from dafnet_plugin.dafset.sources import Chunk, Source, open_sources
from dafnet_plugin.dafset.sources.files import digest
from dafnet_plugin.dafset.sources.options import ReadOptions, options_from
from dafnet_plugin.dafset.store import FORMAT, INFO, Columns, Store, read_info, write_table
from dafnet_plugin.errors import ConfigError, DataError
from dafnet_plugin.files import write_json

CHUNKS = "chunks"


@dataclass(frozen=True, slots=True)
class Progress:
    """How far an ingest is.

    Attributes:
        source: name of the source that is read.
        chunks: finished in this run.
        entities: read in this run.
    """

    source: str
    chunks: int
    entities: int


def ingest(
    sources: Sequence[str | Path | Source],
    store: str | Path,
    *,
    jobs: int = 1,
    language: str = "en",
    relations: Collection[str] | None = None,
    as_of: date | None = None,
    progress: Callable[[Progress], None] | None = None,
    **settings: Any,
) -> Store:
    """Read sources into a store; or go on where an earlier call was interrupted.

    An entity that several sources have is taken from the one that says it was modified last;
    among those that do not say, from the first that has statements.

    Args:
        sources: files (see :func:`~dafnet_plugin.dafset.sources.open_sources`) or sources.
        store: folder; it is made. A finished store of the same input is left as it is.
        jobs: processes that read; with more than one, a script needs
            ``if __name__ == "__main__":``.
        language: of labels, descriptions, aliases and page titles.
        relations: only these; None: all.
        as_of: the day that counts as today for end dates; None: the day of a dump, where its
            name says so; else whatever has an end date has ended.
        progress: is told after every chunk.
        settings: of dumps given as files: ``chunk_bytes``, ``allow_truncated``, ``threads``.

    Raises:
        ConfigError: an option is not allowed, or a library is missing.
        DataError: an input is unreadable, or the folder holds a store of other input. What was
            read so far is kept, and the same call goes on from there.
    """
    if jobs < 1:
        raise ConfigError(f"jobs: {jobs}; allowed: at least 1")
    opened = open_sources(sources, **settings)
    if not opened:
        raise ConfigError("sources: none; allowed: at least one file or source")
    folder, provenance = Path(store), [source.provenance() for source in opened]
    options = options_from(language, relations, as_of or _dump_day(provenance))
    plan = {
        "language": options.language,
        "relations": sorted(options.relations) if options.relations is not None else None,
        "as_of": options.as_of.isoformat() if options.as_of else None,
        "sources": provenance,
    }
    if _begin(folder, plan, opened):
        return Store(folder)
    counted = _Counter(progress)
    with _pool(jobs) as pool:
        for index, source in enumerate(opened):
            _read(source, folder / CHUNKS / f"{index:03d}", options, pool, jobs, counted)
        finish(folder, folder / CHUNKS, plan, map if pool is None else pool.map)
    shutil.rmtree(folder / CHUNKS)
    return Store(folder)


def _dump_day(provenance: Sequence[dict[str, Any]]) -> date | None:
    days = [day for item in provenance if (day := item.get("dump_date"))]
    return date.fromisoformat(max(days)) if days else None


def _begin(folder: Path, plan: dict[str, Any], sources: Sequence[Source]) -> bool:
    """Note the plan; True when it was carried out already.

    Raises:
        DataError: the folder holds the store of another plan, or something else.
    """
    info = read_info(folder)
    if info is None:
        if folder.is_dir() and any(folder.iterdir()):
            raise DataError(
                f"{folder}: is not empty, and has no {INFO}; allowed: a new folder, or a store"
            )
    elif (difference := _difference(info.get("plan") or {}, plan, sources)) is not None:
        raise DataError(
            f"{folder}: holds a store of other input: {difference}; allowed: the same input, "
            "another folder, or this one emptied"
        )
    elif info.get("complete"):
        return True
    write_json(folder / INFO, {"format": FORMAT, "complete": False, "plan": plan})
    return False


def _difference(old: dict[str, Any], new: dict[str, Any], sources: Sequence[Source]) -> str | None:
    """What distinguishes two plans; a dump that has grown is the one that was cut short."""
    for key in ("language", "relations", "as_of"):
        if old.get(key) != new[key]:
            return f"{key} was {old.get(key)!r}, now it is {new[key]!r}"
    if len(old.get("sources", ())) != len(new["sources"]):
        return f"{len(old.get('sources', ()))} sources, now {len(new['sources'])}"
    for before, now, source in zip(old["sources"], new["sources"], sources):
        before, now = (
            {k: v for k, v in item.items() if k != "retrieved"} for item in (before, now)
        )
        if before != now and not _grown(before, now, source):
            keys = [key for key in {**before, **now} if before.get(key) != now.get(key)]
            return f"{source.name} differs in {', '.join(sorted(keys))}"
    return None


def _grown(before: dict[str, Any], now: dict[str, Any], source: Source) -> bool:
    """Whether a file begins with what it was before: the rest of a download came."""
    path = getattr(source, "path", None)
    if path is None or {**before, "files": 0} != {**now, "files": 0}:
        return False
    (old,), (new,) = before["files"], now["files"]
    return bool(old["size"] < new["size"] and digest(path, old["size"]) == old["sha256"])


class _Counter:
    """Passes on how far the ingest is."""

    def __init__(self, progress: Callable[[Progress], None] | None) -> None:
        self.progress, self.chunks, self.entities = progress, 0, 0

    def add(self, source: Source, entities: int) -> None:
        self.chunks += 1
        self.entities += entities
        if self.progress is not None:
            self.progress(Progress(source.name, self.chunks, self.entities))


@contextmanager
def _pool(jobs: int) -> Iterator[ProcessPoolExecutor | None]:
    if jobs == 1:
        yield None
        return
    # Not forked: the caller may hold threads and locks.
    context = multiprocessing.get_context("spawn")
    pool = ProcessPoolExecutor(jobs, mp_context=context, initializer=_ignore_interrupt)
    try:
        yield pool
    except BrokenProcessPool as error:
        raise DataError(
            "a process that reads was killed (out of memory? allowed: fewer jobs, or a smaller "
            "chunk_bytes); what was read so far is kept, the same call goes on from there"
        ) from error
    finally:
        pool.shutdown(cancel_futures=True)


def _ignore_interrupt() -> None:
    # Ctrl-C goes to all processes; the first one stops the others, after their chunk.
    signal.signal(signal.SIGINT, signal.SIG_IGN)


def _read(
    source: Source,
    folder: Path,
    options: ReadOptions,
    pool: ProcessPoolExecutor | None,
    jobs: int,
    counted: _Counter,
) -> None:
    """Read the chunks of a source that are not done.

    When it breaks off, the chunks before are done first.
    """
    done = {int(path.stem) for path in folder.glob("*.json")} if folder.is_dir() else set()
    chunks = source.chunks(options, done)
    if pool is None:
        for chunk in chunks:
            counted.add(source, write_chunk(chunk, options, folder))
        return
    running: set[Future[int]] = set()
    try:
        for chunk in chunks:
            running.add(pool.submit(write_chunk, chunk, options, folder))
            if len(running) > jobs + 1:  # so many chunks are in memory
                finished, running = wait(running, return_when=FIRST_COMPLETED)
                for future in finished:
                    counted.add(source, future.result())
    finally:
        for future in running:
            counted.add(source, future.result())


def write_chunk(chunk: Chunk, options: ReadOptions, folder: Path) -> int:
    """Read a chunk and write it; returns how many entities it has.

    Raises:
        DataError: it cannot be read.
    """
    drops, columns = Drops(), Columns()
    redirects: list[tuple[str, str]] = []
    with _no_collection():
        for entity in _unique(chunk.entities(options, drops), drops):
            columns.add(entity)
            redirects += [(old, entity.id) for old in entity.redirected_from]
        entities, statements = columns.entity_table(), columns.statement_table()
    name = f"{chunk.number:06d}"
    write_table(folder / f"{name}.entities.parquet", entities)
    write_table(folder / f"{name}.statements.parquet", statements)
    note = {"entities": entities.num_rows, "drops": drops.as_dict(), "redirects": redirects}
    write_json(folder / f"{name}.json", note)  # last: it says that the chunk is done
    return int(entities.num_rows)


@contextmanager
def _no_collection() -> Iterator[None]:
    """Pause the collector of cycles, which would walk through all that is being gathered."""
    was = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was:
            gc.enable()


def _unique(entities: Iterator[Entity], drops: Drops) -> Iterator[Entity]:
    """Each entity of a chunk once, the last modified of its kind."""
    kept: dict[str, Entity] = {}
    for entity in entities:
        before = kept.get(entity.id)
        if before is not None:
            drops[Reason.DUPLICATE] += 1
            if _weight(entity) <= _weight(before):
                continue
        kept[entity.id] = entity
    yield from kept.values()


def _weight(entity: Entity) -> tuple[str, bool]:
    return (entity.modified.isoformat() if entity.modified else "", bool(entity.statements))
