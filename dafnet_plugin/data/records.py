"""Reading records so that every error names file, record and field."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from dafnet_plugin.errors import DataError, did_you_mean
from dafnet_plugin.files import read_json, read_jsonl

logger = logging.getLogger(__name__)
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Place:
    """A record of a file: where errors happened."""

    path: str | Path
    index: int | str

    def __str__(self) -> str:
        return f"{self.path}: record {self.index}"

    def object(self, value: Any, name: str = "") -> dict[str, Any]:
        """Return ``value`` if it is a JSON object, else raise DataError."""
        if not isinstance(value, dict):
            raise DataError(f"{self}: {_named(name)}an object is needed, found {_short(value)}")
        return value

    def list(self, value: Any, name: str = "") -> list[Any]:
        """Return ``value`` if it is a JSON list, else raise DataError."""
        if not isinstance(value, list):
            raise DataError(f"{self}: {_named(name)}a list is needed, found {_short(value)}")
        return value

    def field(self, record: Any, name: str) -> Any:
        """Return ``record[name]``; DataError when it is not there."""
        if name not in self.object(record):
            raise DataError(f"{self}: field {name!r} is missing{did_you_mean(name, record)}")
        return record[name]

    def text(self, record: Any, name: str) -> str:
        """Return a text field, stripped; DataError when missing, blank or not text."""
        return self.as_text(name, self.field(record, name))

    def optional_text(self, record: Any, name: str) -> str | None:
        """Like :meth:`text`, but None when the field is missing, null or blank."""
        value = self.object(record).get(name)
        if value is None or (isinstance(value, str) and not value.strip()):
            return None
        return self.as_text(name, value)

    def as_text(self, name: str, value: Any) -> str:
        """Return ``value`` stripped if it is text that is not blank, else raise DataError."""
        if not isinstance(value, str) or not value.strip():
            raise DataError(
                f"{self}: field {name!r} is {_short(value)}, a non-empty string is needed"
            )
        return value.strip()


class Records(list[T]):
    """What was loaded from a file, and what was not.

    Attributes:
        problems: for each malformed record that was left out, file, record, field and what is
            wrong with it.
    """

    def __init__(self, items: Iterable[T] = (), problems: Iterable[str] = ()) -> None:
        super().__init__(items)
        self.problems = tuple(problems)


def load_records(
    path: str | Path,
    parse: Callable[[Place, Any], T],
    *,
    size: int | None = None,
    skip_bad: bool = False,
    keyed: bool = False,
) -> Records[T]:
    """Parse the records of a JSON file (a list) or a JSON-lines file.

    Args:
        path: of the file; ``.jsonl`` is read line by line.
        parse: turns a record into what is wanted, or raises DataError.
        size: stop after so many good records.
        skip_bad: leave malformed records out; how many there were and why is logged, and is in
            ``problems`` of the result.
        keyed: the file is an object, from id to record; the id is then the index of the place.

    Raises:
        DataError: the file is missing or not JSON, a record is malformed (unless
            ``skip_bad``), or no record is left.
    """
    parsed: list[T] = []
    problems: list[str] = []
    for index, record in _raw(path, keyed):
        if size is not None and len(parsed) >= size:
            break
        try:
            parsed.append(parse(Place(path, index), record))
        except DataError as error:
            message = str(error) if str(path) in str(error) else f"{Place(path, index)}: {error}"
            if not skip_bad:
                raise DataError(message) from error
            problems.append(message)
    if problems:
        logger.warning(
            "%s: %d malformed records skipped; the first: %s", path, len(problems), problems[0]
        )
    if not parsed and size != 0:
        raise DataError(f"{path}: no usable records ({len(problems)} malformed)")
    return Records(parsed, problems)


def load_files(
    files: Iterable[Path], load: Callable[[Path, int | None], Records[T]], size: int | None
) -> Records[T]:
    """Put what several files hold together, ``size`` records at most.

    Args:
        load: loads one file, so many of its records at most (None: all).
    """
    loaded: Records[T] = Records()
    for file in files:
        left = None if size is None else size - len(loaded)
        if left == 0:
            break
        part = load(file, left)
        loaded = Records([*loaded, *part], (*loaded.problems, *part.problems))
    return loaded


def _raw(path: str | Path, keyed: bool) -> Iterable[tuple[int | str, Any]]:
    if Path(path).suffix == ".jsonl":
        return enumerate(read_jsonl(path))
    records = read_json(path)
    if keyed and isinstance(records, dict):
        return records.items()
    if not keyed and isinstance(records, list):
        return enumerate(records)
    needed = "an object from ids to records" if keyed else "a list of records"
    raise DataError(f"{path}: {needed} is needed, found {_short(records)}")


def _named(name: str) -> str:
    return f"field {name!r}: " if name else ""


def _short(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 80 else f"{text[:77]}..."
