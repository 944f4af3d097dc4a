"""Reading records so that every error names file, record and field."""

from __future__ import annotations

import logging
from collections.abc import Callable
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
    index: int

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


def load_records(
    path: str | Path,
    parse: Callable[[Place, Any], T],
    *,
    size: int | None = None,
    skip_bad: bool = False,
) -> list[T]:
    """Parse the records of a JSON file (a list) or a JSON-lines file.

    Args:
        path: of the file; ``.jsonl`` is read line by line.
        parse: turns a record into what is wanted, or raises DataError.
        size: stop after so many good records.
        skip_bad: leave malformed records out, and log how many there were and why.

    Raises:
        DataError: the file is missing or not JSON, a record is malformed (unless
            ``skip_bad``), or no record is left.
    """
    parsed: list[T] = []
    problems: list[str] = []
    for index, record in enumerate(_raw(path)):
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
    return parsed


def _raw(path: str | Path) -> list[Any]:
    if Path(path).suffix == ".jsonl":
        return read_jsonl(path)
    records = read_json(path)
    if not isinstance(records, list):
        raise DataError(f"{path}: a list of records is needed, found {_short(records)}")
    return records


def _named(name: str) -> str:
    return f"field {name!r}: " if name else ""


def _short(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 80 else f"{text[:77]}..."
