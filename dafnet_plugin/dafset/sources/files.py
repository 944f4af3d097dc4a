"""Compressed files as streams, and what a file is by its first bytes."""

from __future__ import annotations

import hashlib
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO, cast

from dafnet_plugin.errors import DataError

GZIP, BZIP2 = b"\x1f\x8b", b"BZh"
_FOREIGN = {b"PK\x03\x04": "a zip archive", b"\x28\xb5\x2f\xfd": "zstd", b"\xfd7zXZ": "xz",
            b"PAR1": "Parquet", b"%PDF": "PDF", b"<": "HTML or XML"}  # fmt: skip
_BLOCK = 1 << 20


class TruncatedError(DataError):
    """A file ends before its end, as after a download that broke off."""


@contextmanager
def open_stream(path: str | Path, threads: int = 1) -> Iterator[BinaryIO]:
    """Open a file, decompressed if it is gzip or bzip2, whatever its name says.

    Args:
        threads: for bzip2, which is slow; needs ``indexed_bzip2``, without it one is used.

    Raises:
        TruncatedError: the compressed data end too early.
        DataError: the file cannot be read, or its compressed data are damaged.
    """
    try:
        with _open(Path(path), threads) as file:
            yield file
    except EOFError as error:
        raise TruncatedError(f"{path}: the compressed data end too early: {error}") from error
    except (zlib.error, ValueError, RuntimeError) as error:
        raise DataError(f"{path}: damaged compressed data: {error}") from error
    except OSError as error:
        raise DataError(f"{path}: cannot be read: {error.strerror or error}") from error


def _open(path: Path, threads: int) -> BinaryIO:
    with open(path, "rb") as file:
        head = file.read(4)
    if head.startswith(GZIP):
        try:  # several times as fast as the standard library
            from isal import igzip as gzip
        except ImportError:
            import gzip
        return cast(BinaryIO, gzip.open(path, "rb"))
    if head.startswith(BZIP2):
        return _open_bzip2(path, threads)
    return open(path, "rb", buffering=_BLOCK)


def _open_bzip2(path: Path, threads: int) -> BinaryIO:
    if threads > 1:
        try:
            import indexed_bzip2

            return cast(BinaryIO, indexed_bzip2.open(str(path), parallelization=threads))
        except ImportError:
            pass
    import bz2

    return cast(BinaryIO, bz2.open(path, "rb"))


def is_compressed(path: str | Path) -> bool:
    """Whether a file is gzip or bzip2.

    Raises:
        DataError: it cannot be read.
    """
    try:
        with open(path, "rb") as file:
            return file.read(3).startswith((GZIP, BZIP2))
    except OSError as error:
        raise DataError(f"{path}: cannot be read: {error.strerror}") from error


def sniff(path: str | Path) -> str:
    """What a file holds: ``"dump"``, ``"entity json"`` or ``"kgtk"``.

    Raises:
        DataError: none of these; says what it starts with.
    """
    with open_stream(path) as file:
        head = file.read(4096)
    start = head.lstrip(b"\xef\xbb\xbf \t\r\n")
    if start[:1] == b"[":
        return "dump"
    if start[:1] == b"{":
        # An entity a line is a dump, too; one entity, or a reply of the API, is not.
        single = b"\n" not in start.rstrip() and len(head) < 4096
        reply = start[1:].lstrip().startswith((b'"entities"', b'"batchcomplete"', b'"success"'))
        pretty = start[1:2] in b"\r\n"
        return "entity json" if reply or single or pretty or _is_one_line(path) else "dump"
    if {b"node1", b"node2", b"label"} <= set(head.split(b"\n", 1)[0].rstrip(b"\r").split(b"\t")):
        return "kgtk"
    raise DataError(f"{path}: {_describe(start)}; {_ALLOWED}")


_ALLOWED = (
    "allowed: a Wikidata JSON dump with an entity a line, entity JSON of the API "
    "(plain, .gz or .bz2), or a KGTK file with columns node1, label, node2"
)


def _describe(start: bytes) -> str:
    if not start:
        return "the file is empty"
    for magic, what in _FOREIGN.items():
        if start.startswith(magic):
            return f"is {what}"
    return f"starts with {start[:20]!r}"


def _is_one_line(path: str | Path, limit: int = 64 * _BLOCK) -> bool:
    """Whether all of a file is on one line: an entity alone rather than the first of many."""
    with open_stream(path) as file:
        line = file.readline(limit)
        return not file.read(16).strip() if line.endswith(b"\n") else True


def digest(path: str | Path, size: int | None = None) -> str:
    """The SHA-256 of a file, or of its first ``size`` bytes, in constant memory.

    Raises:
        DataError: it cannot be read.
    """
    hashed, left = hashlib.sha256(), size
    try:
        with open(path, "rb") as file:
            while block := file.read(_BLOCK if left is None else min(_BLOCK, left)):
                hashed.update(block)
                left = None if left is None else left - len(block)
    except OSError as error:
        raise DataError(f"{path}: cannot be read: {error.strerror}") from error
    return hashed.hexdigest()


def file_provenance(path: str | Path) -> dict[str, Any]:
    """Name, size in bytes and SHA-256 of a file; not where it lies on this machine.

    Raises:
        DataError: it cannot be read.
    """
    path = Path(path)
    return {"file": path.name, "sha256": digest(path), "size": path.stat().st_size}
