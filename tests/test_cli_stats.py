"""``dafnet stats``."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from dafnet_plugin.cli import main
from tests.conftest import SENTENCES

YAML = """\
alg_name: MEMIT
model_name: {model}
layers: [0, 1]
rewrite_module_tmp: "transformer.h.{{}}.mlp.c_proj"
stats_dir: {folder}/stats
mom2_dataset: statements
mom2_n_samples: 8
mom2_dtype: float32
"""


@pytest.fixture
def place(tiny_models: dict[str, Path], tmp_path: Path) -> Path:
    text = YAML.format(model=tiny_models["gpt2"], folder=tmp_path)
    (tmp_path / "memit.yaml").write_text(text)
    lines = [{"prompt": sentence, "answer": str(n)} for n in range(3) for sentence in SENTENCES]
    (tmp_path / "texts.jsonl").write_text("\n".join(map(json.dumps, lines)))
    return tmp_path


def run(place: Path, *extra: str) -> int:
    return main(["stats", str(place / "memit.yaml"), str(place / "texts.jsonl"), *extra])


def files(place: Path) -> list[Path]:
    return sorted((place / "stats").rglob("*.npz"))


def test_files_for_both_versions(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(place) == 0
    found = files(place)
    assert len(found) == 4  # two layers, two versions of EasyEdit
    assert len({file.parents[1].name for file in found}) == 2
    arrays = [np.load(file) for file in found]
    assert all(int(array["sample_size"]) == 8 for array in arrays)
    assert all(array["mom2.mom2"].shape == (128, 128) for array in arrays)
    out = capsys.readouterr().out
    assert all(str(file) in out for file in found)
    assert out.count("tokens") == 4


def test_what_is_there_is_left_alone(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(place, "--easyedit", "git") == 0
    first, _ = files(place)
    first.write_bytes(b"mine")
    assert run(place, "--easyedit", "git") == 0
    assert first.read_bytes() == b"mine"
    assert capsys.readouterr().out.count("as it was left") == 2
    assert run(place, "--easyedit", "git", "--force") == 0
    assert np.load(first)["mom2.mom2"].shape == (128, 128)


def test_other_samples_are_told(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(place, "--samples", "5", "--easyedit", "wheel") == 0
    assert [file.name.endswith("_mom2_5.npz") for file in files(place)] == [True, True]
    assert "mom2_n_samples: 5 in" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("extra", "said"),
    [
        (["--samples", "16"], "mom2_n_samples: 16, but there are only 15 texts"),
        (["--samples", "0"], "mom2_n_samples: 0; allowed: a number of texts, at least 1"),
        (["--model", "nowhere"], "model_name: 'nowhere' cannot be loaded"),
        (["--device", "cuda:77"], "device: 'cuda:77' is not on this machine"),
        (["--batch-size", "0"], "--batch-size: 0; allowed: at least 1"),
    ],
)
def test_what_is_wrong(
    extra: list[str], said: str, place: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(place, *extra) == 2
    assert said in capsys.readouterr().err
    assert files(place) == []


def test_another_methods_yaml(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    root = Path(__file__).resolve().parents[1]
    wrong = str(root / "hparams/FT/tiny-gpt2.yaml")
    assert main(["stats", wrong, str(place / "texts.jsonl")]) == 2
    said = capsys.readouterr().err
    assert "is it of a method that reads statistics" in said and "mom2_dataset: missing" in said
