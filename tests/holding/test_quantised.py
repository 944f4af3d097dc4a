"""Models in 8 and 4 bits: signals through the quantised modules, updates in side weights."""

from __future__ import annotations

import copy
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from transformers import LlamaForCausalLM

from dafnet_plugin.architectures.plan import plan_for
from dafnet_plugin.artifacts.checkpoint import Checkpoint, save_checkpoint
from dafnet_plugin.artifacts.edits import DAFNetEdits
from dafnet_plugin.artifacts.saved_edits import read_edits
from dafnet_plugin.base_models import load_base_model
from dafnet_plugin.editing.consolidation import Consolidation
from dafnet_plugin.editing.editor import DAFNetEditor
from dafnet_plugin.editing.modules import find_edit_modules
from dafnet_plugin.editing.quantised import (
    attach_side_weights,
    detach_side_weights,
    has_side_weights,
)
from dafnet_plugin.errors import CheckpointError, ConfigError, ModelError
from dafnet_plugin.hparams import DAFNetHparams
from dafnet_plugin.training.build import build_editor
from dafnet_plugin.training.trainer import DAFNetTrainer
from tests.editing.test_consolidation import CONFIG, replay
from tests.helpers import (
    MODULES,
    bits,
    cases,
    dafnet_for,
    model,
    random_dafnet,
    requests,
    tokenizer,
    training_config,
)

NAMES = MODULES["llama"]


class Int8Linear(nn.Linear):
    """What quantised modules have in common: whole numbers as weights, and a scale for each row."""

    def __init__(self, plain: nn.Linear) -> None:
        super().__init__(plain.in_features, plain.out_features, bias=False, device="meta")
        scale = plain.weight.detach().abs().amax(1, keepdim=True) / 127
        whole = (plain.weight.detach() / scale).round().to(torch.int8)
        self.weight = nn.Parameter(whole, requires_grad=False)
        self.register_buffer("scale", scale)

    def forward(self, input: Tensor) -> Tensor:
        return F.linear(input, self.weight.to(input.dtype) * self.scale)


def quantised(names: list[str] = NAMES) -> Any:
    """A tiny Llama with some modules in 8 bits."""
    base = model("llama")
    for name in names:
        parent, _, last = name.rpartition(".")
        setattr(base.get_submodule(parent), last, Int8Linear(base.get_submodule(name)))
    return base.eval()


def full_precision() -> Any:
    """The same model with what the quantised weights stand for."""
    base = model("llama")
    for name in NAMES:
        module = quantised().get_submodule(name)
        base.get_submodule(name).weight.data = module.weight.float() * module.scale
    return base


def editor_of(base: Any, **settings: Any) -> DAFNetEditor:
    dafnet = dafnet_for(model("llama"), "llama", kind="least_squares", normaliser="layer_norm")
    return DAFNetEditor(base, tokenizer(), dafnet, NAMES, batch_size=3, **settings)


@torch.no_grad()
def logits(base: Any) -> Tensor:
    device = next(base.parameters()).device
    return base(
        input_ids=torch.tensor([tokenizer()("Ada lives in")["input_ids"]]).to(device)
    ).logits


def test_attached_and_detached_nothing_has_changed() -> None:
    base = quantised([NAMES[0]])
    said, names = logits(base), [name for name, _ in base.named_modules()]
    assert attach_side_weights(base, [*NAMES, "no.such.module"]) == [NAMES[0]]
    assert attach_side_weights(base, NAMES) == []  # it has one
    assert has_side_weights(base) and torch.equal(logits(base), said)
    assert all(not module.training for module in base.modules())
    assert detach_side_weights(base) == [NAMES[0]] and not has_side_weights(base)
    assert [name for name, _ in base.named_modules()] == names


@pytest.mark.parametrize("consolidated", [False, True])
def test_edits_are_those_of_the_model_that_the_bits_stand_for(consolidated: bool) -> None:
    consolidation = Consolidation(CONFIG, replay()) if consolidated else None
    base, expected = quantised(), full_precision()
    attach_side_weights(base, NAMES)
    one, other = (editor_of(b, consolidation=consolidation) for b in (base, expected))
    before, said = bits(base.state_dict()), logits(base)
    undo = one.edit(requests(5))
    other.edit(requests(5))
    torch.testing.assert_close(logits(base), logits(expected), rtol=1e-2, atol=1e-2)
    assert (logits(base) - said).abs().max() > 0.1
    changed = {name for name, value in bits(base.state_dict()).items() if value != before[name]}
    assert changed == set(one.parameter_names) == {f"{name}.weight" for name in NAMES}
    undo()
    assert bits(base.state_dict()) == before and torch.equal(logits(base), said)


def test_edits_are_kept_as_of_any_model(tmp_path: Path) -> None:
    base = quantised()
    attach_side_weights(base, NAMES)
    edits = DAFNetEdits(editor_of(base))
    edits.edit(requests(3))
    edits.undo("2")
    edits.save(tmp_path / "edits")
    fresh = quantised()
    with pytest.raises(CheckpointError, match="for another base model"):
        read_edits(tmp_path / "edits").apply(fresh)
    attach_side_weights(fresh, NAMES)
    read_edits(tmp_path / "edits").apply(fresh)
    assert bits(fresh.state_dict()) == bits(base.state_dict())
    peft = pytest.importorskip("peft")
    assert edits.export_peft(tmp_path / "adapter").exact
    adapted = peft.PeftModel.from_pretrained(full_precision(), str(tmp_path / "adapter")).eval()
    torch.testing.assert_close(logits(adapted), logits(base), rtol=1e-4, atol=1e-4)


def test_meta_training_on_one(tmp_path: Path) -> None:
    base = quantised()
    attach_side_weights(base, NAMES)
    before = bits(base.state_dict())
    trainer = DAFNetTrainer(training_config(tmp_path, "llama", base, max_iters=2), cases(6))
    start = bits(trainer.dafnet.state_dict())
    trainer.run()
    assert bits(base.state_dict()) == before
    assert bits(trainer.dafnet.state_dict()) != start


def test_inside_an_adapter() -> None:
    peft = pytest.importorskip("peft")
    config = peft.LoraConfig(r=2, target_modules=["down_proj"], init_lora_weights=False)
    base = peft.get_peft_model(quantised([NAMES[1]]), config).eval()
    module = base.base_model.model.model.layers[0].mlp.down_proj
    module.base_layer = Int8Linear(module.base_layer)
    said = logits(base)
    paths = attach_side_weights(base, NAMES)
    assert paths[0].endswith("down_proj.base_layer") and torch.equal(logits(base), said)
    undo = editor_of(base).edit(requests(2))
    assert not torch.equal(logits(base), said)
    undo()
    assert torch.equal(logits(base), said)


def test_without_side_weights_it_is_said_how_to_get_them() -> None:
    with pytest.raises(ModelError, match=r"quantised weights \(torch.int8\).*attach_side_weights"):
        editor_of(quantised())


def test_what_is_missing_is_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setitem(sys.modules, "bitsandbytes", None)
    monkeypatch.setattr("dafnet_plugin.base_models.find_spec", lambda name: None)
    hparams = DAFNetHparams.from_dict(
        {"model_name": str(tmp_path), "edit_modules": NAMES, "quantise": "8bit"}
    )
    with pytest.raises(ConfigError, match="quantise: '8bit' needs bitsandbytes and accelerate"):
        load_base_model(hparams, torch.device("cpu"))
    with pytest.raises(ConfigError, match="allowed: null, with edit_bias: true"):
        keys = {"quantise": "4bit", "edit_bias": True, "fusion": {"kind": "sum"}}
        DAFNetHparams.from_dict({"model_name": "x", "edit_modules": NAMES, **keys})


@pytest.fixture
def places(tmp_path: Path) -> tuple[Path, Path]:
    """A small Llama and a checkpoint for it on disk; 4 bits need widths that 64 divides."""
    pytest.importorskip("bitsandbytes")
    config = copy.deepcopy(model("llama").config)
    config.hidden_size, config.intermediate_size, config.head_dim = 64, 128, 32
    torch.manual_seed(0)
    base = LlamaForCausalLM(config)
    base.save_pretrained(tmp_path / "llama")
    tokenizer().save_pretrained(tmp_path / "llama")
    shapes = [module.shape for module in find_edit_modules(base, NAMES)]
    dafnet = random_dafnet(shapes, kind="least_squares", normaliser="layer_norm", edit_lr=-1.0)
    save_checkpoint(Checkpoint(dafnet, tuple(NAMES), {}), tmp_path / "dafnet")
    return tmp_path / "llama", tmp_path / "dafnet"


def edits_in_bits(places: tuple[Path, Path], kind: str, device: str, out: Path) -> None:
    values = {"model_name": str(places[0]), "archive": str(places[1]), "edit_modules": NAMES}
    hparams = DAFNetHparams.from_dict({**values, "quantise": kind, "device": device})
    base, read = load_base_model(hparams, torch.device(device))
    assert base.model.layers[1].mlp.up_proj.base_layer.weight.dtype in (torch.int8, torch.uint8)
    stored = [t for t in base.state_dict().values() if isinstance(t, Tensor) and t.dim()]
    planned = plan_for(hparams, LlamaForCausalLM(base.config), find_edit_modules(base, NAMES))
    size = sum(tensor.numel() * tensor.element_size() for tensor in stored)
    assert planned.model == pytest.approx(size, rel=0.03)  # names and tables of bitsandbytes
    said = logits(base)
    edits = DAFNetEdits(build_editor(hparams, base, read))
    edits.edit(requests(3))
    edited = logits(base)
    assert edited.isfinite().all() and (edited - said).abs().max() > 0.05
    edits.save(out / "edits")
    edits.export_peft(out / "adapter")
    bring_back = edits.undo("2")
    bring_back()
    assert torch.equal(logits(base), edited)
    edits.editor.reset()
    assert torch.equal(logits(base), said)

    again, _ = load_base_model(hparams, torch.device(device))
    read_edits(out / "edits").apply(again)
    assert torch.equal(logits(again), edited)

    from peft import PeftModel

    plain = copy.deepcopy(again)
    detach_side_weights(plain)
    adapted = PeftModel.from_pretrained(plain, str(out / "adapter")).eval()
    # Half precision inside both; side weight and adapter are float32.
    assert (logits(adapted) - edited).abs().max() < 0.05 * (edited - said).abs().max()


@pytest.mark.parametrize("kind", ["8bit", "4bit"])
def test_bitsandbytes_on_the_cpu(places: tuple[Path, Path], kind: str, tmp_path: Path) -> None:
    edits_in_bits(places, kind, "cpu", tmp_path)


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
@pytest.mark.parametrize("kind", ["8bit", "4bit"])
def test_bitsandbytes_on_a_gpu(places: tuple[Path, Path], kind: str, tmp_path: Path) -> None:
    edits_in_bits(places, kind, "cuda", tmp_path)
