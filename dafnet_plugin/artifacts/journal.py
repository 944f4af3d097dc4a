"""A journal of edits on disk that survives whatever kills the process.

The file begins with a line on the base model and network, and every change of the sequence is one
more line: how many calls of the sequence stay, and which come after them. A line is in the file as
a whole, or, if the process died while writing it, it is cut off when the journal is opened again;
lines before it are never touched.
"""

from __future__ import annotations

import json
import os
import zlib
from collections.abc import Mapping
from contextlib import ExitStack
from io import FileIO
from pathlib import Path
from typing import Any

from dafnet_plugin.artifacts.checkpoint import versions
from dafnet_plugin.artifacts.record_json import calls_from_json, calls_to_json
from dafnet_plugin.editing.record import Calls, common
from dafnet_plugin.errors import CheckpointError, DataError
from dafnet_plugin.files import atomic_path
from dafnet_plugin.locks import exclusive

FORMAT = 1
FILE, SNAPSHOTS = "journal.log", "snapshots"


class Journal:
    """The journal in one folder, held by one process at a time.

    Args:
        folder: made if it is not there.

    Attributes:
        header: what was written about base model and network; None of a new journal.
        calls: the sequence of edits that it leads to.

    Raises:
        ConfigError: another process has it open.
        CheckpointError: not a journal, of another format, or damaged; names file and line.
    """

    def __init__(self, folder: str | os.PathLike[str]) -> None:
        self.folder = Path(folder)
        self.path = self.folder / FILE
        self._open = ExitStack()
        who = "edits are journalled here by another process, or by another object of this one"
        self._open.enter_context(exclusive(self.folder / ".lock", 0, who))
        try:
            for left_over in self.folder.glob(f".{FILE}.*"):
                left_over.unlink(missing_ok=True)
            self.header, self.calls, self._size = read_journal(self.path)
            self._file = self._opened() if self.header is not None else None
        except BaseException:
            self._open.close()
            raise

    def begin(self, identity: Mapping[str, Any]) -> None:
        """Write the first line of a new journal."""
        assert self.header is None  # it has none yet
        self.header = {"format": FORMAT, **identity, "versions": versions()}
        line = _line(self.header)
        with atomic_path(self.path) as temporary:
            temporary.write_bytes(line)
        _sync_folder(self.folder)
        self._size = len(line)
        self._file = self._opened()

    def write(self, calls: Calls) -> None:
        """Let the journal lead to other calls; when this returns, they are on disk.

        Raises:
            OSError: they could not be written; the journal is as it was.
        """
        keep = common(self.calls, calls)
        if keep == len(calls) == len(self.calls):
            return
        assert self._file is not None  # a journal is begun before it is written to
        line = _line({"keep": keep, **calls_to_json(calls[keep:])})
        try:
            written = 0
            while written < len(line):
                written += os.write(self._file.fileno(), line[written:])
            os.fsync(self._file.fileno())
        except OSError:
            self._file.truncate(self._size)
            raise
        self._size += len(line)
        self.calls = calls

    def close(self) -> None:
        """Let go of the folder; the journal can be opened again."""
        self._open.close()

    def _opened(self) -> FileIO:
        file = self._open.enter_context(FileIO(self.path, "ab"))
        if os.fstat(file.fileno()).st_size != self._size:
            file.truncate(self._size)  # the rest of a line that was never finished
        return file


def read_journal(path: Path) -> tuple[dict[str, Any] | None, Calls, int]:
    """Read a journal without opening it for writing.

    Returns:
        its first line (None if there is no file), the calls it leads to, and how many bytes of it
        are whole lines.

    Raises:
        CheckpointError: not a journal, of another format, or damaged; names file and line.
    """
    if not path.exists():
        return None, (), 0
    data = path.read_bytes()
    size = data.rfind(b"\n") + 1  # a line ends with its last byte: without it, it was cut short
    lines = data[:size].splitlines()
    if not lines:
        raise CheckpointError(f"{path}: not a journal of edits: it has no first line")
    header = _read(path, 1, lines[0])
    if header.get("format") != FORMAT:
        raise CheckpointError(
            f"{path}: format {header.get('format')!r}; this version reads {FORMAT}"
        )
    calls: Calls = ()
    for number, line in enumerate(lines[1:], start=2):
        entry = _read(path, number, line)
        keep = entry.get("keep")
        if not isinstance(keep, int) or not 0 <= keep <= len(calls):
            raise CheckpointError(
                f"{path}: line {number}: keep is {keep!r}; allowed: 0 to {len(calls)}"
            )
        try:
            calls = (*calls[:keep], *calls_from_json(entry))
        except DataError as error:
            raise CheckpointError(f"{path}: line {number}: {error}") from error
    return header, calls, size


def _line(value: Mapping[str, Any]) -> bytes:
    text = json.dumps(value, ensure_ascii=True).encode()
    return b"%08x %s\n" % (zlib.crc32(text), text)


def _read(path: Path, number: int, line: bytes) -> dict[str, Any]:
    checksum, _, text = line.partition(b" ")
    if checksum != b"%08x" % zlib.crc32(text):
        raise CheckpointError(f"{path}: line {number} is damaged: its checksum is another one")
    value = json.loads(text)
    if not isinstance(value, dict):
        raise CheckpointError(f"{path}: line {number}: allowed: a JSON object")
    return value


def _sync_folder(folder: Path) -> None:
    """Make a new name in a folder last, where folders can be synchronised."""
    try:
        descriptor = os.open(folder, os.O_RDONLY)
    except OSError:  # Windows
        return
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
