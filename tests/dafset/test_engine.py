"""Engines and stages: what is kept, and what is said when something is wrong."""

from __future__ import annotations

from pathlib import Path

import pytest

from dafnet_plugin.dafset.engine import open_engine, stage
from dafnet_plugin.dafset.select import open_graph
from dafnet_plugin.errors import ConfigError, DataError
from tests.dafset.small_store import write_small_store


def test_a_folder_that_is_no_store(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"entities: no \*\.parquet"):
        open_graph(open_engine(), tmp_path)


def test_unknown_engines() -> None:
    with pytest.raises(ConfigError, match="engine: 'polars'; allowed: duckdb, spark"):
        open_engine("polars")


def test_a_damaged_file(tmp_path: Path) -> None:
    store = write_small_store(tmp_path / "store")
    file = next((store / "entities").glob("*.parquet"))
    file.write_bytes(file.read_bytes()[:-40])
    with pytest.raises(DataError, match=r"duckdb: .*00000\.parquet"):
        graph = open_graph(open_engine(), store)
        graph.engine.rows(graph.names())


def test_a_memory_that_is_none() -> None:
    with pytest.raises(ConfigError, match="'memory_limit': 'much'"):
        open_engine(memory="much")


def test_spark_without_java(monkeypatch: pytest.MonkeyPatch) -> None:
    sql = pytest.importorskip("pyspark.sql")
    monkeypatch.setattr(sql.SparkSession, "getActiveSession", lambda: None)
    monkeypatch.setenv("PATH", "")
    with pytest.raises(ConfigError, match=r"'spark' needs Java"):
        open_engine("spark")


def test_stages_are_made_once(tmp_path: Path) -> None:
    made = []

    def make(path: Path) -> None:
        made.append(1)
        path.write_text("x")

    path = tmp_path / "stage"
    for recipe in ({"a": 1}, {"a": 1}, {"a": 2}):
        assert stage(path, recipe, make) == path
    assert len(made) == 2, "another recipe, another file"
    path.with_name("stage.recipe.json").write_text("{")
    stage(path, {"a": 2}, make)
    path.unlink()
    stage(path, {"a": 2}, make)
    assert len(made) == 4
    with pytest.raises(DataError, match="was not written"):
        stage(tmp_path / "other", {}, lambda path: None)
