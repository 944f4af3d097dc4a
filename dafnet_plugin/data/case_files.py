"""Edit cases in this package's own form, one JSON object a line."""

from __future__ import annotations

from pathlib import Path

from dafnet_plugin.cases import EditCase, case_from_json
from dafnet_plugin.data.records import Records, load_records


def load_cases(
    path: str | Path, *, size: int | None = None, skip_bad: bool = False
) -> Records[EditCase]:
    """Load cases that :func:`dafnet_plugin.cases.write_cases` wrote.

    Raises:
        DataError: the file or a record is malformed.
    """
    return load_records(
        path,
        lambda place, record: case_from_json(place.object(record)),
        size=size,
        skip_bad=skip_bad,
    )
