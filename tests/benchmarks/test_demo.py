"""What the demo leaves is where the shipped hyper-parameters look for it."""

from __future__ import annotations

from pathlib import Path

import yaml

from benchmarks.config import ROOT, BenchmarkConfig
from benchmarks.demo import CONFIG, afterwards, publish
from benchmarks.grid import cells_of, folder_of
from dafnet_plugin.cases import write_cases
from tests.helpers import cases

FOLDER = Path(".cache/tiny-world")


def test_the_shipped_hyper_parameters_find_model_and_archive(tmp_path: Path) -> None:
    config = BenchmarkConfig.read(CONFIG)
    cell = next(cell for cell in cells_of(config) if cell.entry.label == "DAFNET")
    setting, own = folder_of(tmp_path, cell.setting), folder_of(tmp_path, cell)
    write_cases(setting / "cases-eval.jsonl", cases(3))
    for path in (
        setting / "tiny-gpt2" / "model.safetensors",
        own / "models" / "DAFNET" / "tiny-gpt2" / "dafnet.safetensors",
        own / "models" / "DAFNET" / "tiny-gpt2" / "training-state.pt",
    ):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("x")
    for _ in range(2):  # the second time over what is there
        publish(config, tmp_path)
    hparams = yaml.safe_load((ROOT / "hparams/DAFNET/tiny-gpt2.yaml").read_text())
    model, archive = (
        tmp_path / Path(hparams[key]).relative_to(FOLDER) for key in ("model_name", "archive")
    )
    assert (model / "model.safetensors").is_file()
    assert [path.name for path in archive.iterdir()] == ["dafnet.safetensors"]
    said = afterwards(config, tmp_path)
    assert "dafnet edit hparams/DAFNET/tiny-gpt2.yaml \\\n" in said
    assert '--prompt "Ada lives in" --target "Rome"' in said
