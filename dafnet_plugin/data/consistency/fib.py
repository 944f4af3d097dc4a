"""FIB, the factual inconsistency benchmark (Tam et al., ACL 2023), as it is published."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from dafnet_plugin.data.consistency.pairs import ConsistencyPair
from dafnet_plugin.data.records import Place, Records, load_records
from dafnet_plugin.errors import DataError


def load_fib(
    path: str | Path, *, size: int | None = None, skip_bad: bool = False
) -> Records[ConsistencyPair]:
    """Load ``{document, list_choices, lbl}``: two summaries, and the index of the consistent one.

    Other fields are not needed. No edit is about these documents: all pairs are untouched.

    Args:
        path: ``.jsonl``, an object a line, or ``.json``, a list.
        size: load so many pairs at most.
        skip_bad: leave malformed records out; ``problems`` of the result says which and why.

    Raises:
        DataError: the file or a record is malformed; names file, record and field.
    """
    return load_records(path, _parse, size=size, skip_bad=skip_bad)


def _parse(place: Place, record: Any) -> ConsistencyPair:
    document = place.text(record, "document")
    given = place.list(place.field(record, "list_choices"), "list_choices")
    if len(given) != 2:
        raise DataError(f"{place}: field 'list_choices' has {len(given)} summaries; two are needed")
    choices = [place.as_text(f"list_choices[{n}]", text) for n, text in enumerate(given)]
    if choices[0] == choices[1]:
        raise DataError(
            f"{place}: field 'list_choices' has {choices[0]!r} twice; two different summaries "
            "are needed"
        )
    label = place.field(record, "lbl")
    if isinstance(label, bool) or label not in (0, 1):
        raise DataError(f"{place}: field 'lbl' is {label!r}; allowed: 0, 1")
    return ConsistencyPair(document, choices[label], choices[1 - label])
