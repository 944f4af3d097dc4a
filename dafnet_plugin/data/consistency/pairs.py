"""A pair of summaries of one document, whatever format it comes from."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from dafnet_plugin.data.records import Place, Records, load_records
from dafnet_plugin.errors import DataError, did_you_mean
from dafnet_plugin.files import write_text

SWAPS = ("entity", "relation", "number")
"""What is exchanged to make a contradiction."""


@dataclass(frozen=True, slots=True)
class ConsistencyPair:
    """A document, a summary that is consistent with it, and one that contradicts it.

    Attributes:
        document: text that the summaries are judged by.
        consistent, contradicting: the summaries; different from each other.
        edited: whether the fact that the pair turns on is one that an edit changes; the document
            states it as it is after the edit. False: no edit touches it.
        swap: one of :data:`SWAPS`; None where it is not known.
        case_id: of the edit case whose fact it is; None if not edited, or not known.
    """

    document: str
    consistent: str
    contradicting: str
    edited: bool = False
    swap: str | None = None
    case_id: str | None = None

    def __post_init__(self) -> None:
        for name in ("document", "consistent", "contradicting"):
            value = getattr(self, name)
            if not isinstance(value, str) or not value.strip():
                raise DataError(
                    f"consistency pair: field {name!r} is {value!r}, a non-empty string is needed"
                )
        if self.consistent.strip() == self.contradicting.strip():
            raise DataError(
                f"consistency pair: fields 'consistent' and 'contradicting' are both "
                f"{self.consistent!r}, two different summaries are needed"
            )
        if not isinstance(self.edited, bool):
            raise DataError(
                f"consistency pair: field 'edited' is {self.edited!r}; allowed: true, false"
            )
        if self.swap is not None and self.swap not in SWAPS:
            raise DataError(
                f"consistency pair: field 'swap' is {self.swap!r}"
                f"{did_you_mean(str(self.swap), SWAPS)}; allowed: {', '.join(SWAPS)}, or null"
            )
        if self.case_id is not None and not (self.edited and isinstance(self.case_id, str)):
            raise DataError(
                f"consistency pair: field 'case_id' is {self.case_id!r}; allowed: text where "
                "edited is true, else null"
            )


def load_pairs(
    path: str | Path, *, size: int | None = None, skip_bad: bool = False
) -> Records[ConsistencyPair]:
    """Load pairs that :func:`write_pairs` wrote.

    Raises:
        DataError: the file or a record is malformed; names file, record and field.
    """
    return load_records(path, _parse, size=size, skip_bad=skip_bad)


def write_pairs(path: str | Path, pairs: Iterable[ConsistencyPair]) -> None:
    """Write pairs atomically, one JSON object a line; the file is to be called ``*.jsonl``."""
    lines = (json.dumps(asdict(pair), ensure_ascii=False) + "\n" for pair in pairs)
    write_text(path, "".join(lines))


def mentions(text: str, name: str) -> bool:
    """Whether a text names something: the name as whole words, in capitals or not."""
    pattern = rf"(?<!\w){re.escape(name.strip().casefold())}(?!\w)"
    return re.search(pattern, text.casefold()) is not None


def _parse(place: Place, record: Any) -> ConsistencyPair:
    return ConsistencyPair(
        document=place.text(record, "document"),
        consistent=place.text(record, "consistent"),
        contradicting=place.text(record, "contradicting"),
        edited=record.get("edited", False),
        swap=record.get("swap"),
        case_id=record.get("case_id"),
    )
