"""Facts and base models of a benchmark: what is asked for, and the files that come of it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

import benchmarks.data as data
from benchmarks.data import DataSpec, ModelSpec, prepare, prepare_facts
from dafnet_plugin.cases import read_cases
from dafnet_plugin.data.base_model import BaseModelReport
from dafnet_plugin.errors import ConfigError, DataError
from dafnet_plugin.files import read_json, read_jsonl

SMALL: dict[str, Any] = {"scale": 0.4, "train_share": 0.5, "eval_share": 0.3}
WORLD = DataSpec("world", "tinyworld", options=SMALL)
TINY = ModelSpec("tiny", "gpt2", sizes={"n_inner": 64}, base_accuracy=0.5, base_seconds=7.0)


@pytest.fixture
def trained(monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """What the base model would have been trained on; nothing is trained."""
    given: dict[str, Any] = {}

    def train(statements: Any, probes: Any, family: str, folder: Path, **options: Any) -> Any:
        given.update(statements=list(statements), probes=list(probes), folder=folder, **options)
        return BaseModelReport(family, str(folder), 1.0, True, 1, 1, 1, 1, 0.0, 1, "cpu", False)

    monkeypatch.setattr(data, "train_base_model", train)
    return given


def test_facts_are_written_and_a_model_is_trained_on_them(
    tmp_path: Path, trained: dict[str, Any]
) -> None:
    prepared = prepare(WORLD, TINY, 3, tmp_path / "nowhere", tmp_path, "cpu", 1)
    assert prepared.model == trained["folder"] == tmp_path / "tiny-gpt2"
    assert {name: trained[name] for name in ("seed", "device", "threads", "sizes")} == {
        "seed": 3,
        "device": "cpu",
        "threads": 1,
        "sizes": {"n_inner": 64},
    }
    assert (trained["target_accuracy"], trained["max_seconds"]) == (0.5, 7.0)
    assert [(item["prompt"], item["answer"]) for item in read_jsonl(prepared.texts)] == [
        tuple(statement) for statement in trained["probes"]
    ]
    assert set(trained["probes"]) == set(trained["statements"])
    known = {tuple(statement) for statement in trained["probes"]}
    left = [(item["prompt"], item["answer"]) for item in read_jsonl(prepared.bystanders)]
    assert left and set(left) <= known
    assert prepared.report and read_json(tmp_path / "base-report.json")["accuracy"] == 1.0
    assert read_cases(prepared.evaluation)[0].tests


def test_a_model_that_exists_is_used_as_it_is(
    tmp_path: Path, tiny_models: dict[str, Path], trained: dict[str, Any]
) -> None:
    model = ModelSpec("mine", path=str(tiny_models["gpt2"]))
    prepared = prepare(WORLD, model, 0, tmp_path, tmp_path / "out")
    assert prepared.model == tiny_models["gpt2"] and prepared.report is None
    assert not trained and read_jsonl(prepared.texts)
    assert not (tmp_path / "out" / "base-report.json").exists()


def test_limits_cut_the_cases_and_the_same_seed_writes_the_same_bytes(tmp_path: Path) -> None:
    limited = DataSpec("world", "tinyworld", 20, 10, SMALL)
    facts = prepare_facts(limited, 0, tmp_path, tmp_path / "a")
    assert (facts.train_cases, facts.eval_cases) == (20, 10)
    whole = prepare_facts(WORLD, 0, tmp_path, tmp_path / "b")
    assert whole.train_cases > 20 and whole.eval_cases > 10
    assert read_cases(facts.evaluation) == read_cases(whole.evaluation)[:10]
    again = prepare_facts(limited, 0, tmp_path, tmp_path / "c")
    other = prepare_facts(limited, 1, tmp_path, tmp_path / "d")
    for name in ("train", "evaluation", "texts", "bystanders"):
        first = getattr(facts, name).read_bytes()
        assert first == getattr(again, name).read_bytes() != getattr(other, name).read_bytes()


@pytest.mark.parametrize(
    ("changes", "problems"),
    [
        ({"source": "tinywrld"}, ["source: 'tinywrld' (did you mean 'tinyworld'?); allowed: "]),
        ({"train_cases": 0, "eval_cases": -1}, ["train_cases: 0", "eval_cases: -1"]),
        (
            {"options": {"scal": 1, "eval_share": "half"}},
            ["options.scal: unknown key (did you mean 'scale'?)", "options.eval_share: 'half'"],
        ),
        ({"options": {"scale": 9.0}}, ["options.tiny world: scale is 9.0"]),
        (
            {"source": "pararel", "options": {"train_share": 0.8}},
            ["options.train_share is 0.8, eval_share 0.395"],
        ),
        (
            {"source": "zsre", "options": {"bystander_share": 0.6, "max_answer_words": 0}},
            ["options.train_share: 0.4, bystander_share: 0.6", "options.max_answer_words: 0"],
        ),
        ({"source": "cases"}, ["options.train: missing", "options.eval: missing"]),
        (
            {"source": "cases", "options": {"train": "a", "eval": "b", "format": "riple"}},
            ["options.format: 'riple' (did you mean 'ripple'?)"],
        ),
        ({"source": "counterfact", "options": {"bystanders": -1}}, ["options.bystanders: -1"]),
    ],
)
def test_what_is_wrong_with_a_data_set_is_named(
    tmp_path: Path, changes: dict[str, Any], problems: list[str]
) -> None:
    spec = DataSpec(**{"name": "facts", "source": "tinyworld"} | changes)
    found = spec.problems()
    assert len(found) == len(problems)
    for problem, line in zip(problems, found):
        assert line.startswith(problem)
    with pytest.raises(ConfigError, match=rf"facts: {len(problems)} problem"):
        prepare_facts(spec, 0, tmp_path, tmp_path)


@pytest.mark.parametrize(
    ("changes", "problems"),
    [
        ({"family": "gtp2"}, ["family: 'gtp2' (did you mean 'gpt2'?); allowed: gpt2, llama"]),
        ({"family": ""}, ["family: ''; allowed: gpt2, llama, or a path"]),
        ({"sizes": {"intermediate_size": 3}}, ["intermediate_size: not a size of gpt2"]),
        ({"sizes": {"n_embd": 30}}, ["base model: width 30 is not a multiple of heads 4"]),
        ({"base_accuracy": 98, "base_seconds": 0}, ["base_accuracy: 98", "base_seconds: 0"]),
        ({"path": "nowhere"}, ["path: 'nowhere'; there is no model (config.json) in it"]),
        ({"path": ".", "sizes": {"n_embd": 8}}, ["n_embd: only for models trained here"]),
    ],
)
def test_what_is_wrong_with_a_model_is_named(
    tmp_path: Path, changes: dict[str, Any], problems: list[str]
) -> None:
    spec = ModelSpec(**{"name": "tiny", "family": "gpt2"} | changes)
    found = spec.problems()
    assert len(found) == len(problems)
    for problem, line in zip(problems, found):
        assert line.startswith(problem)
    with pytest.raises(ConfigError, match="tiny: "):
        prepare(WORLD, spec, 0, tmp_path, tmp_path)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("source", ["pararel", "counterfact", "zsre"])
def test_missing_data_are_named(tmp_path: Path, source: str) -> None:
    with pytest.raises(DataError, match=rf"{source}: there is no such folder; .*--data-dir"):
        prepare_facts(DataSpec("x", source), 0, tmp_path / "nowhere", tmp_path / "out")


def test_a_bystander_line_without_an_answer_is_named(tmp_path: Path) -> None:
    samples = Path(__file__).parents[1] / "data" / "samples"
    lines = tmp_path / "bystanders.jsonl"
    lines.write_text(json.dumps({"prompt": "Bo is from", "answer": ""}))
    options = {
        "format": "knowedit",
        "train": str(samples / "knowedit-counterfact.json"),
        "eval": str(samples / "knowedit-recent.json"),
        "bystanders": str(lines),
    }
    with pytest.raises(DataError, match=r"bystanders\.jsonl: record 0: field 'answer' is ''"):
        prepare_facts(DataSpec("x", "cases", options=options), 0, tmp_path, tmp_path / "out")
