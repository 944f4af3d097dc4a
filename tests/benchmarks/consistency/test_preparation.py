"""Pairs beside the facts of a setting, and the hashes of what is measured with and without them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from benchmarks.config import BenchmarkConfig
from benchmarks.grid import Setting, cells_of
from benchmarks.inventory import Inventory
from benchmarks.jobs import CellJob, PrepareJob, read_job, write_job
from benchmarks.preparation import prepare_job, ready, run_prepare
from dafnet_plugin.cases import read_cases
from dafnet_plugin.data.consistency import load_pairs
from dafnet_plugin.errors import DataError
from dafnet_plugin.files import write_text

KEYS_OF_OLD = {
    *("format", "method", "repaired", "options", "easyedit", "code", "hparams", "archive"),
    *(f"file of {name}" for name in ("train", "evaluation", "texts", "bystanders", "model")),
    *("seed", "device"),
}
"""What config hashes were made of before consistency could be measured."""


def config(folder: Path, **changes: Any) -> BenchmarkConfig:
    """One method on the tiny world with a model that exists, so that nothing is trained."""
    model = folder / "model"
    if not model.exists():
        write_text(model / "config.json", "{}")
        write_text(model / "model.safetensors", "weights")
    world = {"scale": 0.3, "train_share": 0.45, "eval_share": 0.4}
    return BenchmarkConfig.from_dict(
        {
            "name": "small",
            "models": [{"name": "mine", "path": str(model)}],
            "datasets": [{"name": "world", "source": "tinyworld", "options": world}],
            "methods": [{"name": "FT", "hparams": "hparams/FT/tiny-gpt2.yaml"}],
            "num_edits": [2],
            **changes,
        }
    )


def job_of(folder: Path, **changes: Any) -> PrepareJob:
    made = config(folder, **changes)
    setting = Setting(made.dataset_entries[0], made.model_entries[0], 0)
    return prepare_job(made, setting, folder / "data", folder / "out")


def cell_job(folder: Path, **changes: Any) -> CellJob:
    inventory = Inventory(config(folder, **changes), folder / "data", folder / "out")
    (cell,) = cells_of(inventory.config)
    job = inventory.cell_job(cell)
    assert job is not None
    return job


@pytest.fixture(scope="module")
def prepared(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Facts without pairs, and then pairs."""
    folder = tmp_path_factory.mktemp("prepared")
    plain = job_of(folder)
    run_prepare(plain)
    found = ready(plain)
    assert found is not None and found.pairs is None and "pairs" not in found.hashes
    made = {path: path.read_bytes() for path in (folder / "out").rglob("*.json*")}
    job = job_of(folder, consistency={"facts": 5})
    assert ready(job) is None
    run_prepare(job)
    # What was there is as it was.
    assert {path: path.read_bytes() for path in made} == made
    assert ready(plain) == found
    return folder


def test_pairs_are_added_to_facts_that_are_there(prepared: Path) -> None:
    found = ready(job_of(prepared, consistency={"facts": 5}))
    assert found is not None and found.pairs is not None and found.hashes["pairs"]
    pairs = load_pairs(found.pairs)
    cases = {case.case_id for case in read_cases(found.evaluation)}
    assert {pair.case_id for pair in pairs if pair.edited} == cases
    assert sum(not pair.edited and pair.swap == "entity" for pair in pairs) == 5
    same = job_of(prepared, consistency={"facts": 5, "new_tokens": 3})
    assert ready(same) == found  # which says nothing of pairs
    assert ready(job_of(prepared, consistency=True)) is None  # which asks for more of them


def test_pairs_that_have_been_changed_are_not_used(prepared: Path) -> None:
    job = job_of(prepared, consistency={"facts": 5})
    path = Path(job.folder) / "pairs.jsonl"
    text = path.read_text()
    path.write_text(text + "\n")
    assert ready(job) is None
    run_prepare(job)
    assert path.read_text() == text and ready(job) is not None


def test_a_job_comes_back_from_its_file(prepared: Path, tmp_path: Path) -> None:
    for job in (job_of(prepared), job_of(prepared, consistency=True)):
        write_job(tmp_path / "job.json", job)
        assert read_job("prepare", tmp_path / "job.json") == job


def test_without_a_pair_it_is_said(prepared: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("benchmarks.sources.TinyWorldSource.pairs", lambda *_, **__: [])
    with pytest.raises(DataError, match=r"world: no consistency pair can be made"):
        run_prepare(job_of(prepared, consistency={"facts": 6}))


def test_config_hashes_without_consistency_are_what_they_were(
    prepared: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import benchmarks.inventory as inventory

    monkeypatch.setattr(inventory, "easyedit_version", lambda: "stand-in")
    seen: list[dict[str, Any]] = []
    real = inventory.digest
    monkeypatch.setattr(
        inventory, "digest", lambda value: (seen.append(dict(value)), real(value))[1]
    )
    plain, switched_off = cell_job(prepared), cell_job(prepared, consistency=False)
    assert set(seen[0]) == KEYS_OF_OLD and plain == switched_off
    assert plain.consistency is None and plain.pairs is None
    measured = cell_job(prepared, consistency={"facts": 5})
    assert set(seen[-1]) - KEYS_OF_OLD == {"consistency", "file of pairs"}
    other = cell_job(prepared, consistency={"facts": 5, "new_tokens": 3})
    hashes = {job.result["config_hash"] for job in (plain, measured, other)}
    assert len(hashes) == 3
    assert measured.pairs and measured.consistency and measured.consistency["facts"] == 5
    assert measured.code != plain.code
