"""Every format as a data set of EasyEdit's trainer, on both versions and both model families."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from dafnet_plugin.data import LOADERS
from dafnet_plugin.data.tinyworld import WorldConfig, build
from tests.data.test_pararel import make_pararel

from .conftest import RunPython, require_easyedit

WORKER = Path(__file__).with_name("datasets_worker.py")
SAMPLES = Path(__file__).parents[1] / "data" / "samples"


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """For each class in ``DS_DICT`` something to read."""
    folder = tmp_path_factory.mktemp("formats")
    world = build(1, folder / "world", WorldConfig(scale=0.2))
    paths = {
        "zsre": SAMPLES / "zsre-mend.json",
        "counterfact": SAMPLES / "counterfact-original.json",
        "ripple": SAMPLES / "ripple-original.json",
        "knowedit": SAMPLES / "knowedit-recent.json",
        "uniedit": SAMPLES / "uniedit-art.json",
        "dafset": SAMPLES / "dafset",
        "pararel": make_pararel(folder / "pararel"),
        "tinyworld": world,
        "cases": world / "cases-eval.jsonl",
    }
    assert paths.keys() == LOADERS.keys()
    return {f"dafnet-{name}": str(path) for name, path in paths.items()} | {
        "dafnet": str(world / "cases-eval.jsonl")
    }


@pytest.mark.parametrize("family", ["gpt2", "llama"])
@pytest.mark.parametrize("version", ["wheel", "git"])
def test_easyedits_trainer_trains_on_every_format(
    version: str,
    family: str,
    files: dict[str, str],
    run_python: RunPython,
    tiny_models: dict[str, Path],
    tmp_path: Path,
) -> None:
    require_easyedit(version)
    (tmp_path / "files.json").write_text(json.dumps(files))
    arguments = (family, str(tiny_models[family]), "files.json", "report.json")
    done = run_python(version, str(WORKER), *arguments, cwd=tmp_path)
    assert done.returncode == 0, done.stderr[-4000:]
    report: dict[str, Any] = json.loads((tmp_path / "report.json").read_text())
    assert report.keys() == files.keys()
    for name, outcome in report.items():
        assert "error" not in outcome, f"{name}: {outcome['error']}"
        assert outcome["records"] == 2 and outcome["decoded"] == outcome["targets"], name
        assert {"edit_inner", "edit_rephrase", "loc", "cond", "raw"} <= set(outcome["keys"]), name
        assert outcome["iterations"] == 2 and outcome["archive"], name
    assert report["dafnet-ripple"]["class"] == "RippleDataset"
