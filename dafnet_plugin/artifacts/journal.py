"""A journal of edits on disk that survives whatever kills the process.

The file begins with a line on the base model and network, and every change of the sequence is one
more line: how many calls of the sequence stay, and which come after them. A line is in the file as
a whole, or, if the process died while writing it, it is cut off when the journal is opened again;
lines before it are never touched. A line that is whole but has another checksum, the last one too,
is damage, of a disk or of a machine without power, and is told, not dropped: it may be an edit.
"""

from __future__ import annotations

import json
import os
import zlib
from collections.abc import Mapping
from contextlib import ExitStack
from io import FileIO
from pathlib import Path
from typing import Any, NamedTuple

from dafnet_plugin.artifacts.record_json import calls_from_json, calls_to_json
from dafnet_plugin.editing.record import Calls, common
from dafnet_plugin.errors import CheckpointError, DataError
from dafnet_plugin.files import atomic_path
from dafnet_plugin.locks import exclusive
from dafnet_plugin.versions import versions

FORMAT = 1
FILE, SNAPSHOTS = "journal.log", "snapshots"


class Journal:
    """The journal in one folder, held by one process at a time.

    Args:
        folder: made if it is not there.

    Attributes:
        header: what was written about base model and network; None of a new journal.
        weights: digest of the edited weights that it led to when it was opened, None where that
            is not known.

    Raises:
        ConfigError: another process has it open.
        CheckpointError: not a journal, of another format, or damaged; names file and line.
    """

    def __init__(self, folder: str | os.PathLike[str]) -> None:
        self.folder = Path(folder)
        self.path = self.folder / FILE
        self._open = ExitStack()
        folders = (self.folder, *self.folder.absolute().parents)
        made = [folder for folder in folders if not folder.exists()]
        who = "edits are journalled here by another process, or by another object of this one"
        self._open.enter_context(exclusive(self.folder / ".lock", 0, who))
        try:
            for folder in made:
                _sync_folder(folder.absolute().parent)
            for left_over in self.folder.glob(f".{FILE}.*"):
                left_over.unlink(missing_ok=True)
            self.header, calls, size, self.weights = read_journal(self.path)
            self._written = calls, size
            self._file = self._opened() if self.header is not None else None
        except BaseException:
            self._open.close()
            raise

    @property
    def calls(self) -> Calls:
        """The sequence of edits that it leads to."""
        return self._written[0]

    def begin(self, identity: Mapping[str, Any]) -> None:
        """Write the first line of a new journal."""
        assert self.header is None  # it has none yet
        self.header = {"format": FORMAT, **identity, "versions": versions()}
        line = _line(self.header)
        with atomic_path(self.path) as temporary:
            temporary.write_bytes(line)
        _sync_folder(self.folder)
        self._written = (), len(line)
        self._file = self._opened()

    def write(self, calls: Calls, weights: str | None = None) -> None:
        """Let the journal lead to other calls; when this returns, they are on disk.

        Whatever interrupts it, Ctrl-C too, takes the line back.

        Args:
            weights: digest of what the edited weights then are; None where that is not known.

        Raises:
            OSError: they could not be written; the journal is as it was.
        """
        before, size = self._written
        keep = common(before, calls)
        if keep == len(calls) == len(before):
            return
        assert self._file is not None  # a journal is begun before it is written to
        line = _line({"keep": keep, "weights": weights, **calls_to_json(calls[keep:])})
        self._cut(self._file)  # an interrupted line, if taking it back was interrupted as well
        try:
            written = 0
            while written < len(line):
                written += os.write(self._file.fileno(), line[written:])
            os.fsync(self._file.fileno())
            # Both at once: calls and size that do not belong together would spoil the next line.
            self._written = calls, size + len(line)
        except BaseException:
            self._written = before, size
            self._cut(self._file)
            raise

    def close(self) -> None:
        """Let go of the folder; the journal can be opened again."""
        self._open.close()

    def _opened(self) -> FileIO:
        file = self._open.enter_context(FileIO(self.path, "ab"))
        self._cut(file)
        return file

    def _cut(self, file: FileIO) -> None:
        """Remove what is left of a line that was never finished."""
        if os.fstat(file.fileno()).st_size != self._written[1]:
            file.truncate(self._written[1])


class Written(NamedTuple):
    """What a journal says.

    Attributes:
        header: its first line; None if there is no file.
        calls: the calls it leads to.
        size: how many bytes of it are whole lines.
        weights: digest of the edited weights after the last of them; None where it has none.
    """

    header: dict[str, Any] | None
    calls: Calls
    size: int
    weights: str | None


def read_journal(path: Path) -> Written:
    """Read a journal without opening it for writing.

    Raises:
        CheckpointError: not a journal, of another format, or damaged; names file and line.
    """
    if not path.exists():
        return Written(None, (), 0, None)
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
    entry = header
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
    weights = entry.get("weights")
    return Written(header, calls, size, None if weights is None else str(weights))


def _line(value: Mapping[str, Any]) -> bytes:
    text = json.dumps(value, ensure_ascii=True).encode()
    return b"%08x %s\n" % (zlib.crc32(text), text)


def _read(path: Path, number: int, line: bytes) -> dict[str, Any]:
    checksum, _, text = line.partition(b" ")
    if checksum != b"%08x" % zlib.crc32(text):
        raise CheckpointError(
            f"{path}: line {number} is damaged: its checksum is another one; from a copy, or "
            f"without the lines from {number} on, the journal can be opened again"
        )
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
