"""Case files as a data set of EasyEdit's, without EasyEdit."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from dafnet_plugin.cases import EditCase, EditRequest, Probe, write_cases
from dafnet_plugin.data import LOADERS
from dafnet_plugin.easyedit.datasets import (
    case_dataset_class,
    dafset_dataset_class,
    register_datasets,
)
from dafnet_plugin.errors import DataError
from dafnet_plugin.training.sources import cases_of

REQUEST = EditRequest("Ada was born in", "Rome", "Ada", "London")
FULL = EditCase(
    "full",
    REQUEST,
    generality=(Probe("Ada's place of birth is", "Rome"), Probe("Ada is from", "Rome")),
    locality=(Probe("The Thames flows through", "London"),),
)
BARE = EditCase("bare", EditRequest("Bo was born in", "Oslo"))


class ZsreDataset:
    """EasyEdit's class, as far as the plugin builds on it."""

    _data: list[dict[str, Any]]

    def __getitem__(self, item: Any) -> Any:
        return self._data[item]

    def __len__(self) -> int:
        return len(self._data)

    def collate_fn(self, batch: list[dict[str, Any]]) -> dict[str, Any]:
        return {"raw": batch}

    collate_gpt_fn = collate_fn


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """Two cases, one of them without probes."""
    path = tmp_path / "cases.jsonl"
    write_cases(path, [FULL, BARE])
    return path


def test_records_have_easyedits_fields(file: Path) -> None:
    data = case_dataset_class(ZsreDataset)(str(file))
    assert data[0] == {
        "case_id": "full",
        "prompt": "Ada was born in",
        "target_new": "Rome",
        "subject": "Ada",
        "ground_truth": "London",
        "rephrase_prompt": "Ada's place of birth is",
        "locality_prompt": "The Thames flows through",
        "locality_ground_truth": "London",
        "cond": "London >> Rome || Ada was born in",
    }
    assert "locality_prompt" not in data[1] and data[1]["rephrase_prompt"] == "Bo was born in"
    assert isinstance(data, ZsreDataset) and len(data) == 2


def test_size_limits_the_cases(file: Path) -> None:
    assert len(case_dataset_class(ZsreDataset)(str(file), size=1)) == 1


def test_trainer_reads_them_back(file: Path) -> None:
    (cases,) = cases_of(case_dataset_class(ZsreDataset)(str(file))).values()
    assert [case.request for case in cases] == [REQUEST, BARE.request]
    assert cases[0].locality == FULL.locality


@pytest.mark.parametrize("collate", ["collate_fn", "collate_gpt_fn"])
def test_missing_locality_names_the_case(file: Path, collate: str) -> None:
    data = case_dataset_class(ZsreDataset)(str(file))
    assert getattr(data, collate)(data[:1])["raw"] == data[:1]
    with pytest.raises(DataError, match="case bare: no locality probe"):
        getattr(data, collate)(data[:2])


def test_every_format_is_registered_and_easyedits_entries_stay() -> None:
    table: dict[str, Any] = {"zsre": ZsreDataset, "cf": object}
    register_datasets(table)
    assert set(table) == {"zsre", "cf", "dafnet", *(f"dafnet-{name}" for name in LOADERS)}
    assert table["zsre"] is ZsreDataset and table["cf"] is object
    assert table["dafnet-ripple"].__name__ == "RippleDataset"
    with pytest.raises(DataError, match=r"'rippl' is unknown.*did you mean 'ripple'"):
        case_dataset_class(ZsreDataset, "rippl")


def test_a_data_set_keeps_all_probes_and_says_what_was_left_out(tmp_path: Path) -> None:
    path = tmp_path / "cases.jsonl"
    write_cases(path, [FULL, BARE])
    with open(path, "a") as file:
        file.write('{"case_id": "broken"}\n')
    build = case_dataset_class(ZsreDataset)
    with pytest.raises(DataError, match=r"record 2: .*'request'"):
        build(str(path))
    data = build(str(path), skip_bad=True)
    assert data.cases == [FULL, BARE] and len(data.cases.problems) == 1 and len(data) == 2


def test_options_of_a_format_are_passed_on() -> None:
    samples = Path(__file__).parents[1] / "data" / "samples"
    data = case_dataset_class(ZsreDataset, "dafset")(str(samples / "dafset"), 5, prefixes=True)
    assert len(data.cases[4].generality) == 3
    with pytest.raises(TypeError, match="prefix"):
        case_dataset_class(ZsreDataset, "dafset")(str(samples / "dafset"), prefix=True)


def test_tokenizer_is_the_models(file: Path, tiny_models: dict[str, Path]) -> None:
    build = case_dataset_class(ZsreDataset)
    for config in (
        SimpleNamespace(model_name=str(tiny_models["llama"]), max_length=7),
        SimpleNamespace(tokenizer_name=str(tiny_models["llama"]), model_name="-", max_length=7),
    ):
        data = build(str(file), config=config)
        assert data.tok.pad_token_id == data.tok.eos_token_id
        assert data.tok.padding_side == "left" and data.max_length == 7
    assert not hasattr(build(str(file), config=SimpleNamespace(model_name=(1, 2))), "tok")


def test_malformed_line_is_named(tmp_path: Path) -> None:
    path = tmp_path / "cases.jsonl"
    path.write_text('{"case_id": 1, "request": {"prompt": "A", "target_new": "B"}}\n{"case_id"\n')
    with pytest.raises(DataError, match=r"cases\.jsonl: line 2, column"):
        case_dataset_class(ZsreDataset)(str(path))


def test_batches_of_dafset_are_drawn_from_one_source(tmp_path: Path) -> None:
    samples = Path(__file__).parents[1] / "data" / "samples" / "dafset"
    text = tmp_path / "wiki.txt"
    text.write_text("A river flows south through the town.\n")
    build = dafset_dataset_class(ZsreDataset)
    data = build(str(samples), text=str(text))
    assert isinstance(data, ZsreDataset) and build.__name__ == "DAFSetDataset" and len(data) == 5
    batches = [data.__getitems__([0, 4]) for _ in range(40)]
    kinds = [{record["case_id"].split("-")[0] for record in batch} for batch in batches]
    assert all(len(kind) == 1 for kind in kinds)
    assert {min(kind) for kind in kinds} == {"long_tail", "popular", "recent", "robust"}
    asked = {record["locality_prompt"] for batch in batches for record in batch}
    assert any(prompt.startswith("A river") for prompt in asked)
    assert {"The capital of Osmark is", "It rained all day. The capital of Osmark is"} <= asked
    reworded = {record["rephrase_prompt"] for batch in batches for record in batch}
    assert "It rained all day. The birthplace of Ute Falk is" in reworded
    assert cases_of(data).keys() == {"long_tail", "popular", "recent", "robust"}


def test_dafset_is_tested_on_as_it_is() -> None:
    samples = Path(__file__).parents[1] / "data" / "samples" / "dafset"
    build = dafset_dataset_class(ZsreDataset)
    test = build(str(samples), split="eval", held_out=0.9)
    assert test.__getitems__([0]) == [test[0]] and not test.mix
    plain = build(str(samples), mix=False)
    assert plain.__getitems__([0, 4]) == [plain[0], plain[4]]


def test_torchs_loader_asks_for_whole_batches() -> None:
    from torch.utils.data import DataLoader

    samples = Path(__file__).parents[1] / "data" / "samples" / "dafset"
    data = dafset_dataset_class(ZsreDataset)(str(samples))
    loader = DataLoader(data, batch_size=2, shuffle=True, collate_fn=data.collate_gpt_fn)
    for batch in loader:
        assert len({record["case_id"].split("-")[0] for record in batch["raw"]}) == 1
