"""One item in Wikidata's JSON as an :class:`~dafnet_plugin.dafset.graph.Entity`.

A dump is a few bytes of what is needed among a thousand of what is not: labels in 300 languages,
references, hashes. The decoder is told by types which members to build, and passes over the rest
without making objects of it.
"""

from __future__ import annotations

from datetime import datetime, timezone
from typing import Any

from dafnet_plugin.dafset.extras import missing
from dafnet_plugin.dafset.graph import (
    DEPRECATED,
    END,
    NORMAL,
    START,
    Claim,
    Drops,
    Entity,
    Reason,
    Statement,
    clean,
    is_item,
    iso_date,
    judge,
)
from dafnet_plugin.dafset.sources.options import FALLBACK, ReadOptions

try:
    import msgspec
    from msgspec import Struct, field
except ImportError as error:
    raise missing("msgspec", error=error) from error


# The members that are read. gc=False: these objects hold no cycles, and the collector would
# walk them again and again.
class _Term(Struct, gc=False):
    value: str


class _Link(Struct, gc=False):
    title: str


class _Redirect(Struct, gc=False):
    source: str = field(name="from")


class _Value(Struct, gc=False):
    """Of an item (``id``, in old dumps only ``numeric-id``), of a time, or of something else."""

    id: str | None = None
    number: int | None = field(default=None, name="numeric-id")
    kind: str | None = field(default=None, name="entity-type")
    time: str | None = None
    precision: int | float = 11  # of a coordinate it is a fraction


class _DataValue(Struct, gc=False):
    value: _Value | str | int | float | bool | list | None = None


class _Snak(Struct, gc=False):
    snaktype: str = "value"
    datavalue: _DataValue | None = None


class _Qualifiers(Struct, gc=False):
    start: list[_Snak] | None = field(default=None, name=START)
    end: list[_Snak] | None = field(default=None, name=END)


class _Claim(Struct, gc=False):
    mainsnak: _Snak
    rank: str = NORMAL
    qualifiers: _Qualifiers | list | None = None


class EntityDecoder:
    """Decodes items, and counts what it drops.

    Args:
        options: what is wanted.
        drops: is added to.
    """

    def __init__(self, options: ReadOptions, drops: Drops) -> None:
        self.options = options
        self.drops = drops
        self._decoder = msgspec.json.Decoder(_entity_type(options))

    def decode(self, text: bytes | memoryview | msgspec.Raw) -> Entity | None:
        """Decode one item; None when there is none in it, which is counted.

        Args:
            text: a JSON object, without the comma that follows it in a dump.
        """
        try:
            raw = self._decoder.decode(text)
        except msgspec.ValidationError:
            self.drops[Reason.MALFORMED] += 1
            return None
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            self.drops[Reason.BROKEN] += 1
            return None
        if raw.missing is not None:
            self.drops[Reason.MISSING] += 1
            return None
        if raw.type not in _ITEM_TYPES or not is_item(raw.id):
            self.drops[Reason.NO_ITEM_ENTITY] += 1
            return None
        language, links, redirect = self.options.language, raw.sitelinks, raw.redirects
        label = _text(raw.labels, language)
        if label is None:
            self.drops[Reason.NO_LABEL] += 1
        page = links.wiki if isinstance(links, Struct) else None  # type: ignore[attr-defined]
        return Entity(
            raw.id,
            label,
            _text(raw.descriptions, language),
            _aliases(raw.aliases, language, label) if raw.aliases else (),
            clean(page.title.replace("_", " ")) if page else None,
            raw.modified and _in_utc(raw.modified),
            self._statements(raw.claims) if isinstance(raw.claims, dict) else (),
            (redirect.source,) if redirect and redirect.source != raw.id else (),
        )

    def _statements(self, groups: dict[str, list[_Claim]]) -> tuple[Statement, ...]:
        wanted = self.options.relations
        statements: list[Statement] = []
        others = 0
        for relation, claims in groups.items():
            if wanted is not None and relation not in wanted:
                continue
            before = len(statements), others
            # This loop is what an ingest spends its time on: claims that need no judging, which
            # are nearly all, are dealt with here, and the first other one leaves it.
            for claim in claims:
                data = claim.mainsnak.datavalue
                if data is None:
                    break
                value = data.value
                if type(value) is not _Value:
                    others += 1  # an identifier, a URL
                    continue
                target = value.id
                if target is None:
                    if value.number is not None:
                        break
                    others += 1  # a time, a quantity, a place
                    continue
                if claim.rank != NORMAL or target[0] != "Q" or not target[1:].isdigit():
                    break
                qualifiers = claim.qualifiers
                if qualifiers is not None and _has_times(qualifiers):
                    break
                statements.append(Statement(relation, target))
            else:
                continue
            del statements[before[0] :]
            others = before[1]
            read = [self._claim(claim) for claim in claims]
            statements += judge(relation, read, self.drops, self.options.as_of)
        if others:
            self.drops[Reason.NOT_AN_ITEM] += others
        return tuple(statements)

    def _claim(self, claim: _Claim) -> Claim:
        qualifiers, target = claim.qualifiers, self._object(claim.mainsnak, claim.rank)
        if qualifiers is None or target is None or not isinstance(qualifiers, _Qualifiers):
            return Claim(target, claim.rank)
        # Which of several end dates holds is not said; the last lets it live longest.
        ends = [snak for snak in qualifiers.end or () if snak.snaktype != "novalue"]
        start = self._time(qualifiers.start[:1]) if qualifiers.start else None
        return Claim(target, claim.rank, start, self._time(ends) if ends else None, bool(ends))

    def _object(self, snak: _Snak, rank: str) -> str | None:
        data = snak.datavalue
        if data is not None and isinstance(value := data.value, _Value):
            target = value.id
            if target is None and value.number is not None and value.kind in _ITEM_TYPES:
                target = f"Q{value.number}"
            if target is not None and is_item(target) and snak.snaktype == "value":
                return target
        if rank == DEPRECATED:
            reason = Reason.DEPRECATED
        elif snak.snaktype in ("somevalue", "novalue"):
            reason = snak.snaktype
        else:
            reason = Reason.NOT_AN_ITEM
        self.drops[reason] += 1
        return None

    def _time(self, snaks: list[_Snak]) -> str | None:
        """The last of the times that are known."""
        last = None
        for snak in snaks:
            value = snak.datavalue.value if snak.datavalue else None
            if isinstance(value, _Value) and value.time is not None:
                day = iso_date(value.time, int(value.precision))
                if day is None:
                    self.drops[Reason.BAD_TIME] += 1
                elif last is None or day > last:
                    last = day
        return last


def _has_times(qualifiers: _Qualifiers | list) -> bool:
    """Whether there are a start or an end; an empty object is written as ``[]`` in some dumps."""
    return type(qualifiers) is _Qualifiers and bool(qualifiers.start or qualifiers.end)


def _in_utc(time: datetime) -> datetime | None:
    """Wikidata writes its times in UTC, also where it does not say so."""
    zone = time.tzinfo
    if zone is timezone.utc:
        return time
    try:
        return time.astimezone(timezone.utc) if zone else time.replace(tzinfo=timezone.utc)
    except OverflowError:  # in the year 0 or 10000
        return None


_ITEM_TYPES = (None, "item")


def _entity_type(options: ReadOptions) -> Any:
    """The members of an item that are read, for certain options."""
    languages = dict.fromkeys((options.language, FALLBACK))

    def by_language(name: str, kind: Any) -> Any:
        members = [
            (f"term_{index}", kind | None, field(default=None, name=code))
            for index, code in enumerate(languages)
        ]
        return msgspec.defstruct(name, members, gc=False) | list[Any] | None

    terms = by_language("Terms", _Term)
    wiki = [("wiki", _Link | None, field(default=None, name=options.wiki))]
    links = msgspec.defstruct("Links", wiki, gc=False)
    return msgspec.defstruct(
        "Item",
        [
            ("id", str),
            ("type", str | None, None),
            ("modified", datetime | None, None),
            ("missing", str | bool | None, None),
            ("redirects", _Redirect | None, None),
            ("labels", terms, None),
            ("descriptions", terms, None),
            ("aliases", by_language("Aliases", list[_Term]), None),
            ("sitelinks", links | list[Any] | None, None),
            ("claims", dict[str, list[_Claim]] | list[Any] | None, None),
        ],
        gc=False,
    )


def _text(terms: Any, language: str) -> str | None:
    """The label or description; an empty object is written as ``[]`` in some dumps."""
    if isinstance(terms, Struct):
        term = terms.term_0 or getattr(terms, "term_1", None)  # type: ignore[attr-defined]
        return clean(term.value) if term else None
    for code in (language, FALLBACK):
        for term in terms or ():
            if isinstance(term, dict) and term.get("language") == code:
                value = term.get("value")
                return clean(value) if isinstance(value, str) else None
    return None


def _aliases(terms: Any, language: str, label: str | None) -> tuple[str, ...]:
    if isinstance(terms, Struct):
        found = [term.value for term in terms.term_0 or ()]  # type: ignore[attr-defined]
        found += [term.value for term in getattr(terms, "term_1", None) or ()]
    else:
        found = [
            term["value"]
            for code in (language, FALLBACK)
            for term in terms or ()
            if isinstance(term, dict)
            and term.get("language") == code
            and isinstance(term.get("value"), str)
        ]
    names = dict.fromkeys(map(clean, found))
    return tuple([name for name in names if name and name != label])
