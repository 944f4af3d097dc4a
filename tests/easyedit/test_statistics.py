"""Second moments, beside EasyEdit's own code that reads and computes them."""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch

from dafnet_plugin.easyedit.second_moments import second_moments
from dafnet_plugin.easyedit.statistics import (
    StatisticsConfig,
    draw,
    provide_statistics,
    statistics_files,
    statistics_path,
)
from dafnet_plugin.errors import ConfigError, DataError, ModelError
from dafnet_plugin.training.text import read_sentences

from .conftest import SENTENCES, RunPython, require_easyedit

TEXTS = [f"{sentence} {number}" for number in range(6) for sentence in SENTENCES]
MODULES = {
    "gpt2": ["transformer.h.0.mlp.c_proj", "transformer.h.1.mlp.c_proj"],
    "llama": ["model.layers.0.mlp.down_proj", "model.layers.1.mlp.down_proj"],
}

# EasyEdit's own function, first on our files, then on nothing: it computes from the same texts.
READ = """
import json, sys
from types import SimpleNamespace
from dafnet_plugin.easyedit import compat
easyedit = compat.load()
import torch
from transformers import AutoModelForCausalLM, AutoTokenizer
folder, texts, *modules = sys.argv[1:]
model, tok = AutoModelForCausalLM.from_pretrained(folder), AutoTokenizer.from_pretrained(folder)
rome = easyedit.module("models.rome.layer_stats")
texts = [{"text": text} for text in json.load(open(texts))]
for name in modules:
    found = []
    for place in ("stats", "computed"):
        if place == "computed":
            rome.load_dataset = lambda *_: {"train": texts}
        stat = rome.layer_stats(
            model, tok, name, place, "wikipedia", to_collect=["mom2"], sample_size=len(texts),
            precision="float32", hparams=SimpleNamespace(device="cpu"),
        )
        found.append((stat.mom2.moment(), stat.mom2.count))
    (ours, count), (theirs, tokens) = found
    print("SAME", torch.allclose(ours, theirs, rtol=1e-4, atol=1e-6), int(count) == int(tokens))
    torch.save(ours, f"{name}.pt")
"""


def load(folder: Path) -> tuple[Any, Any]:
    from transformers import AutoModelForCausalLM, AutoTokenizer

    return AutoModelForCausalLM.from_pretrained(folder), AutoTokenizer.from_pretrained(folder)


def settings(folder: Path, stats_dir: Path, family: str, **changes: Any) -> SimpleNamespace:
    values = {
        "layers": [0, 1],
        "rewrite_module_tmp": MODULES[family][0].replace("0", "{}"),
        "stats_dir": str(stats_dir),
        "mom2_dataset": "wikipedia",
        "mom2_n_samples": len(TEXTS),
        "mom2_dtype": "float32",
        "model_name": str(folder),
    }
    return SimpleNamespace(**{**values, **changes})


@pytest.mark.parametrize("family", ["gpt2", "llama"])
@pytest.mark.parametrize("version", ["wheel", "git"])
def test_easyedit_reads_and_computes_the_same(
    version: Any, family: str, tiny_models: dict[str, Path], run_python: RunPython, tmp_path: Path
) -> None:
    require_easyedit(version)
    model, tokenizer = load(tiny_models[family])
    hparams = settings(tiny_models[family], tmp_path / "stats", family)
    provide_statistics(model, tokenizer, hparams, TEXTS, version=version)
    (tmp_path / "texts.json").write_text(json.dumps(TEXTS))
    arguments = [str(tiny_models[family]), "texts.json", *MODULES[family]]
    done = run_python(version, "-c", READ, *arguments, cwd=tmp_path)
    assert done.returncode == 0, done.stderr[-4000:]
    assert done.stdout.count("SAME True True") == 2, done.stdout
    expected = second_moments(model, tokenizer, MODULES[family], TEXTS)
    for name, moment in expected.items():
        read = torch.load(tmp_path / f"{name}.pt")
        assert torch.allclose(read, moment.total / moment.count, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("family", ["gpt2", "llama"])
def test_second_moments_by_hand(family: str, tiny_models: dict[str, Path]) -> None:
    model, tokenizer = load(tiny_models[family])
    name = MODULES[family][1]
    inputs: list[torch.Tensor] = []
    hook = model.get_submodule(name).register_forward_pre_hook(
        lambda _, args: inputs.append(args[0][0])
    )
    with torch.no_grad():
        for text in TEXTS:
            model(**tokenizer(text, return_tensors="pt", return_token_type_ids=False))
    hook.remove()
    rows = torch.cat(inputs).double()
    done: list[int] = []
    found = second_moments(
        model, tokenizer, [name], TEXTS, dtype="float64", batch_size=7, progress=done.append
    )
    assert found[name].count == len(rows)
    assert found[name].total.dtype == torch.float64
    assert torch.allclose(found[name].total, rows.T @ rows, rtol=1e-4, atol=1e-5)
    assert sum(done) == len(TEXTS)


def test_long_texts_are_cut_to_the_context(tiny_models: dict[str, Path]) -> None:
    model, tokenizer = load(tiny_models["gpt2"])
    name = MODULES["gpt2"][0]
    found = second_moments(model, tokenizer, [name], [" ".join(SENTENCES * 20), "Rome"])
    assert found[name].count == 128 + len(tokenizer("Rome")["input_ids"])


def test_only_what_is_missing_is_written(tiny_models: dict[str, Path], tmp_path: Path) -> None:
    model, tokenizer = load(tiny_models["gpt2"])
    hparams = settings(tiny_models["gpt2"], tmp_path, "gpt2", mom2_n_samples=8)
    files = [paths[0] for paths in statistics_files(hparams, hparams.model_name, ["git"]).values()]
    provide_statistics(model, tokenizer, hparams, TEXTS, version="git")
    first = [np.load(file)["mom2.mom2"] for file in files]
    files[0].unlink()
    stamp = files[1].stat().st_mtime_ns
    provide_statistics(model, tokenizer, hparams, TEXTS, version="git")
    assert np.array_equal(np.load(files[0])["mom2.mom2"], first[0])
    assert files[1].stat().st_mtime_ns == stamp


def test_paths() -> None:
    where = {"dataset": "wiki", "samples": 9, "dtype": "float32"}
    wheel = statistics_path("s", "./cache/gpt2-xl", "h.1.c", version="wheel", **where)  # type: ignore[arg-type]
    git = statistics_path("s", "./cache/gpt2-xl", "h.1.c", version="git", **where)  # type: ignore[arg-type]
    assert wheel.as_posix() == "s/._cache_gpt2-xl/wiki_stats/h.1.c_float32_mom2_9.npz"
    assert git.as_posix() == "s/gpt2-xl/wiki_stats/h.1.c_float32_mom2_9.npz"


def test_several_modules_of_a_layer(tmp_path: Path) -> None:
    hparams = settings(tmp_path, tmp_path, "gpt2", rewrite_module_tmps=["h.{}.a", "h.{}.b"])
    assert list(statistics_files(hparams, "m")) == ["h.0.a", "h.0.b", "h.1.a", "h.1.b"]


def test_what_cannot_be_computed(tiny_models: dict[str, Path]) -> None:
    model, tokenizer = load(tiny_models["gpt2"])
    with pytest.raises(ModelError, match=r"the model has no module 'transformer\.h\.9"):
        second_moments(model, tokenizer, ["transformer.h.9.mlp.c_proj"], TEXTS)
    model.register_module("idle", torch.nn.Linear(2, 2))
    with pytest.raises(ModelError, match="does not run its module 'idle'"):
        second_moments(model, tokenizer, ["idle"], TEXTS)
    with pytest.raises(DataError, match="no text"):
        second_moments(model, tokenizer, MODULES["gpt2"], [])
    with pytest.raises(DataError, match="mom2_n_samples: 31, but there are only 30 texts"):
        draw(TEXTS, 31, 0)
    assert draw(TEXTS, 5, 0) == draw(TEXTS, 5, 0) != draw(TEXTS, 5, 1)


def test_reading_text(tmp_path: Path) -> None:
    records = [{"text": "One."}, {"prompt": "Two is", "answer": "2."}]
    (tmp_path / "a.jsonl").write_text("\n".join(map(json.dumps, records)))
    (tmp_path / "b.txt").write_text("One.\n\nTwo.\n")
    assert read_sentences(tmp_path / "a.jsonl") == ["One.", "Two is 2."]
    assert read_sentences(tmp_path / "b.txt") == ["One.", "Two."]
    for wrong in ({"prompt": "Two is"}, {"text": 3}, ["text"]):
        (tmp_path / "c.jsonl").write_text(json.dumps(records[0]) + "\n" + json.dumps(wrong))
        with pytest.raises(DataError, match=r"c\.jsonl: record 2: .*'prompt' and 'answer'"):
            read_sentences(tmp_path / "c.jsonl")
    with pytest.raises(DataError, match=r"not '\.csv'"):
        read_sentences(tmp_path / "d.csv")


def test_reading_a_methods_yaml(tmp_path: Path) -> None:
    root = Path(__file__).resolve().parents[2]
    config = StatisticsConfig.read(
        root / "hparams/MEMIT/tiny-gpt2.yaml", {"mom2_n_samples": 7, "stats_dir": None}
    )
    assert config.mom2_n_samples == 7
    assert config.stats_dir == ".cache/tiny-world/stats"
    assert config.rewrite_module_tmps == ["transformer.h.{}.mlp.c_proj"]
    path = tmp_path / "wrong.yaml"
    path.write_text("model_name: gpt2\nlayers: [a]\nmom2_n_samples: 0\nmom2_dtype: float16\n")
    with pytest.raises(ConfigError) as caught:
        StatisticsConfig.read(path, {})
    said = str(caught.value)
    assert said.startswith(f"{path}: 6 problem(s)")
    assert "layers: ['a']; allowed: a list of layer numbers" in said
    assert "rewrite_module_tmps: missing" in said
    assert "mom2_dtype: 'float16'; allowed: float32 or float64" in said
    path.write_text("- 1")
    with pytest.raises(ConfigError, match="allowed: keys with values"):
        StatisticsConfig.read(path, {})
