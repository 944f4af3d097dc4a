"""The tiny world as dumps, page views, corpus and relation table."""

from __future__ import annotations

import gzip
import json
from collections import Counter
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from dafnet_plugin.dafset.relations import load_relations
from dafnet_plugin.dafset.tinyworld import FILES, change, write_sources
from dafnet_plugin.dafset.tinyworld_dump import DUMP_DATE, wikidata_id
from dafnet_plugin.data.tinyworld import WorldConfig, make
from dafnet_plugin.errors import ConfigError

CONFIG = WorldConfig(scale=0.4)


@pytest.fixture(scope="module")
def sources(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small world's."""
    return write_sources(tmp_path_factory.mktemp("sources"), 1, CONFIG, changed_share=0.4)


def read_dump(path: Path) -> dict[str, dict[str, Any]]:
    """As a reader of dumps does: line by line, brackets and commas aside."""
    with gzip.open(path, "rt", encoding="utf-8") as file:
        lines = [line.strip().rstrip(",") for line in file]
    assert lines[0] == "[" and lines[-1] == "]"
    return {item["id"]: item for item in map(json.loads, lines[1:-1])}


def objects(item: dict[str, Any], relation: str, rank: str | None = None) -> set[str]:
    return {
        claim["mainsnak"]["datavalue"]["value"]["id"]
        for claim in item["claims"].get(relation, [])
        if rank in (None, claim["rank"])
    }


def test_a_dump_is_an_array_with_an_entity_a_line(sources: Path) -> None:
    items = read_dump(sources / FILES[1])
    with gzip.open(sources / FILES[1], "rt") as file:
        assert [item["id"] for item in json.load(file)] == list(items)
    world = make(1, CONFIG).world
    for entity in world.entities.values():
        item = items[wikidata_id(entity.id)]
        assert item["labels"]["en"]["value"] == item["sitelinks"]["enwiki"]["title"] == entity.label
        aliases = item["aliases"].get("en", []) if item["aliases"] else []
        assert tuple(alias["value"] for alias in aliases) == entity.aliases
        assert len(objects(item, "P31")) == 1
    assert objects(items["Q515"], "P279") == {"Q486972"} and "Q486972" in items
    assert not set(items) & {entity.id for entity in world.entities.values()} - {
        "Q5",
        "Q571",
        "Q515",
    }


def test_the_first_dump_is_the_world(sources: Path) -> None:
    items, world = read_dump(sources / FILES[0]), make(1, CONFIG).world
    for (subject, relation), found in world.simple.items():
        assert objects(items[wikidata_id(subject)], relation) == set(map(wikidata_id, found))
    total = sum(len(claims) for item in items.values() for claims in item["claims"].values())
    assert total == sum(map(len, world.simple.values())) + len(world.entities) + 7


def test_what_changed_is_in_the_second_dump(sources: Path) -> None:
    before, after = (read_dump(sources / name) for name in FILES[:2])
    changes = json.loads((sources / "changes.json").read_text())
    assert set(Counter(item["kind"] for item in changes)) == {"new", "changed", "removed"}
    moved = {item["subject"] for item in changes}
    for item in changes:
        old, new = (dump[item["subject"]] for dump in (before, after))
        if item["old"]:
            assert item["old"] in objects(old, item["relation"])
        if item["kind"] == "changed":
            assert objects(new, item["relation"], "preferred") == {item["new"]}
            [ended] = [c for c in new["claims"][item["relation"]] if c["rank"] == "normal"]
            assert "P582" in ended["qualifiers"]
        elif item["kind"] == "new":
            assert objects(old, item["relation"]) == set()
            assert objects(new, item["relation"]) == {item["new"]}
        else:
            assert item["relation"] not in new["claims"]
    for name, item in after.items():
        age = DUMP_DATE - datetime.fromisoformat(item["modified"].rstrip("Z"))
        assert (age < timedelta(days=7)) == (name in moved)
        if name not in moved:
            assert item["claims"] == before[name]["claims"]


def test_relations_stay_what_they_are() -> None:
    world = make(1, CONFIG).world
    after, changes = change(world, 1, 0.6)
    for (subject, relation), found in after.items():
        inverse = world.relations[relation].inverse
        if inverse:
            assert after[found[0], inverse] == (subject,)
    assert {item.kind for item in changes} == {"new", "changed", "removed"}
    assert change(world, 1, 0.0) == (dict(world.simple), [])


def test_views_and_corpus_follow_popularity(sources: Path) -> None:
    tiny = make(1, CONFIG)
    with gzip.open(sources / FILES[2], "rt") as file:
        views = {line.split()[1].replace("_", " "): int(line.split()[2]) for line in file}
    ranked = sorted(tiny.world.entities.values(), key=lambda entity: entity.popularity)
    assert [views[e.label] for e in ranked] == sorted(views.values(), reverse=True)
    lines = (sources / FILES[3]).read_text().splitlines()
    assert len(lines) == sum(line.count for line in tiny.lines)
    assert all(line.endswith(".") for line in lines)


def test_the_relation_table_is_one_that_builds_read(sources: Path) -> None:
    table, world = load_relations(sources / "relations.yaml"), make(1, CONFIG).world
    assert set(table) == {name for name, relation in world.relations.items() if not relation.path}
    assert table["P19"].cloze[0] == "[X] was born in [Y]" and len(table["P19"].cloze) == 6
    assert all(near in table for relation in table.values() for near in relation.near)
    assert table.domain("P19") == "people" and table["P36"].inverse == "P1376"


def test_same_seed_same_bytes(sources: Path, tmp_path: Path) -> None:
    again = write_sources(tmp_path / "again", 1, CONFIG, changed_share=0.4)
    for path in sources.iterdir():
        assert path.read_bytes() == (again / path.name).read_bytes(), path.name
    other = write_sources(tmp_path / "other", 2, CONFIG, changed_share=0.4)
    assert (other / FILES[0]).read_bytes() != (again / FILES[0]).read_bytes()


def test_a_share_is_a_share(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"changed_share is 1\.5; allowed: 0 to 1"):
        write_sources(tmp_path, changed_share=1.5)
