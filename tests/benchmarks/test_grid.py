"""Cells, what --only leaves of them, and their sequences."""

from __future__ import annotations

import math

import pytest

from benchmarks.config import BenchmarkConfig
from benchmarks.grid import Filter, cells_of, choose_sequences, clipped
from dafnet_plugin.errors import ConfigError
from tests.benchmarks.test_config import GOOD


def config(**changes: object) -> BenchmarkConfig:
    return BenchmarkConfig.from_dict(GOOD | changes)


def names(*only: str, **changes: object) -> list[str]:
    made = config(**changes)
    return [cell.name for cell in cells_of(made) if Filter(made, only)(cell)]


def test_every_method_in_every_setting() -> None:
    assert names(seeds=[0, 3]) == [
        f"world/{model}/seed-{seed}/{label}"
        for seed in (0, 3)
        for model in ("tiny-gpt2", "tiny-llama")
        for label in ("FT", "DAFNET-a")
    ]
    limited = [GOOD["methods"][0] | {"only_models": ["tiny-llama"]}, GOOD["methods"][1]]
    assert names("FT", methods=limited) == ["world/tiny-llama/seed-0/FT"]


def test_longest_sequence_by_data_set_and_model() -> None:
    def longest(max_edits: object) -> list[float]:
        cells = cells_of(config(methods=[GOOD["methods"][0] | {"max_edits": max_edits}]))
        return [cell.longest for cell in cells]

    assert longest(None) == longest({}) == [math.inf, math.inf]
    assert longest(10) == longest({"world": 10}) == [10, 10]
    assert longest({"world": 10, "world/tiny-llama": 1}) == [10, 1]
    assert longest({"world/tiny-llama": 1}) == [math.inf, 1]


def test_only() -> None:
    assert names("DAFNET", "model=tiny-llama") == ["world/tiny-llama/seed-0/DAFNET-a"]
    assert names("DAFNET-a", "FT", "model=tiny-gpt2") == [
        "world/tiny-gpt2/seed-0/FT",
        "world/tiny-gpt2/seed-0/DAFNET-a",
    ]
    assert names("seed=0") == names()
    for word, message in {
        "DAFNETT": r"--only DAFNETT.*did you mean 'DAFNET'",
        "dataset=word": r"--only dataset=word.*did you mean 'world'.*it has world",
        "modle=tiny-gpt2": r"unknown key .*did you mean 'model'",
    }.items():
        with pytest.raises(ConfigError, match=message):
            names(word)


def test_sequences_of_a_length_are_disjoint_and_always_the_same() -> None:
    made = choose_sequences(config(num_edits=[1, 10], sequences=[50, 3]), 0, 25)
    assert [(one.num_edits, one.number) for one in made] == [
        *((1, number) for number in range(25)),
        *((10, number) for number in range(2)),
    ]
    tens = [case for one in made if one.num_edits == 10 for case in one.cases]
    assert len(set(tens)) == 20 and set(tens) <= set(range(25))
    again = choose_sequences(config(num_edits=[10], sequences=1), 0, 25)
    assert again[0].cases == next(one.cases for one in made if one.num_edits == 10)
    assert choose_sequences(config(num_edits=[10], sequences=1), 1, 25)[0] != again[0]


def test_a_length_that_the_data_cannot_fill() -> None:
    made = config(num_edits=[10, 100, 1000], sequences=[1, 2, 3])
    assert [(one.num_edits, one.number) for one in choose_sequences(made, 0, 576)] == [
        *((10, 0), (100, 0), (100, 1), (576, 0))
    ]
    assert clipped(made, 576) == [1000]
    # 80 cases: once, although two lengths want more.
    assert [one.num_edits for one in choose_sequences(made, 0, 80)] == [10, 80]
    assert {one.num_edits for one in choose_sequences(made, 0, 576, 100)} == {10, 100}
    every = config(num_edits=[10, "max"], sequences=1)
    assert [one.num_edits for one in choose_sequences(every, 0, 80)] == [10, 80]
    strict = config(num_edits=[1000], sequences=1, clip=False)
    with pytest.raises(ConfigError, match=r"num_edits: 1000; allowed: at most 576.*clip: true"):
        choose_sequences(strict, 0, 576)
    with pytest.raises(ConfigError, match="no evaluation cases"):
        choose_sequences(made, 0, 0)
