"""Configs: what is wrong is named with file, key and value."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from benchmarks.config import ROOT, BenchmarkConfig
from benchmarks.consistency import ConsistencyConfig
from dafnet_plugin.errors import ConfigError

GOOD: dict[str, Any] = {
    "name": "small",
    "models": [{"name": "tiny-gpt2", "family": "gpt2"}, {"name": "tiny-llama", "family": "llama"}],
    "datasets": [{"name": "world", "source": "tinyworld"}],
    "num_edits": [1, 10],
    "sequences": [3, 1],
    "methods": [
        {"name": "FT", "hparams": "hparams/FT/{model}.yaml"},
        {
            "name": "DAFNET",
            "hparams": "hparams/DAFNET/tiny-{family}.yaml",
            "training": "hparams/TRAINING/DAFNET/{model}.yaml",
            "variant": "a",
        },
    ],
}
FT, DAFNET = GOOD["methods"]
MEND = {
    "name": "MEND",
    "hparams": "hparams/MEND/{model}.yaml",
    "training": "hparams/TRAINING/MEND/{model}.yaml",
}


def read(tmp_path: Path, **changes: Any) -> BenchmarkConfig:
    path = tmp_path / "config.yaml"
    path.write_text(yaml.safe_dump(GOOD | changes))
    return BenchmarkConfig.read(path)


def test_lengths_and_paths(tmp_path: Path) -> None:
    config = read(tmp_path)
    assert config.lengths == [(1, 3), (10, 1)]
    assert read(tmp_path, sequences=4).lengths == [(1, 4), (10, 4)]
    ft, dafnet = config.entries
    assert (ft.label, dafnet.label) == ("FT", "DAFNET-a")
    llama = config.model_entries[1]
    assert ft.hparams_path(llama) == ROOT / "hparams/FT/tiny-llama.yaml"
    assert dafnet.hparams_path(llama) == ROOT / "hparams/DAFNET/tiny-llama.yaml"
    assert ft.training_path(llama) is None
    assert dafnet.training_path(llama) == ROOT / "hparams/TRAINING/DAFNET/tiny-llama.yaml"


def test_sizes_of_a_model_are_keys_beside_its_name(tmp_path: Path) -> None:
    wide = {"name": "tiny-gpt2-wide", "family": "gpt2", "n_inner": 1536}
    methods = [FT | {"hparams": "hparams/FT/tiny-{family}.yaml"}]
    spec = read(tmp_path, models=[wide], methods=methods).model_entries[0].spec
    assert (spec.family, dict(spec.sizes)) == ("gpt2", {"n_inner": 1536})
    with pytest.raises(ConfigError, match=r"models\[0\]\.n_iner: unknown key .*'n_inner'"):
        read(tmp_path, models=[{"name": "x", "family": "gpt2", "n_iner": 1}])


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"modles": []}, r"modles: unknown key \(did you mean 'models'"),
        ({"datasets": [{"name": "x", "source": "pararell"}]}, r"datasets\[0\]\.source.*pararel"),
        ({"datasets": []}, r"datasets: \[\]; at least one"),
        ({"methods": []}, r"methods: \[\]; at least one"),
        ({"methods": [{"name": "FT"}]}, r"methods\[0\]\.hparams: missing"),
        ({"methods": [FT | {"repared": False}]}, r"repared: unknown key .*did you mean 'repaired'"),
        ({"methods": [FT, FT]}, r"FT is given twice; set variant"),
        (
            {"methods": [FT | {"hparams": "hparams/FT/none-{model}.yaml"}]},
            r"methods\[0\]\.hparams: '.*FT/none-tiny-llama.yaml'; there is no such file",
        ),
        ({"methods": [FT | {"max_edits": {"wrld": 1}}]}, "max_edits: 'wrld'.*did you mean 'world'"),
        ({"methods": [FT | {"max_edits": {"world": 0}}]}, "max_edits.world: 0; allowed: above 0"),
        ({"methods": [FT | {"max_edits": {"world": "1"}}]}, "max_edits: .*'1'.*; allowed: a whole"),
        ({"methods": [FT | {"max_edits": 0}]}, "max_edits: 0; allowed: above 0"),
        ({"methods": [FT | {"only_models": ["gpt2"]}]}, r"only_models: \['gpt2'\]; allowed: tiny"),
        ({"methods": [FT | {"variant": "../x"}]}, r"'FT-../x'; allowed: the name of a folder"),
        ({"models": GOOD["models"][:1] * 2}, r"models: tiny-gpt2 is given twice"),
        ({"sequences": [1]}, r"sequences: \[1\]; allowed: one number, or 2"),
        ({"num_edits": [0, 10]}, r"num_edits: \[0, 10\]; allowed"),
        ({"num_edits": [5, 5]}, r"num_edits: \[5, 5\]; allowed: different"),
        ({"num_edits": [5, "most"]}, r"num_edits: \[5, 'most'\]; allowed.*max"),
        ({"seeds": [1, 1]}, r"seeds: \[1, 1\]; allowed: different numbers"),
        ({"threads": 0}, r"threads: 0; allowed: above 0"),
        ({"name": "a/b"}, r"name: 'a/b'; allowed: the name of a folder"),
        ({"methods": [MEND], "training_seconds": 0.0}, r"training_seconds: 0.*allowed: above 0"),
        (
            {"consistency": True, "datasets": [{"name": "facts", "source": "zsre"}]},
            r"consistency: the source zsre of the data set facts makes no consistency pairs; "
            r"allowed: data sets of tinyworld, pararel, or consistency: false",
        ),
        ({"targets": {"KN": {"facts": {1: 0.9}}}}, r"targets: 'KN'; allowed: .*FT"),
        ({"targets": {"FT": {"fact": {1: 0.9}}}}, r"targets\.FT\.fact: unknown data set; allowed"),
        ({"targets": {"FT": {"facts": {1: 97}}}}, r"targets\.FT\.facts: .*; allowed: .* 0 to 1"),
        ({"targets": {"FT": 0.9}}, r"targets\.FT: 0\.9; allowed: averages by data set"),
        ({"consistency": {"sentences": 1}}, r"consistency\.sentences: 1; allowed: at least 2"),
        ({"consistency": {"fact": 1}}, r"consistency\.fact: unknown key .*did you mean 'facts'"),
        ({"consistency": "yes"}, r"consistency: 'yes'; allowed: true or false or keys with values"),
        (
            {"methods": [MEND, DAFNET], "training_seconds": "DAFNET"},
            r"training_seconds: 'DAFNET'; allowed: seconds, or .*\(MEND, DAFNET-a\)",
        ),
        (
            {
                "methods": [
                    MEND | {"training_seconds": "DAFNET-a"},
                    DAFNET | {"only_models": ["tiny-gpt2"]},
                ]
            },
            r"MEND: training_seconds: 'DAFNET-a'; .*on tiny-llama and world",
        ),
    ],
)  # fmt: skip
def test_problems_name_file_key_and_value(
    tmp_path: Path, changes: dict[str, Any], message: str
) -> None:
    with pytest.raises(ConfigError, match=message) as error:
        read(tmp_path, **changes)
    assert str(tmp_path / "config.yaml") in str(error.value)


def test_every_problem_is_reported_at_once(tmp_path: Path) -> None:
    with pytest.raises(ConfigError) as error:
        read(tmp_path, threads=0, seeds=[-1], methods=[{"name": "FT"}])
    assert all(key in str(error.value) for key in ("threads", "seeds", "methods[0]"))


def test_consistency_is_measured_if_it_is_asked_for(tmp_path: Path) -> None:
    assert read(tmp_path).consistency_settings is None
    assert read(tmp_path, consistency=False).consistency_settings is None
    assert read(tmp_path, consistency=True).consistency_settings == ConsistencyConfig()
    settings = read(tmp_path, consistency={"facts": 7}).consistency_settings
    assert settings == ConsistencyConfig(facts=7)


def test_one_label_may_stand_for_other_files_on_other_models(tmp_path: Path) -> None:
    entries = [
        {"name": "FT", "hparams": f"hparams/FT/{model}.yaml", "only_models": [model]}
        for model in ("tiny-gpt2", "tiny-llama")
    ]
    config = read(tmp_path, methods=entries)
    assert [entry.label for entry in config.entries] == ["FT", "FT"]


def test_who_sets_the_pace(tmp_path: Path) -> None:
    methods = [DAFNET, MEND, MEND | {"variant": "short", "training_seconds": 5}, FT]
    config = read(tmp_path, methods=methods, training_seconds="DAFNET-a")
    assert [config.pace(e) for e in config.entries[:3]] == [None, "DAFNET-a", 5]


@pytest.mark.parametrize("path", sorted((ROOT / "benchmarks" / "configs").glob("*.yaml")))
def test_shipped_configs_are_right(path: Path) -> None:
    # study-full adds to the results of study.
    assert BenchmarkConfig.read(path).name == path.stem.removesuffix("-full")
