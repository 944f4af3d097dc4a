"""DAFSet in the harness: with and without it, one base model, each training once."""

from __future__ import annotations

import json
import os
import random
from collections import Counter
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from benchmarks.apart import subject_of
from benchmarks.config import ROOT, BenchmarkConfig
from benchmarks.dafset import sets
from benchmarks.entries import DatasetConfig
from benchmarks.grid import Setting, cells_of
from benchmarks.mixing import by_source, mix, tagged
from benchmarks.preparation import _source_files, may_share_model, siblings
from benchmarks.source import Task, World, locate
from benchmarks.sources import SOURCES
from dafnet_plugin.cases import EditCase, EditRequest
from dafnet_plugin.data.dafset_files import PARTS
from dafnet_plugin.errors import ConfigError
from tests.benchmarks.test_sources import check

CONFIG = ROOT / "benchmarks" / "configs" / "dafset-ablation.yaml"


def record(part: str, number: int) -> dict[str, Any]:
    name = f"{part.title()} Nr{number}x"
    return {
        "prompt": f"{name} was born in",
        "target_new": "Rome",
        "subject": name,
        # New knowledge has no old answer.
        **({} if part == "recent" else {"ground_truth": "Oslo"}),
        "rephrase_prompt": f"The birthplace of {name} is",
        "locality_prompt": f"Bo {number}x was born in",
        "locality_ground_truth": "Riga",
        "dafset": {"split": "eval" if number % 4 == 0 else "train"},
        **({"prefix": ["It rained.", "It snowed", "All went well"]} if part == "robust" else {}),
    }


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A DAFSet of forty samples of each property."""
    (tmp_path / "dafset" / ".work").mkdir(parents=True)
    (tmp_path / "dafset" / ".work" / "kept.json").write_text("{}")
    for part in PARTS:
        records = [record(part, number) for number in range(40)]
        (tmp_path / "dafset" / f"{part}.json").write_text(json.dumps(records))
    return tmp_path


def make(data: Path, **options: Any) -> World:
    return SOURCES["dafset"].from_dict(options).world(Task(0, data, data / "out"))


def sources(world: World) -> Counter[str]:
    return Counter({name: len(cases) for name, cases in by_source(world.train, "none").items()})


def test_a_dafset_alone(folder: Path) -> None:
    world = make(folder)
    check(world)
    assert sources(world) == dict.fromkeys(PARTS, 30) and len(world.evaluation) == 40
    small = make(folder, cases_of_each=8)
    check(small)
    assert sources(small) == dict.fromkeys(PARTS, 2) and len(small.evaluation) == 8
    assert small.bystanders, "held-out facts that are not edited"
    assert {subject_of(case) for case in small.evaluation} < {
        subject_of(c) for c in world.evaluation
    }


def test_robust_samples_are_asked_about_in_contexts(folder: Path) -> None:
    def robust(world: World) -> EditCase:
        return by_source(world.train, "none")["robust"][0]

    texts = [probe.prompt for probe in robust(make(folder)).generality]
    assert len(texts) == len(robust(make(folder)).locality) == 3
    assert texts[1] == f"It rained. {texts[0]}" and texts[2] == f"It snowed. {texts[0]}"
    assert len(robust(make(folder, contexts=0)).generality) == 1
    known = dict(make(folder).probes)
    assert known[texts[1]] == "Oslo", "the base model knows its facts in contexts"


def test_properties_can_be_left_out_of_training(folder: Path) -> None:
    world, all_of_them = make(folder, properties=["popular", "robust"]), make(folder)
    assert set(sources(world)) == {"popular", "robust"}
    assert world.evaluation == all_of_them.evaluation
    assert world.statements == all_of_them.statements, "the base model is the same"


def test_with_and_without_beside_real_sets(folder: Path, data_dir: Path) -> None:
    options: dict[str, Any] = {
        "folder": str(folder / "dafset"),
        "beside": ["zsre", "counterfact"],
        "cases_of_each": 60,
    }
    both = ["zsre", "counterfact"]
    without = make(data_dir, **options, train=both, evaluate="zsre")
    with_it = make(data_dir, **options, train=[*both, "dafset"], evaluate="counterfact")
    own = make(data_dir, **options, train=["dafset"], evaluate="dafset")
    for world in (without, with_it, own):
        check(world)
        assert world.statements == without.statements and len(world.evaluation) <= 60
    assert set(sources(without)) == set(both)
    assert set(sources(with_it)) == {*both, *PARTS} and set(sources(own)) == set(PARTS)
    # What is trained on is the same whatever is edited, so that one training does for all.
    again = make(data_dir, **options, train=both, evaluate="dafset")
    assert again.train == without.train and again.evaluation == own.evaluation


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"beside": ["pararel"]}, "beside: 'pararel'; allowed: zsre, counterfact"),
        ({"train": ["zsre"]}, "train: 'zsre'; allowed: dafset"),
        ({"evaluate": "dafsets"}, r"evaluate: 'dafsets' \(did you mean 'dafset'"),
        ({"properties": ["longtail"]}, r"properties: 'longtail' \(did you mean 'long_tail'"),
        ({"properties": []}, r"properties: \[\]; at least one"),
        ({"cases_of_each": 0}, "cases_of_each: 0; allowed: above 0"),
        ({"contexts": -1}, "contexts: -1; allowed: at least 0"),
    ],
)
def test_what_a_user_can_get_wrong(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        SOURCES["dafset"].from_dict(options)


def case(name: str) -> EditCase:
    return EditCase(name, EditRequest(f"{name} is", "Rome", name))


def test_cases_know_their_source() -> None:
    cases = [tagged("a", case("1")), tagged("b", case("1")), case("x:y")]
    assert {k: [c.case_id for c in v] for k, v in by_source(cases, "rest").items()} == {
        "a": ["a::1"],
        "b": ["b::1"],
        "rest": ["x:y"],
    }


def test_batches_of_easyedits_trainer_are_of_one_source() -> None:
    class Data:
        def __init__(self, cases: list[EditCase]) -> None:
            self.cases = cases

    data: Any = Data(
        [*(tagged("big", case(str(n))) for n in range(90)), tagged("small", case("s"))]
    )
    mix(data, random.Random(0))
    batches = [[r["case_id"] for r in data.__getitems__([0, 1, 2])] for _ in range(100)]
    kinds = Counter(min(i.split("::")[0] for i in batch) for batch in batches)
    assert all(len({i.split("::")[0] for i in batch}) == 1 for batch in batches)
    assert 30 <= kinds["small"] <= 70, "each source is as likely as any other"
    plain: Any = Data([case("1"), tagged("a", case("2"))])
    mix(plain, random.Random(0))
    assert not hasattr(plain, "__getitems__"), "not all of them say where they are from"


def test_changed_files_are_noticed_and_hidden_ones_are_not(folder: Path) -> None:
    dataset: Any = SimpleNamespace(
        source="dafset", options={"folder": "dafset", "beside": ["zsre"]}
    )
    (folder / "zsre").mkdir()
    (folder / "zsre" / "z.json").write_text("[]")
    found = _source_files(dataset, folder)
    assert [name for name, _ in found] == sorted([*(f"{part}.json" for part in PARTS), "z.json"])
    os.utime(folder / "zsre" / "z.json", (0, 0))
    assert _source_files(dataset, folder) == found, "a copy has other times"
    (folder / "zsre" / "z.json").write_text("{}")
    assert _source_files(dataset, folder) != found


def test_a_folder_of_the_repository_is_found(folder: Path) -> None:
    assert locate(folder, "dafset") == folder / "dafset"
    assert locate(folder, "benchmarks") == ROOT / "benchmarks"
    assert locate(folder, "nowhere") == folder / "nowhere"


def test_siblings_have_the_same_model_and_seed(tmp_path: Path) -> None:
    for name in ("a/m/seed-0", "b/m/seed-0", "b/m/seed-1", "b/n/seed-0"):
        (tmp_path / name).mkdir(parents=True)
    assert siblings(tmp_path / "a/m/seed-0") == [tmp_path / "b/m/seed-0"]


def test_the_ablation_is_a_valid_benchmark() -> None:
    config = BenchmarkConfig.read(CONFIG)
    assert [entry.name for entry in config.entries] == ["DAFNET", "MEND", "SERAC"]
    assert config.num_edits == [1, 10, 100]
    trained: dict[str, list[Any]] = {}
    for dataset in config.dataset_entries:
        what, _, tested = dataset.name.partition("+")
        options = SOURCES["dafset"].from_dict(dataset.options)
        assert options.evaluate == tested  # type: ignore[attr-defined]
        assert dataset.options["folder"].endswith(f"/{what.partition('-')[0]}-dafset")
        rest = {k: v for k, v in dataset.options.items() if k != "evaluate"}
        trained.setdefault(what, []).append(rest)
    assert len(trained) == 9 and all(same == [same[0]] * 3 for same in trained.values())
    cells: dict[str, set[str]] = {}
    for cell in cells_of(config):
        cells.setdefault(cell.setting.dataset.name.partition("+")[0], set()).add(cell.entry.name)
    for what, methods in cells.items():
        assert methods == ({"DAFNET"} if "-no-" in what else {"DAFNET", "MEND", "SERAC"}), what


def test_base_models_may_be_shared_where_the_files_are_the_same(folder: Path) -> None:
    (folder / "other").mkdir()
    (folder / "other" / "popular.json").write_text("[]")
    config = BenchmarkConfig.read(CONFIG)
    [model] = config.model_entries

    def setting(source: str = "dafset", seed: int = 0, **options: Any) -> Setting:
        return Setting(DatasetConfig.from_dict({"name": "d", "source": source, "options": options}),
                       model, seed)  # fmt: skip

    one = setting(folder="dafset")
    assert may_share_model(one, setting(folder="dafset", properties=["popular"]), folder)
    assert not may_share_model(one, setting(folder="other"), folder)
    assert not may_share_model(one, setting(folder="dafset", seed=1), folder)


def test_the_sets_of_the_ablation(
    data_dir: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(sets, "write_sources", lambda *_, **__: None)
    tiny, real = sets.tiny(tmp_path), sets.real(data_dir)
    assert tiny.previous and tiny.pageviews and tiny.corpus, "all four properties"
    assert len(real.sources) == 41 + 7 + 2 and not real.previous
    assert tiny.eval_share == real.eval_share == 0.35
