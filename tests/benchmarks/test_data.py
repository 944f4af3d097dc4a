"""The facts of a benchmark."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

import benchmarks.data as data
from benchmarks.config import BenchmarkConfig
from benchmarks.data import independent, prepare, unrelated
from benchmarks.runner import choose_sequences
from dafnet_plugin.cases import EditCase, EditRequest, Probe, read_cases
from dafnet_plugin.data.base_model import BaseModelReport
from dafnet_plugin.errors import ConfigError, DataError


def config(**changes: Any) -> BenchmarkConfig:
    method = {"name": "FT", "hparams": "hparams/FT/tiny-gpt2.yaml"}
    return BenchmarkConfig.from_dict(
        {"name": "x", "source": "tinyworld", "methods": [method], "num_edits": [1, 10]} | changes
    )


def case(subject: str, asked: str) -> EditCase:
    request = EditRequest(f"{subject} lives in", "Rome", subject)
    return EditCase(subject, request, (), (Probe(f"{asked} plays the", "piano"),))


def test_cases_that_disturb_each_other_are_left_out() -> None:
    cases = [case("Ada", "Bo"), case("Bo", "Cleo"), case("Cleo", "Ada"), case("Ada", "Eve")]
    # Bo is asked about by the first, Cleo asks about Ada, and Ada has been edited already.
    assert [kept.case_id for kept in independent(cases)] == ["Ada"]
    assert len(independent([case("Ada", "Eve"), case("Bo", "Eve")])) == 2
    assert [kept.case_id for kept in unrelated(cases, [case("Ada", "Bo")])] == ["Bo", "Cleo"]


@pytest.mark.parametrize("source", ["pararel", "counterfact"])
def test_missing_data_are_named(tmp_path: Path, source: str) -> None:
    with pytest.raises(DataError, match=rf"{source}: there is no such folder; .*--data-dir"):
        prepare(config(source=source), tmp_path / "nowhere", tmp_path / "out")


def test_tiny_world_has_cases_enough(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    trained: dict[str, Any] = {}

    def train_base_model(statements: Any, probes: Any, family: str, folder: Path, **_: Any) -> Any:
        trained.update(statements=len(statements), probes=len(probes), family=family)
        return BaseModelReport(family, str(folder), 1.0, True, 1, 1, 1, 1, 0.0, 1, "cpu", False)

    monkeypatch.setattr(data, "train_base_model", train_base_model)
    prepared = prepare(config(train_cases=50), tmp_path, tmp_path / "out")
    assert len(read_cases(prepared.evaluation)) >= 300
    assert len(read_cases(prepared.train)) == 50
    assert trained["statements"] > trained["probes"] > 5000
    assert len(prepared.texts.read_text().splitlines()) == trained["probes"]
    with pytest.raises(ConfigError, match=r"num_edits: 9999; allowed: at most \d+"):
        prepare(config(num_edits=[9999]), tmp_path, tmp_path / "out")


def test_sequences_are_disjoint_and_repeatable() -> None:
    sequences = choose_sequences(config(sequences=[5, 3]), 25)
    assert [(s.num_edits, s.number) for s in sequences] == [
        *((1, number) for number in range(5)),
        (10, 0),
        (10, 1),
    ]
    tens = [index for s in sequences if s.num_edits == 10 for index in s.cases]
    assert len(set(tens)) == 20
    assert sequences == choose_sequences(config(sequences=[5, 3]), 25)
    assert sequences != choose_sequences(config(sequences=[5, 3], seed=1), 25)
