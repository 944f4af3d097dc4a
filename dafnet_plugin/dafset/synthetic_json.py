"""Members of a made-up entity as Wikidata writes them: terms, statements and their values."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterable
from typing import Any

from dafnet_plugin.dafset.graph import NORMAL

LANGUAGES = tuple(
    "en de fr es it nl pl pt ru sv ja zh ar uk ca fa vi nb fi cs hu tr id ko ro".split()  # noqa: SIM905
    + "he el hi bn th bg sr da sk hr lt et lv sl eu".split()  # noqa: SIM905
)
# Language -> the character that stands for "a"; the letters that follow stand for those after it.
_SCRIPTS = {
    **dict.fromkeys(("ru", "uk", "bg", "sr"), 0x0430),
    **dict.fromkeys(("ar", "fa"), 0x0628),
    "ja": 0x30A2,
    "zh": 0x4E00,
    "ko": 0xAC00,
    "he": 0x05D0,
    "el": 0x03B1,
    "hi": 0x0915,
    "bn": 0x0995,
    "th": 0x0E01,
}
_LETTERS = {
    code: {ord("a") + i: first + i for i in range(26)}
    | {ord("A") + i: first + i for i in range(26)}
    for code, first in _SCRIPTS.items()
}
EXTERNAL = ("P213", "P214", "P227", "P244", "P345", "P646", "P268", "P269", "P349", "P1566")
ITEM = "wikibase-item"


def in_script(text: str, language: str) -> str:
    """A text in the letters of a language; only how it looks, not how it sounds."""
    letters = _LETTERS.get(language)
    return text.translate(letters) if letters else text


def terms(text: str, languages: Iterable[str]) -> dict[str, dict[str, str]]:
    """Labels or descriptions."""
    return {code: {"language": code, "value": in_script(text, code)} for code in languages}


def item_claim(relation: str, target: int, references: float, rng: random.Random) -> dict[str, Any]:
    """A statement about another item, with as many references on average."""
    return _statement(_snak(relation, _item(target), ITEM, rng), references, rng)


def text_claim(relation: str, references: float, rng: random.Random) -> dict[str, Any]:
    """An identifier of another catalogue."""
    value = {"value": _digits(12, rng), "type": "string"}
    return _statement(_snak(relation, value, "external-id", rng), references, rng)


def other_claim(relation: str, references: float, rng: random.Random) -> dict[str, Any]:
    """A statement with a value of one of the :data:`OTHERS`."""
    kind, make = OTHERS[relation]
    return _statement(_snak(relation, make(rng), kind, rng), references, rng)


def time_snak(relation: str, time: str, rng: random.Random) -> dict[str, Any]:
    """A date."""
    return _snak(relation, _time(time), "time", rng)


def unknown_snak(relation: str, kind: str, rng: random.Random) -> dict[str, Any]:
    """``somevalue`` or ``novalue``."""
    return {"snaktype": kind, "property": relation, "hash": _digits(40, rng), "datatype": ITEM}


def _statement(main: dict[str, Any], references: float, rng: random.Random) -> dict[str, Any]:
    statement = {
        "mainsnak": main,
        "type": "statement",
        "id": f"Q1${_digits(32, rng)}",
        "rank": NORMAL,
    }
    if rng.random() < 0.25:
        statement |= _listed("qualifiers", _qualifiers(rng))
    count = int(references + rng.random())
    return statement | {"references": [_reference(rng) for _ in range(count)]}


def _qualifiers(rng: random.Random) -> dict[str, Any]:
    """One or two that say nothing about when a statement holds."""
    found = {"P1545": [_snak("P1545", {"value": "1", "type": "string"}, "string", rng)]}
    if rng.random() < 0.5:
        found["P1810"] = [_snak("P1810", {"value": "as named", "type": "string"}, "string", rng)]
    return found


def _reference(rng: random.Random) -> dict[str, Any]:
    snaks = {"P248": [_snak("P248", _item(36578), ITEM, rng)]}
    if rng.random() < 0.6:
        snaks["P813"] = [time_snak("P813", "+2020-02-01T00:00:00Z", rng)]
    return {"hash": _digits(40, rng)} | _listed("snaks", snaks)


def _listed(name: str, snaks: dict[str, Any]) -> dict[str, Any]:
    """Snaks by property, and the order of the properties."""
    return {name: snaks, f"{name}-order": [*snaks]}


def _snak(relation: str, data: Any, kind: str, rng: random.Random) -> dict[str, Any]:
    return {
        "snaktype": "value",
        "property": relation,
        "hash": _digits(40, rng),
        "datavalue": data,
        "datatype": kind,
    }


def _item(number: int) -> dict[str, Any]:
    value = {"entity-type": "item", "numeric-id": number, "id": f"Q{number}"}
    return {"value": value, "type": "wikibase-entityid"}


def _time(time: str) -> dict[str, Any]:
    value = {
        "time": time,
        "timezone": 0,
        "before": 0,
        "after": 0,
        "precision": 11,
        "calendarmodel": "http://www.wikidata.org/entity/Q1985727",
    }
    return {"value": value, "type": "time"}


def _quantity(rng: random.Random) -> dict[str, Any]:
    return {"value": {"amount": f"+{rng.randrange(10**6)}", "unit": "1"}, "type": "quantity"}


def _place(rng: random.Random) -> dict[str, Any]:
    value = {
        "latitude": round(rng.uniform(-90, 90), 4),
        "longitude": round(rng.uniform(-180, 180), 4),
        "altitude": None,
        "precision": 0.0001,
        "globe": "http://www.wikidata.org/entity/Q2",
    }
    return {"value": value, "type": "globecoordinate"}


def _day(rng: random.Random) -> dict[str, Any]:
    return _time(f"+{rng.randrange(1500, 2020)}-{rng.randrange(1, 13):02}-01T00:00:00Z")


def _text(rng: random.Random) -> dict[str, Any]:
    value = {"text": in_script(_digits(8, rng), "ru"), "language": "ru"}
    return {"value": value, "type": "monolingualtext"}


def _file(rng: random.Random) -> dict[str, Any]:
    return {"value": f"Picture {_digits(6, rng)}.jpg", "type": "string"}


def _digits(length: int, rng: random.Random) -> str:
    return f"{rng.getrandbits(4 * length):0{length}x}"


# Relation -> its datatype, and what makes a value.
OTHERS: dict[str, tuple[str, Callable[[random.Random], dict[str, Any]]]] = {
    "P569": ("time", _day),
    "P1082": ("quantity", _quantity),
    "P625": ("globe-coordinate", _place),
    "P1559": ("monolingualtext", _text),
    "P18": ("commonsMedia", _file),
}
