"""Edit cases in this package's own form, one JSON object a line."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path

from dafnet_plugin.cases import EditCase, case_from_json, case_to_json
from dafnet_plugin.data.records import load_records
from dafnet_plugin.files import write_text


def load_cases(
    path: str | Path, *, size: int | None = None, skip_bad: bool = False
) -> list[EditCase]:
    """Load cases that :func:`save_cases` wrote.

    Raises:
        DataError: the file or a record is malformed.
    """
    return load_records(
        path,
        lambda place, record: case_from_json(place.object(record)),
        size=size,
        skip_bad=skip_bad,
    )


def save_cases(path: str | Path, cases: Iterable[EditCase]) -> None:
    """Write cases, atomically."""
    lines = (json.dumps(case_to_json(case), ensure_ascii=False) for case in cases)
    write_text(path, "".join(f"{line}\n" for line in lines))
