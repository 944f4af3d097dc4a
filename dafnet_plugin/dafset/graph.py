"""The graph: entities and the statements between them, whatever they were read from."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Sequence
from datetime import date, datetime, timezone

from dafnet_plugin.dafset.extras import missing
from dafnet_plugin.errors import DataError

try:
    from msgspec import Struct
except ImportError as error:
    raise missing("msgspec", error=error) from error

PREFERRED, NORMAL, DEPRECATED = "preferred", "normal", "deprecated"
RANKS = (PREFERRED, NORMAL, DEPRECATED)
START, END = "P580", "P582"
"""Wikidata's qualifiers "start time" and "end time"."""

_ITEM = re.compile(r"Q[1-9][0-9]*", re.ASCII)
_PROPERTY = re.compile(r"P[1-9][0-9]*", re.ASCII)
_TIME = re.compile(r"([+-]?)(\d+)-(\d\d)-(\d\d)(?:T|$)", re.ASCII)
_YEAR, _MONTH, _DAY = 9, 10, 11  # Wikidata's codes of how precise a date is


class Reason:
    """Why something is not in the store, or is there but not to be selected.

    Those of the last group are kept: an ended statement is knowledge about the past, and an
    entity without a label still counts for the degree of its neighbours.
    """

    BROKEN = "broken line"
    MALFORMED = "malformed entity"
    MISSING = "missing entity"
    NO_ITEM_ENTITY = "not an item (property, lexeme)"
    DUPLICATE = "duplicate entity"
    REDIRECTED = "redirected entity"
    OTHER_EDGE = "edge of another kind"

    MALFORMED_STATEMENT = "malformed statement"
    DEPRECATED = "deprecated rank"
    SOMEVALUE = "somevalue"
    NOVALUE = "novalue"
    NOT_AN_ITEM = "value not an item"

    NO_LABEL = "no label (kept)"
    ENDED = "ended (kept)"
    NOT_STARTED = "not started (kept)"
    NOT_BEST = "not of best rank (kept)"
    BAD_TIME = "unreadable time (kept)"


class Drops(Counter[str]):
    """How many of what was dropped, by :class:`Reason`."""

    def merge(self, other: Iterable[tuple[str, int]]) -> None:
        """Add the counts of another reader."""
        for reason, count in other:
            self[reason] += count

    def as_dict(self) -> dict[str, int]:
        """Sorted by reason, without zeros."""
        return {reason: self[reason] for reason in sorted(self) if self[reason]}


# Structs, since they are made several times as fast as data classes: a dump has a hundred million
# entities and ten times as many statements. gc=False: they hold no cycles.
class Statement(Struct, frozen=True, gc=False):
    """An item-valued statement of an entity, never of deprecated rank.

    Attributes:
        relation: ``"P36"``.
        object: ``"Q90"``.
        rank: ``"preferred"`` or ``"normal"``.
        start, end: when it began and ended to hold (qualifiers P580 and P582), an ISO date no
            more precise than Wikidata's: ``"1991"``, ``"1991-11"``, ``"1991-11-25"``, for 44 BCE
            ``"-0044"``. None when not stated, or when the date is not known.
        current: it is of the best rank of its relation, has begun and has not ended.
    """

    relation: str
    object: str
    rank: str = NORMAL
    start: str | None = None
    end: str | None = None
    current: bool = True


class Entity(Struct, frozen=True, gc=False):
    """An item of Wikidata.

    Attributes:
        id: ``"Q90"``.
        label, description: in the language asked for, else in Wikidata's ``mul`` (the default
            of all languages); None when it has neither.
        aliases: other names, without the label, each once.
        page: title of its page in the Wikipedia of that language, with spaces.
        modified: last edit of the item, in UTC.
        statements: in the order of the source.
        redirected_from: ids that were merged into this one, where the source says so.
    """

    id: str
    label: str | None = None
    description: str | None = None
    aliases: tuple[str, ...] = ()
    page: str | None = None
    modified: datetime | None = None
    statements: tuple[Statement, ...] = ()
    redirected_from: tuple[str, ...] = ()


class Claim(Struct, frozen=True, gc=False):
    """A statement as it was read, before it is known whether it is of the best rank.

    Attributes:
        object: id of the item; None for ``somevalue``, ``novalue`` and other kinds of value,
            which count when the best rank is determined.
        ended: there is an end date, if only an unknown one.
    """

    object: str | None
    rank: str
    start: str | None = None
    end: str | None = None
    ended: bool = False


def judge(
    relation: str, claims: Sequence[Claim], drops: Drops, as_of: date | None = None
) -> list[Statement]:
    """Turn the claims of an entity for one relation into statements.

    Preferred claims go before normal ones, and deprecated ones are dropped. What has ended and
    what is not of the best rank is kept with ``current=False``: it is not false, so nobody may
    take it for a false answer.

    Args:
        claims: all of this relation, those without an item as value included.
        drops: is added to.
        as_of: the day that counts as today; None: whatever has an end date has ended.
    """
    best = NORMAL
    for claim in claims:
        if claim.rank == PREFERRED:
            best = PREFERRED
    today = as_of.isoformat() if as_of else None
    statements = []
    for claim in claims:
        target, rank, start, end = claim.object, claim.rank, claim.start, claim.end
        if target is None:
            continue
        if rank == DEPRECATED:
            drops[Reason.DEPRECATED] += 1
            continue
        current = rank == best
        if not current:
            drops[Reason.NOT_BEST] += 1
        elif claim.ended and not (today and end and _after(end, today)):
            drops[Reason.ENDED] += 1
            current = False
        elif start and today and _after(start, today):
            drops[Reason.NOT_STARTED] += 1
            current = False
        statements.append(Statement(relation, target, rank, start, end, current))
    return statements


def _after(day: str, today: str) -> bool:
    """Whether ``day`` begins after ``today``; a mere year begins before any day of it."""
    if len(day.split("-")[0]) > 4:
        return True  # the year 10000 and later; years before our era begin with a minus
    return day > today[: len(day)]


def iso_date(time: str, precision: int = _DAY) -> str | None:
    """An ISO date no more precise than it is meant, or None where it cannot be read.

    Args:
        time: as Wikidata writes it, ``"+1991-11-25T00:00:00Z"``, also with a padded year.
        precision: 11 for a day, 10 a month, 9 a year, less for longer times (their year is
            given then).
    """
    match = _TIME.match(time)
    if match is None:
        return None
    sign, year, month, day = match.groups()
    text = ("-" if sign == "-" else "") + year.lstrip("0").rjust(4, "0")
    if precision >= _MONTH and month != "00":
        text += f"-{month}"
        if precision >= _DAY and day != "00":
            text += f"-{day}"
    return text


def utc_time(text: str) -> datetime | None:
    """``"2018-01-12T15:50:54Z"`` as a time, or None where it cannot be read."""
    try:
        return datetime.fromisoformat(text[:19]).replace(tzinfo=timezone.utc)
    except ValueError:
        return None


def is_item(text: str) -> bool:
    """Whether this is the id of an item, such as ``"Q42"``."""
    return _ITEM.fullmatch(text) is not None


def is_property(text: str) -> bool:
    """Whether this is the id of a property, such as ``"P31"``."""
    return _PROPERTY.fullmatch(text) is not None


def check_ids(ids: Iterable[str], what: str, *, properties: bool = False) -> tuple[str, ...]:
    """Return the ids.

    Raises:
        DataError: one is not an id of Wikidata; says which and what is allowed.
    """
    ids = tuple(ids)
    valid, example = (is_property, "P31") if properties else (is_item, "Q42")
    for text in ids:
        if not isinstance(text, str) or not valid(text):
            raise DataError(f"{what}: {text!r}; allowed: ids such as {example!r}")
    return ids


def clean(text: str) -> str | None:
    """A label as one line of text, None where nothing is left."""
    return " ".join(text.split()) or None
