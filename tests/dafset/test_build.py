"""Whole builds: valid, reproducible, resumable, on real files and on the tiny world."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from dafnet_plugin.dafset import build as building
from dafnet_plugin.dafset.build import WORK, Built, build, dump_date
from dafnet_plugin.dafset.config import BuildConfig
from dafnet_plugin.dafset.relations import load_relations
from dafnet_plugin.dafset.samples import PROPERTIES
from dafnet_plugin.data.dafset import load_dafset
from dafnet_plugin.errors import ConfigError, DataError
from tests.dafset.checking import check_dafset, meta_of
from tests.dafset.small_store import small_world, write_small_store

pytest.importorskip("duckdb")
FILES = (*(f"{name}.json" for name in PROPERTIES), "dataset.json", "README.md")
TRUE = ("recent", "long_tail")


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_small_store(tmp_path_factory.mktemp("small") / "store")


def recipe(store: Path, **changes: Any) -> BuildConfig:
    return BuildConfig.from_dict({"store": str(store), "size": 12, "threads": 1} | changes)


@pytest.fixture(scope="module")
def built(store: Path, tmp_path_factory: pytest.TempPathFactory) -> Built:
    corpus = tmp_path_factory.mktemp("text") / "corpus.txt"
    corpus.write_text("Arland and Borland are countries. Person A0 was there, and so was Arland.\n")
    out = tmp_path_factory.mktemp("out") / "dafset"
    return build(recipe(store, corpus=[str(corpus)]), out)


def content(folder: Path) -> dict[str, bytes]:
    return {name: (folder / name).read_bytes() for name in FILES}


def test_a_build_is_valid(built: Built, store: Path) -> None:
    samples = check_dafset(built.folder, store, load_relations(), TRUE)
    assert built.counts == dict.fromkeys(PROPERTIES, 12) and len(samples) == 48
    assert {meta_of(sample).split for sample in samples} == {"train", "eval"}
    for sample in samples:
        meta = meta_of(sample)
        assert meta.degree and meta.frequency is not None and meta.modified and meta.domain
        assert bool(sample.prefix) == (meta.property == "robust")
    robust = [sample for sample in samples if sample.prefix]
    assert all(len(meta_of(s).contexts) == len(s.prefix) and meta_of(s).counter for s in robust)
    hops = [meta_of(s).hops for s in samples if meta_of(s).property == "popular"]
    assert hops.count(2) > 6, "new objects are neighbours where there are any"


def test_popular_subjects_are_more_viewed(built: Built) -> None:
    def views(name: str) -> list[int]:
        records = json.loads((built.folder / f"{name}.json").read_text())
        return [record["dafset"]["views"] for record in records]

    assert min(views("popular")) > 700 > sum(views("robust")) / 12


def test_recent_subjects_were_modified_in_the_last_week(built: Built) -> None:
    records = json.loads((built.folder / "recent.json").read_text())
    assert all(r["dafset"]["modified"] >= "2026-11-13" for r in records)


def test_it_is_read_by_the_loader(built: Built) -> None:
    assert len(load_dafset(built.folder, prefixes=True)) == 48


def test_provenance_and_card(built: Built) -> None:
    record = json.loads((built.folder / "dataset.json").read_text())
    assert record == built.provenance
    assert record["config"]["store"] == "store" and "engine" not in record["config"]
    assert record["selection"]["objects_named_by_hand"] == 0
    assert record["samples"]["total"] == 48 and record["selection"]["facts"] == 498
    assert record["selection"]["statements_not_used"]["several objects"] == 2
    assert record["selection"]["corpus"][0]["name"] == "corpus.txt"
    card = (built.folder / "README.md").read_text()
    assert "48 edits" in card and "several objects 2" in card and "| P36 | capital |" in card
    for text in (card, json.dumps(record)):
        assert str(built.folder.parent) not in text, "no machine's path"


def test_same_seed_same_bytes(built: Built, store: Path, tmp_path: Path) -> None:
    one = build(recipe(store), tmp_path / "one").folder
    two = build(recipe(store), tmp_path / "two").folder
    other = build(recipe(store, seed=1), tmp_path / "other").folder
    assert content(one) == content(two)
    assert content(one)["popular.json"] != content(other)["popular.json"]


def test_rows_in_another_order_give_the_same(store: Path, tmp_path: Path) -> None:
    entities, statements = small_world()
    shuffled = write_small_store(tmp_path / "store", entities[::-1], statements[::-1])
    one, two = (build(recipe(s), tmp_path / n).folder for s, n in ((store, "a"), (shuffled, "b")))
    assert content(one) == content(two)


@pytest.mark.slow
def test_spark_gives_the_same_bytes(store: Path, tmp_path: Path, spark: None) -> None:
    one = build(recipe(store), tmp_path / "duckdb").folder
    two = build(recipe(store, engine="spark"), tmp_path / "spark").folder
    assert content(one) == content(two)


def test_a_stopped_build_goes_on(
    store: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = build(recipe(store), tmp_path / "whole").folder
    said: list[str] = []
    out = tmp_path / "stopped"
    with monkeypatch.context() as patch:
        patch.setattr(building, "find_pools", _stop)
        with pytest.raises(KeyboardInterrupt):
            build(recipe(store), out)
    assert not (out / "dataset.json").exists() and (out / WORK).is_dir()
    build(recipe(store), out, say=said.append)
    assert content(out) == content(whole)
    assert not any("looking for usable statements" in line for line in said)


def _stop(*arguments: Any) -> None:
    raise KeyboardInterrupt


def test_what_changed_comes_first(store: Path, tmp_path: Path) -> None:
    entities, statements = small_world()
    moved = {f"Q{6000 + n}" for n in range(30)}
    for row in statements:
        if row["subject"] in moved and row["relation"] == "P19":
            number = int(row["object"][1:]) - 2000
            row["object"] = f"Q{2000 + (number + 1) % 24}"
    before = write_small_store(tmp_path / "before", entities, statements)
    out = build(recipe(store, previous=str(before)), tmp_path / "out").folder
    records = json.loads((out / "recent.json").read_text())
    assert [record["dafset"]["change"] for record in records] == ["changed"] * 12
    labels = {entity["id"]: entity["label"] for entity in entities}
    old = {
        row["subject"]: labels.get(row["object"]) for row in statements if row["relation"] == "P19"
    }
    for record in records:
        assert record["ground_truth"] == old[record["dafset"]["subject_id"]]
    selection = json.loads((out / "dataset.json").read_text())["selection"]
    assert selection["recent_changes"] == {"changed": 30}


def test_some_properties_and_other_targets(store: Path, tmp_path: Path) -> None:
    config = recipe(store, properties=["long_tail"], true_targets=[], only=["P19", "P27"])
    out = build(config, tmp_path).folder
    samples = check_dafset(out, store, load_relations(), ())
    assert {meta_of(sample).relation for sample in samples} == {"P19", "P27"}
    assert {meta_of(sample).property for sample in samples} == {"long_tail"}


def test_a_likelihood_for_every_sample(
    store: Path, tmp_path: Path, tiny_models: dict[str, Path]
) -> None:
    config = recipe(store, size=4, model=str(tiny_models["gpt2"]))
    out = build(config, tmp_path).folder
    samples = check_dafset(out, store, load_relations(), TRUE)
    assert all((meta_of(sample).log_likelihood or 0) < 0 for sample in samples)
    selection = json.loads((out / "dataset.json").read_text())["selection"]
    assert selection["model"]["name"] == "tiny-gpt2"
    assert selection["long_tail"]["by"] == ["degree", "log_likelihood"]


def test_labels_are_text(tmp_path: Path) -> None:
    entities, statements = small_world()
    for entity in entities:
        entity["label"] = entity["label"] and f"<b>{entity['label']}|*x*</b>"
    store = write_small_store(tmp_path / "store", entities, statements)
    card = (build(recipe(store), tmp_path / "out").folder / "README.md").read_text()
    assert "<b>" not in card and "&lt;b&gt;" in card and r"\|\*x\*" in card


def test_nothing_to_make_samples_of(store: Path, tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"no fact can become .*there are none of them at all"):
        build(recipe(store, only=["P1303"]), tmp_path / "a")
    entities, statements = small_world()
    few = write_small_store(tmp_path / "few", entities, [
        row for row in statements if row["subject"] in ("Q1000", "Q2000")])  # fmt: skip
    with pytest.raises(DataError, match=r"no sample could be made of .*no locality probe"):
        build(recipe(few, properties=["recent", "long_tail"], recent={"days": 99}), tmp_path / "b")


def test_an_unknown_relation(store: Path, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="'P99999' is not in"):
        build(recipe(store, only=["P99999"]), tmp_path)
    assert not any(tmp_path.iterdir()), "before anything is read"


def test_a_store_that_is_none_or_not_finished(store: Path, tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"no store\.json"):
        build(recipe(tmp_path), tmp_path / "out")
    with pytest.raises(DataError, match=r"no store\.json"):
        build(recipe(store, previous=str(tmp_path)), tmp_path / "out")
    half = write_small_store(tmp_path / "half")
    info = json.loads((half / "store.json").read_text()) | {"complete": False}
    (half / "store.json").write_text(json.dumps(info))
    with pytest.raises(DataError, match="not finished"):
        build(recipe(half), tmp_path / "out")


def test_dump_dates() -> None:
    plan = {"as_of": None, "sources": [{"dump_date": "2026-01-02"}, {"dump_date": "2026-01-09"}]}
    assert dump_date({"plan": plan}) == "2026-01-09"
    assert dump_date({"plan": plan | {"as_of": "2026-02-01"}}) == "2026-02-01"
    assert dump_date({"dump_date": "2026-03-01"}) == "2026-03-01" and dump_date({}) is None


def test_real_files(data_dir: Path, tmp_path: Path) -> None:
    names = ("kgtk-claims.tsv.gz", "kgtk-labels.tsv.gz", "Q22.json",
             "wbgetentities-Douglas-Adams.json", "wbgetentites-Oliver-Kahn.json",
             "wbgetentities-Q32063953.json")  # fmt: skip
    sources = [str(data_dir / "wikidata" / name) for name in names]
    config = BuildConfig.from_dict({"sources": sources, "size": 20, "threads": 1})
    built = build(config, tmp_path)
    # A quarter of the subjects is popular, and other properties take some of them.
    assert built.counts["robust"] == built.counts["long_tail"] == 20 > built.counts["popular"] > 9
    by_hand = built.provenance["selection"]["objects_named_by_hand"]
    assert by_hand and f"{by_hand} of these facts" in (tmp_path / "README.md").read_text()
    store = tmp_path / WORK / "store"
    samples = check_dafset(tmp_path, store, load_relations(), TRUE)
    assert len(load_dafset(tmp_path)) == len(samples)
    files = built.provenance["source"]["plan"]["sources"][0]["files"]
    assert all(len(file["sha256"]) == 64 and "/" not in file["file"] for file in files)


def test_the_tiny_world(tmp_path: Path) -> None:
    from dafnet_plugin.dafset.tinyworld import write_sources
    from dafnet_plugin.data.tinyworld import WorldConfig

    sources = write_sources(tmp_path / "sources", 0, WorldConfig(scale=0.5))
    config = BuildConfig.from_dict(
        {
            "sources": [str(sources / "after.json.gz")],
            "previous": str(sources / "before.json.gz"),
            "relations": str(sources / "relations.yaml"),
            "corpus": [str(sources / "corpus.txt")],
            "pageviews": [str(file) for file in sources.glob("pageviews*.gz")],
            "size": 20,
            "threads": 1,
        }
    )
    built = build(config, tmp_path / "out")
    table = load_relations(sources / "relations.yaml")
    samples = check_dafset(tmp_path / "out", tmp_path / "out" / WORK / "store", table, TRUE)
    assert built.counts["popular"] == 20 and len(samples) >= 60
    changes = built.provenance["selection"]["recent_changes"]
    assert changes["changed"] and changes["new"]
    assert all(meta_of(s).views for s in samples if meta_of(s).property == "popular")
