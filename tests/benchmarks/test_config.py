"""Configs: what is wrong is named with file, key and value."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from benchmarks.config import ROOT, BenchmarkConfig
from dafnet_plugin.errors import ConfigError

GOOD: dict[str, Any] = {
    "name": "small",
    "source": "tinyworld",
    "num_edits": [1, 10],
    "sequences": [3, 1],
    "methods": [
        {"name": "FT", "hparams": "hparams/FT/tiny-gpt2.yaml"},
        {"name": "DAFNET", "hparams": "hparams/DAFNET/tiny-gpt2.yaml", "variant": "a"},
    ],
}


def read(tmp_path: Path, **changes: Any) -> BenchmarkConfig:
    path = tmp_path / "config.yaml"
    path.write_text(yaml.safe_dump(GOOD | changes))
    return BenchmarkConfig.read(path)


def test_lengths_labels_and_selection(tmp_path: Path) -> None:
    config = read(tmp_path)
    assert config.lengths == [(1, 3), (10, 1)]
    assert read(tmp_path, sequences=4).lengths == [(1, 4), (10, 4)]
    assert [entry.label for entry in config.select(None)] == ["FT", "DAFNET-a"]
    assert [entry.label for entry in config.select(["DAFNET"])] == ["DAFNET-a"]
    assert [entry.label for entry in config.select(["DAFNET-a"])] == ["DAFNET-a"]
    with pytest.raises(ConfigError, match=r"--only DAFNETT.*did you mean"):
        config.select(["DAFNETT"])


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"sourse": "tinyworld"}, r"sourse: unknown key \(did you mean 'source'"),
        ({"source": "zsre"}, r"source: 'zsre'; allowed: tinyworld, pararel, counterfact"),
        ({"methods": []}, r"methods: \[\]; at least one"),
        ({"methods": [{"name": "FT"}]}, r"methods\[0\]\.hparams: missing"),
        ({"methods": [GOOD["methods"][0]] * 2}, r"FT is given twice; set variant"),
        (
            {"methods": [{"name": "FT", "hparams": "hparams/FT/none.yaml"}]},
            r"methods\[0\]\.hparams: 'hparams/FT/none.yaml'; there is no such file",
        ),
        ({"sequences": [1]}, r"sequences: \[1\]; allowed: one number, or 2"),
        ({"num_edits": [0, 10]}, r"num_edits: \[0, 10\]; allowed"),
        ({"num_edits": [5, 5]}, r"num_edits: \[5, 5\]; allowed: different"),
        ({"base_accuracy": 98}, r"base_accuracy: 98.*allowed: above 0, at most 1"),
        ({"threads": 0}, r"threads: 0; allowed: above 0"),
        ({"name": "a/b"}, r"name: 'a/b'; allowed: the name of a folder"),
    ],
)
def test_problems_name_file_key_and_value(
    tmp_path: Path, changes: dict[str, Any], message: str
) -> None:
    with pytest.raises(ConfigError, match=message) as error:
        read(tmp_path, **changes)
    assert str(tmp_path / "config.yaml") in str(error.value)


def test_every_problem_is_reported_at_once(tmp_path: Path) -> None:
    with pytest.raises(ConfigError) as error:
        read(tmp_path, threads=0, base_accuracy=2, methods=[{"name": "FT"}])
    assert all(key in str(error.value) for key in ("threads", "base_accuracy", "methods[0]"))


@pytest.mark.parametrize("path", sorted((ROOT / "benchmarks" / "configs").glob("*.yaml")))
def test_shipped_configs_are_right(path: Path) -> None:
    assert BenchmarkConfig.read(path).name == path.stem
