"""Every architecture, scaled down: train, edit, save, load, restore."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from dafnet_plugin.architectures.published import published_models
from dafnet_plugin.base_models import load_base_model
from dafnet_plugin.editing.editor import DAFNetEditor
from dafnet_plugin.hparams import DAFNetHparams
from dafnet_plugin.training.build import build_editor
from tests.architectures.conftest import Trained, train_for
from tests.architectures.scaled import ARCHITECTURES, write_scaled
from tests.helpers import bits, requests

ROOT = Path(__file__).resolve().parents[2]
CPU = torch.device("cpu")


def load(hparams: DAFNetHparams) -> tuple[Any, Any, DAFNetEditor]:
    model, tokenizer = load_base_model(hparams, CPU)
    return model, tokenizer, build_editor(hparams, model.eval(), tokenizer)


@torch.no_grad()
def logits(model: Any, tokenizer: Any) -> torch.Tensor:
    return model(**tokenizer("Ada lives in", return_tensors="pt")).logits


def goes_round(trained: Trained, tmp_path: Path, **changes: object) -> None:
    """Edit, save, load and restore; what must hold of every model in every precision."""
    model, tokenizer, editor = load(trained.read(**changes))
    weights, said = bits(model.state_dict()), logits(model, tokenizer)
    undo = editor.edit(requests(3))
    after = bits(model.state_dict())
    changed = {name for name in after if after[name] != weights[name]}
    assert changed == {f"{name}.weight" for name in trained.read().edit_modules}
    assert not torch.equal(logits(model, tokenizer), said)

    model.save_pretrained(tmp_path / "edited")
    tokenizer.save_pretrained(tmp_path / "edited")
    saved = trained.read(**changes, model_name=str(tmp_path / "edited"))
    again, _ = load_base_model(saved, CPU)
    assert bits(again.eval().state_dict()) == after
    assert torch.equal(logits(again, tokenizer), logits(model, tokenizer))

    undo()
    assert bits(model.state_dict()) == weights
    assert torch.equal(logits(model, tokenizer), said)


@pytest.mark.parametrize("name", ARCHITECTURES)
def test_train_edit_save_load_restore(
    name: str, scaled: Callable[[str], Trained], tmp_path: Path
) -> None:
    goes_round(scaled(name), tmp_path)


@pytest.mark.parametrize("name", ARCHITECTURES)
def test_scaled_copies_have_the_modules_that_the_shipped_files_name(
    name: str, scaled: Callable[[str], Trained]
) -> None:
    ends = {module.rpartition(".mlp.")[2] for module in scaled(name).read().edit_modules}
    for file in (ROOT / "hparams" / "DAFNET").glob(f"{name}*.yaml"):
        named = DAFNetHparams.read(file).edit_modules
        assert {module.rpartition(".mlp.")[2] for module in named} <= ends
    assert {f"mlp.{end}" for end in ends} == set(published_models()[name].linear)


def test_scaled_copies_cover_what_architectures_differ_in(
    scaled: Callable[[str], Trained],
) -> None:
    models = {name: load_base_model(scaled(name).read(), CPU)[0] for name in ARCHITECTURES}
    kinds = {
        "grouped": [m for m in models.values() if _grouped(m)],
        "tied": [m for m in models.values() if m.config.tie_word_embeddings],
        "fused": [m for m in models.values() if _has(m, "gate_up_proj")],
        "Conv1D": [m for m in models.values() if "Conv1D" in repr(m)],
        "biases": [m for m in models.values() if any("bias" in n for n in m.state_dict())],
    }
    assert all(kinds.values()), kinds
    assert len({type(model) for model in models.values()}) == 10


def _grouped(model: Any) -> bool:
    config = model.config
    heads = getattr(config, "num_key_value_heads", None)
    return heads is not None and heads < config.num_attention_heads


def _has(model: Any, end: str) -> bool:
    return any(name.endswith(end) for name, _ in model.named_modules())


@pytest.mark.parametrize("dtype", ["bfloat16", "float16"])
@pytest.mark.parametrize("name", ["gpt2", "glm-4-9b"])
def test_half_precision_goes_round_too(name: str, dtype: str, tmp_path: Path) -> None:
    folder = write_scaled(tmp_path / name, name)
    trained = train_for(name, tmp_path / "results", folder, dtype=dtype)
    hparams = trained.read()
    model, _, editor = load(hparams)
    assert {p.dtype for p in model.parameters()} == {getattr(torch, dtype)}
    assert {p.dtype for p in editor.dafnet.parameters()} == {torch.float32}
    goes_round(trained, tmp_path)


@pytest.mark.parametrize("dtype", ["bfloat16", "float16"])
def test_rounding_does_not_add_up_over_a_sequence(
    dtype: str, scaled: Callable[[str], Trained]
) -> None:
    hparams = scaled("llama3.2-1b").read(dtype=dtype)
    _, _, editor = load(hparams)
    originals = [edit_module.weight.clone() for edit_module in editor.modules]
    for request in requests(4):
        editor.edit([request])
    state = editor.snapshot().state
    assert state is not None
    for edit_module, original, update in zip(editor.modules, originals, state.updates, strict=True):
        # Rounded once, whatever the number of edits: the update itself is float32.
        assert update.weight.dtype == torch.float32
        whole = original.float() + edit_module.stored(update.weight)
        assert torch.equal(edit_module.weight, whole.to(original.dtype))


def test_fp16_means_float16_and_must_not_contradict_dtype(scaled: Callable[[str], Trained]) -> None:
    from dafnet_plugin.errors import ConfigError

    model, _, _ = load(scaled("gpt2").read(fp16=True))
    assert model.dtype == torch.float16
    with pytest.raises(ConfigError, match=r"dtype: 'bfloat16'; allowed: 'float16' or null"):
        scaled("gpt2").read(fp16=True, dtype="bfloat16")
    with pytest.raises(ConfigError, match=r"dtype: 'int8'; allowed: float32, bfloat16, float16"):
        scaled("gpt2").read(dtype="int8")
