"""From the tiny world's dumps to a DAFSet that can be trained on, and its analysis."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from dafnet_plugin.dafset.analyse import write_analysis
from dafnet_plugin.dafset.build import build
from dafnet_plugin.dafset.config import BuildConfig
from dafnet_plugin.dafset.tinyworld import recipe, write_sources
from dafnet_plugin.dafset.tinyworld_dump import wikidata_id
from dafnet_plugin.data.dafset import DAFSetDataset
from dafnet_plugin.data.dafset_files import PARTS
from dafnet_plugin.data.tinyworld import WorldConfig, make

CONFIG = WorldConfig(scale=0.5)


@pytest.fixture(scope="module")
def sources(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small world's, in which much has changed."""
    return write_sources(tmp_path_factory.mktemp("sources"), 0, CONFIG, changed_share=0.5)


@pytest.fixture(scope="module")
def dafset(sources: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Thirty samples of each property."""
    config = BuildConfig.from_dict(recipe(sources, size=30, popular={"subjects": 30}))
    return build(config, tmp_path_factory.mktemp("dafset")).folder


def test_it_can_be_trained_on_and_tested_with(dafset: Path) -> None:
    train, test = (DAFSetDataset(dafset, split) for split in ("train", "eval"))
    assert set(train.sources) == set(PARTS) and len(test)
    assert {c.request.subject for c in train}.isdisjoint(c.request.subject for c in test)
    robust = json.loads((dafset / "robust.json").read_text())
    assert all(len(record["prefix"]) == 6 for record in robust)
    assert all(record["dafset"]["counter"] for record in robust)


def test_recent_samples_say_what_happened(dafset: Path, sources: Path) -> None:
    happened = {
        (item["subject"], item["relation"]): item
        for item in json.loads((sources / "changes.json").read_text())
    }
    world = make(0, CONFIG).world
    labels = {wikidata_id(entity.id): entity.label for entity in world.entities.values()}
    changed = [
        record
        for record in json.loads((dafset / "recent.json").read_text())
        if record["dafset"]["change"] == "changed"
    ]
    assert len(changed) >= 3
    for record in changed:
        item = happened[record["dafset"]["subject_id"], record["dafset"]["relation"]]
        assert record["target_new"] == labels[item["new"]]
        assert record["ground_truth"] == labels[item["old"]]


def test_locality_probes_are_true_in_the_world(dafset: Path) -> None:
    world = make(0, CONFIG).world
    labels = {entity.label: entity.id for entity in world.entities.values()}
    ids = {wikidata_id(entity): entity for entity in world.entities}
    for part in PARTS:
        for record in json.loads((dafset / f"{part}.json").read_text()):
            subject, relation, target = record["dafset"]["locality"]
            assert world.entities[ids[target]].label == record["locality_ground_truth"]
            assert record["subject"] not in record["locality_prompt"]
            assert labels[record["subject"]] != ids[subject] and relation in world.relations


def test_its_analysis_finds_the_long_tail_long(dafset: Path, sources: Path, tmp_path: Path) -> None:
    write_analysis(
        dafset, tmp_path, store=dafset / ".work" / "store", corpus=sources / "corpus.txt"
    )
    data = json.loads((tmp_path / "analysis.json").read_text())
    medians = {
        one["name"]: {series["set"]: series["median"] for series in one["series"]}
        for one in data["measures"]
    }
    assert medians["degree"]["long_tail"] < medians["degree"]["recent"]
    assert medians["views"]["long_tail"] < medians["views"]["popular"]
    assert data["domains"]["sets"]["popular"].get("human", 0) > 0
    bad = {
        name: one["count"]
        for name, one in data["duplicates"].items()
        if name != "facts_in_two_files"
    }
    assert not any(bad.values()), bad
    assert data["contexts"]["sentiment_as_described"] == data["contexts"]["described"]
