"""Wikidata's JSON dump: one array, an entity a line; plain, gzip or bzip2.

A chunk is about ``chunk_bytes`` of decompressed text, whole lines. In a plain file a worker
reads its own chunk; a compressed stream is decompressed here, and its chunks are sent to the
workers, so that only a few of them are in memory however long the dump is.
"""

from __future__ import annotations

import io
import itertools
import re
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any, BinaryIO

from dafnet_plugin.dafset.graph import Drops, Entity, Reason
from dafnet_plugin.dafset.sources import Chunk
from dafnet_plugin.dafset.sources.files import (
    TruncatedError,
    file_provenance,
    is_compressed,
    open_stream,
)
from dafnet_plugin.dafset.sources.options import ReadOptions
from dafnet_plugin.dafset.sources.wikibase import EntityDecoder
from dafnet_plugin.errors import ConfigError, DataError

CHUNK_BYTES = 32 << 20
MAX_LINE = 64 << 20
"""Bytes of a line; the largest entities of Wikidata have 4 MiB."""
UNCLOSED = "there is no ] at its end"
_PIECE = 1 << 20
_DATE = re.compile(r"(?<!\d)(20\d\d)-?([01]\d)-?([0-3]\d)(?!\d)")


@dataclass(frozen=True)
class DumpSource:
    """A dump, or a part of one.

    Attributes:
        path: of the file; what it is is told by its content, not its name.
        chunk_bytes: decompressed size of a chunk.
        allow_truncated: take what a file that ends too early has, instead of an error at its
            end; the lines cut in two are counted.
        threads: that decompress bzip2, if ``indexed_bzip2`` is installed.
    """

    path: str | Path
    chunk_bytes: int = CHUNK_BYTES
    allow_truncated: bool = False
    threads: int = 1

    def __post_init__(self) -> None:
        if self.chunk_bytes < 1:
            raise ConfigError(f"chunk_bytes: {self.chunk_bytes}; allowed: at least 1")

    @property
    def name(self) -> str:
        """The path."""
        return str(self.path)

    def provenance(self) -> dict[str, Any]:
        """File, and the day of the dump where the file's name has it."""
        day = dump_date(self.path)
        return {
            "kind": "wikidata json dump",
            "files": [file_provenance(self.path)],
            "dump_date": day.isoformat() if day else None,
            "chunk_bytes": self.chunk_bytes,
        }

    def chunks(self, options: ReadOptions, done: Collection[int] = ()) -> Iterator[Chunk]:
        """The chunks that are not done.

        Raises:
            TruncatedError: the dump ends too early; all whole chunks before it were given.
            DataError: the file cannot be read or is damaged.
        """
        return self._streamed(done) if is_compressed(self.path) else self._ranges(done)

    def _ranges(self, done: Collection[int]) -> Iterator[Chunk]:
        with open_stream(self.path) as file:
            size, problem = _closing(file)
        if self.allow_truncated:
            problem = None
        whole = -(-size // self.chunk_bytes) - (problem is not None)  # the last has half a line
        for number in range(whole):
            if number not in done:
                start = number * self.chunk_bytes
                yield RangeChunk(number, str(self.path), start, start + self.chunk_bytes)
        self._complain(problem)

    def _streamed(self, done: Collection[int]) -> Iterator[Chunk]:
        opened, last = False, b""
        with open_stream(self.path, self.threads) as file:
            for number in itertools.count():
                text, problem = self._read(file)
                opened = opened or (number == 0 and text.lstrip()[:1] == b"[")
                last = text.rstrip()[-1:] or last
                at_end = problem is not None or len(text) < self.chunk_bytes
                if at_end and problem is None and opened and last != b"]":
                    problem = UNCLOSED
                if self.allow_truncated:
                    problem = None
                if text and problem is None and number not in done:
                    yield BytesChunk(number, str(self.path), text)
                if at_end:
                    break
        self._complain(problem)

    def _read(self, file: BinaryIO) -> tuple[bytes, str | None]:
        """The lines of a chunk, and why the file ends too early, if it does."""
        pieces: list[bytes] = []
        left = self.chunk_bytes
        try:
            while left > 0 and (piece := file.read(min(left, _PIECE))):
                pieces.append(piece)
                left -= len(piece)
            if left <= 0 and not pieces[-1].endswith(b"\n"):
                pieces.append(_line(file, self.path))
        except EOFError as error:
            return b"".join(pieces), str(error)
        return b"".join(pieces), None

    def _complain(self, problem: str | None) -> None:
        if problem is not None:
            raise TruncatedError(
                f"{self.path}: the dump ends too early: {problem}. What came before is kept; go "
                "on with the whole file, or with allow_truncated to take what is there"
            )


@dataclass(frozen=True, slots=True)
class RangeChunk:
    """The lines of a plain file that begin between two offsets (bytes)."""

    number: int
    path: str
    start: int
    end: int

    def entities(self, options: ReadOptions, drops: Drops) -> Iterator[Entity]:
        """Read and decode them."""
        with open_stream(self.path) as file:
            yield from _decode(self._read(file), self, options, drops)

    def _read(self, file: BinaryIO) -> Iterator[bytes | memoryview]:
        """The entities of the lines."""
        at = self.start
        if at:  # a line that begins before belongs to the chunk before
            file.seek(at - 1)
            at += len(_line(file, self.path)) - 1
        while at < self.end and (line := _line(file, self.path)):
            at += len(line)
            if line.startswith(b"{") and line.endswith(b"},\n"):  # as Wikidata writes them
                yield memoryview(line)[:-2]
            elif entity := line.rstrip(_AROUND_END).lstrip(_AROUND_START):
                yield entity


@dataclass(frozen=True, slots=True)
class BytesChunk:
    """Lines that are in memory."""

    number: int
    path: str
    text: bytes

    def entities(self, options: ReadOptions, drops: Drops) -> Iterator[Entity]:
        """Decode them."""
        yield from _decode(_lines(self.text), self, options, drops)


def _decode(
    lines: Iterable[bytes | memoryview],
    chunk: RangeChunk | BytesChunk,
    options: ReadOptions,
    drops: Drops,
) -> Iterator[Entity]:
    decoder, good, broken = EntityDecoder(options, drops), False, drops[Reason.BROKEN]
    for line in lines:
        entity = decoder.decode(line)
        if entity is not None:
            yield entity
        good = good or drops[Reason.BROKEN] == broken
    if not good and chunk.number == 0 and drops[Reason.BROKEN] > broken:
        raise DataError(
            f"{chunk.path}: none of the first {drops[Reason.BROKEN] - broken} lines is an entity; "
            "a Wikidata dump with one entity a line is needed"
        )


def _lines(text: bytes) -> Iterator[memoryview]:
    """The entities of a text, without what is around them; not copied."""
    view, begin, size = memoryview(text), 0, len(text)
    while begin < size:
        end = text.find(b"\n", begin)
        following = end + 1 if end >= 0 else size
        end = following
        while end > begin and text[end - 1] in _AROUND_END:
            end -= 1
        while begin < end and text[begin] in _AROUND_START:
            begin += 1
        if begin < end:
            yield view[begin:end]
        begin = following


_AROUND_START, _AROUND_END = b" \t\r[", b" \t\r\n,]"


def _line(file: BinaryIO, path: str | Path) -> bytes:
    line = file.readline(MAX_LINE)
    if len(line) >= MAX_LINE:
        raise DataError(
            f"{path}: a line is longer than {MAX_LINE} bytes; allowed: an entity a line"
        )
    return line


def _closing(file: BinaryIO) -> tuple[int, str | None]:
    """Size of a plain file, and what is wrong with its end."""
    opened = file.read(_PIECE).lstrip()[:1] == b"["
    size = file.seek(0, io.SEEK_END)
    file.seek(max(0, size - 4096))
    closed = file.read().rstrip()[-1:] == b"]"
    return size, UNCLOSED if opened and not closed else None


def dump_date(path: str | Path) -> date | None:
    """The day in the name of a dump or its folder, as in ``wikidata-20240308-all.json.gz``."""
    for name in (Path(path).name, Path(path).absolute().parent.name):
        for year, month, day in _DATE.findall(name):
            try:
                return date(int(year), int(month), int(day))
            except ValueError:
                continue
    return None
