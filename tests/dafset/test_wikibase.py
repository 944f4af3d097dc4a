"""The decoder of items, on what Wikidata writes and on what it should not."""

from __future__ import annotations

import json
import random
from datetime import date, datetime, timezone
from pathlib import Path
from typing import Any

import pytest

from benchmarks.dafset.readers import plain_entity
from dafnet_plugin.dafset.graph import Drops, Entity, Reason, Statement
from dafnet_plugin.dafset.sources.options import ReadOptions
from dafnet_plugin.dafset.sources.wikibase import EntityDecoder
from dafnet_plugin.dafset.store import Columns
from dafnet_plugin.dafset.synthetic import SyntheticConfig, dump_lines
from dafnet_plugin.errors import ConfigError, DataError
from tests.dafset.wikidata import claim, item, time_snak


def decode(data: Any, **options: Any) -> tuple[Entity | None, Drops]:
    drops = Drops()
    text = data if isinstance(data, bytes) else json.dumps(data).encode()
    return EntityDecoder(ReadOptions(**options), drops).decode(text), drops


def entity(data: Any, **options: Any) -> Entity:
    found, _ = decode(data, **options)
    assert found is not None
    return found


def test_every_member() -> None:
    data = item(
        1,
        {"P36": [claim("P36", 90, start="+1991-11-25T00:00:00Z")]},
        descriptions={"en": {"value": "a thing"}},
        aliases={"en": [{"value": "One"}, {"value": "Item 1"}, {"value": "One"}]},
        sitelinks={"enwiki": {"site": "enwiki", "title": "Item_(1)"}, "dewiki": {"title": "Ding"}},
        modified="2018-01-12T15:50:54Z",
        redirects={"from": "Q99", "to": "Q1"},
    )
    assert entity(data) == Entity(
        "Q1",
        "Item 1",
        "a thing",
        ("One",),
        "Item (1)",
        datetime(2018, 1, 12, 15, 50, 54, tzinfo=timezone.utc),
        (Statement("P36", "Q90", "normal", "1991-11-25", None, True),),
        ("Q99",),
    )


@pytest.mark.parametrize("zone, hour", [("Z", 15), ("+02:00", 13), ("", 15)])
def test_times_are_in_utc(zone: str, hour: int) -> None:
    found = entity(item(1, modified=f"2018-01-12T15:50:54{zone}")).modified
    assert found == datetime(2018, 1, 12, hour, 50, 54, tzinfo=timezone.utc)


def test_real_items_are_read_as_a_plain_reader_reads_them(data_dir: Path) -> None:
    compared = 0
    for path in sorted((data_dir / "wikidata").glob("[wQ]*.json")):
        data = json.loads(path.read_text(encoding="utf-8"))
        for one in data.get("entities", {"": data}).values():
            if one.get("type") == "item":
                found = entity(one)
                assert len(found.statements) >= 5
                expected = plain_entity(one)
                assert (*_members(found)[:-1],) == (*_members(expected)[:-1],)
                compared += 1
    assert compared == 6


def test_made_up_items_are_read_as_a_plain_reader_reads_them() -> None:
    lines = list(dump_lines(SyntheticConfig(300)))
    assert [entity(line) for line in lines] == [plain_entity(json.loads(line)) for line in lines]


def _members(one: Entity) -> tuple[Any, ...]:
    return tuple(getattr(one, name) for name in Entity.__struct_fields__)


WEIRD: list[Any] = [None, [], {}, "", -1, 1e300, "x", [1], {"a": 1}, "\ud800", "novalue"]
WEIRD += ["+99999999-00-00T00:00:00Z", "0001-01-01T00:00:00+14:00", "9999-12-31T23:59:59-14:00"]


def mutated(value: Any, rng: random.Random) -> Any:
    """The value with something weird somewhere in it."""
    if rng.random() < 0.08 or not value or not isinstance(value, dict | list):
        return rng.choice(WEIRD)
    places = list(value) if isinstance(value, dict) else list(range(len(value)))
    place, copy = rng.choice(places), value.copy()
    copy[place] = mutated(value[place], rng)
    return copy


def test_whatever_a_line_has_it_is_read_or_counted() -> None:
    rng, drops, columns = random.Random(0), Drops(), Columns()
    decoder = EntityDecoder(ReadOptions(as_of=date(2024, 1, 1)), drops)
    lines = list(dump_lines(SyntheticConfig(20)))
    for _ in range(600):
        line = bytearray(rng.choice(lines))
        place = rng.randrange(len(line))
        line[place : place + rng.randrange(3)] = rng.randbytes(rng.randrange(3))
        for text in (bytes(line), json.dumps(mutated(json.loads(rng.choice(lines)), rng)).encode()):
            found = decoder.decode(text)
            if found is not None:
                columns.add(found)
    assert columns.entity_table().num_rows > 400 and columns.statement_table().num_rows
    assert drops[Reason.BROKEN] and drops[Reason.MALFORMED] and drops[Reason.NO_ITEM_ENTITY]


def test_language_falls_back_to_the_default_of_all_languages() -> None:
    mul = {"language": "mul", "value": "Ada"}
    assert entity(item(1, labels={"mul": mul, "de": {"value": "Nein"}})).label == "Ada"
    assert entity(item(1, labels={"mul": mul, "en": {"value": "Yes"}})).label == "Yes"
    assert entity(item(1, labels={"de": {"value": "Ja"}, "mul": mul}), language="de").label == "Ja"
    assert entity(item(1, aliases={"mul": [mul]})).aliases == ("Ada",)


def test_a_missing_label_is_counted_and_the_item_kept() -> None:
    found, drops = decode(item(1, labels={"fr": {"value": "Un"}}))
    assert found is not None and found.label is None and drops == {Reason.NO_LABEL: 1}
    assert entity(item(1, labels={"en": {"value": " \n "}})).label is None


def test_members_that_are_lists() -> None:
    empty = item(1, labels=[], descriptions=[], aliases=[], claims=[], sitelinks=[])
    assert entity(empty) == Entity("Q1")
    terms = [{"language": "de", "value": "Eins"}, {"language": "en", "value": "One"}, 3]
    assert entity(item(1, labels=terms)).label == "One"
    assert entity(item(1, aliases=terms)).aliases == ("One",)


def test_missing_members() -> None:
    assert entity({"id": "Q8"}) == Entity("Q8")
    assert decode({"id": "Q6", "missing": ""})[1] == {Reason.MISSING: 1}


def test_values_that_are_no_items_are_counted() -> None:
    old = claim("P31", 5)
    del old["mainsnak"]["datavalue"]["value"]["id"]
    date_value = {"value": {"time": "+1952-03-11T00:00:00Z", "precision": 11}, "type": "time"}
    place = {"value": {"latitude": 1.5, "precision": 0.001}, "type": "globecoordinate"}
    property_ = {"value": {"entity-type": "property", "id": "P31", "numeric-id": 31}}
    found, drops = decode(
        item(
            1,
            {
                "P31": [old],
                "P214": [claim("P214", "113230702"), claim("P214", "x")],
                "P569": [{"mainsnak": {"datavalue": date_value}, "rank": "normal"}],
                "P625": [{"mainsnak": {"datavalue": place}, "rank": "normal"}],
                "P1659": [{"mainsnak": {"datavalue": property_}, "rank": "normal"}],
                "P22": [claim("P22", "somevalue")],
                "P40": [claim("P40", "novalue")],
                "P26": [claim("P26", "somevalue", "deprecated")],
            },
        )
    )
    assert found is not None and found.statements == (Statement("P31", "Q5"),)
    assert drops == {
        Reason.NOT_AN_ITEM: 5,
        Reason.SOMEVALUE: 1,
        Reason.NOVALUE: 1,
        Reason.DEPRECATED: 1,
    }


def test_a_group_that_begins_plainly_is_judged_as_a_whole() -> None:
    claims = [claim("P6", 1), claim("P6", "text"), claim("P6", 2, "preferred")]
    found, drops = decode(item(9, {"P6": claims}))
    assert found is not None
    assert [(s.object, s.current) for s in found.statements] == [("Q1", False), ("Q2", True)]
    assert drops == {Reason.NOT_AN_ITEM: 1, Reason.NOT_BEST: 1}


def test_end_dates() -> None:
    until = claim("P6", 1, end="+2001-05-11T00:00:00Z")
    until["qualifiers"]["P582"].append(time_snak("+2007-00-00T00:00:00Z", 9))
    claims = [
        until,
        claim("P6", 2, end=None),
        claim("P6", 3, end="novalue"),
        claim("P6", 4, end="sometime"),
        claim("P6", 5) | {"qualifiers": []},
        claim("P6", 6) | {"qualifiers": {"P585": [time_snak("+2001-05-11T00:00:00Z")]}},
    ]
    found, drops = decode(item(9, {"P6": claims}))
    assert found is not None
    assert [(s.object, s.end, s.current) for s in found.statements] == [
        ("Q1", "2007", False),
        ("Q2", None, False),
        ("Q3", None, True),
        ("Q4", None, False),
        ("Q5", None, True),
        ("Q6", None, True),
    ]
    assert drops == {Reason.ENDED: 3, Reason.BAD_TIME: 1}
    before = entity(item(9, {"P6": [until]}), as_of=date(2004, 1, 1))
    assert before.statements[0].current


def test_only_the_relations_asked_for() -> None:
    data = item(1, {"P31": [claim("P31", 5)], "P36": [claim("P36", 90)]})
    found, drops = decode(data, relations=frozenset({"P36"}))
    assert found is not None and [s.relation for s in found.statements] == ["P36"]
    assert not drops


@pytest.mark.parametrize("kind", ["property", "lexeme"])
def test_properties_and_lexemes_are_counted(kind: str) -> None:
    assert decode({"type": kind, "id": "P31"})[1] == {Reason.NO_ITEM_ENTITY: 1}


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        (b'{"type":"item","id":"Q1","labels":{"en":{"value":"Un', Reason.BROKEN),
        (b'{"id":"Q1"} x', Reason.BROKEN),
        (b'{"id":"Q\xff"}', Reason.BROKEN),
        (b'"Q1"', Reason.MALFORMED),
        (b'{"type":"item"}', Reason.MALFORMED),
        (b'{"id":"Q1","labels":"none"}', Reason.MALFORMED),
        (b'{"id":"Q1","claims":{"P31":[{"mainsnak":7}]}}', Reason.MALFORMED),
        (b'{"id":"Q1","modified":"lately"}', Reason.MALFORMED),
        (b'{"id":"<b>Q1</b>"}', Reason.NO_ITEM_ENTITY),
        (b'{"id":"Q1","x":' + b"[" * 100_000 + b"}", Reason.BROKEN),
    ],
)
def test_what_cannot_be_read_is_counted(text: bytes, reason: str) -> None:
    found, drops = decode(text)
    assert found is None and drops == {reason: 1}


def test_an_object_that_is_no_id_is_no_object() -> None:
    odd = claim("P31", 5)
    odd["mainsnak"]["datavalue"]["value"]["id"] = "Q5'); DROP"
    found, drops = decode(item(1, {"P31": [odd]}))
    assert found is not None and not found.statements and drops == {Reason.NOT_AN_ITEM: 1}


def test_options_are_checked() -> None:
    with pytest.raises(ConfigError, match=r"language: 'en } DROP'; allowed: codes such as 'en'"):
        ReadOptions(language="en } DROP")
    with pytest.raises(DataError, match="relations: 'Q5'; allowed: ids such as 'P31'"):
        ReadOptions(relations=frozenset({"Q5"}))
