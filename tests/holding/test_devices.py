"""Models on several devices: the network beside the modules it edits, offloaded weights refused."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from dafnet_plugin.base_models import load_base_model
from dafnet_plugin.devices import resolve_device
from dafnet_plugin.editing.dafnet import DAFNet
from dafnet_plugin.editing.editor import DAFNetEditor
from dafnet_plugin.editing.modules import find_edit_modules
from dafnet_plugin.editing.signals import Signal
from dafnet_plugin.errors import ConfigError, ModelError
from dafnet_plugin.hparams import DAFNetHparams
from dafnet_plugin.training.build import build_editor
from tests.architectures.conftest import Trained, scaled
from tests.helpers import MODULES, dafnet_for, model, random_dafnet, requests, tokenizer

__all__ = ["scaled"]

SHAPES = [(6, 4), (4, 6), (6, 4)]
CPU, META = torch.device("cpu"), torch.device("meta")


def signals_on(devices: list[torch.device]) -> list[Signal]:
    return [
        Signal(
            torch.randn(5, d_in, device=device),
            torch.randn(5, d_out, device=device),
            torch.tensor([2, 3], device=device),
        )
        for (d_in, d_out), device in zip(SHAPES, devices, strict=True)
    ]


@given(away=st.lists(st.booleans(), min_size=3, max_size=3))
@settings(max_examples=8, deadline=None)
def test_everything_is_beside_the_modules_it_is_for(away: list[bool]) -> None:
    # The meta device stands for a second one: whatever is on the wrong one of the two raises.
    devices = [META if yes else CPU for yes in away]
    dafnet = random_dafnet(SHAPES, kind="least_squares").place(devices)
    assert next(dafnet.network_of(0).parameters()).device == devices[0]
    assert next(dafnet.network_of(1).parameters()).device == devices[1]
    assert dafnet.network_of(0) is dafnet.network_of(2)  # shared: with the first of its shape
    assert [moment.device for moment in dafnet.key_moments] == devices
    assert dafnet.edit_lrs.device == dafnet.log_ridge.device == devices[0]


@pytest.mark.parametrize("kind", ["least_squares", "running_mean", "sum"])
def test_updates_are_where_the_modules_are(kind: str) -> None:
    devices = [CPU, META, CPU]
    dafnet = random_dafnet(SHAPES, kind=kind).place(devices)
    with torch.no_grad():
        signals = signals_on(devices)
        _without_values(dafnet, META)
        state = dafnet(signals)
        again = dafnet(signals_on(devices), state)
    assert [update.weight.device for update in again.updates] == devices
    # The module of the second device takes nothing from the others'.
    alone = random_dafnet(SHAPES, kind=kind)
    signals[1] = signals_on([CPU, CPU, CPU])[1]
    with torch.no_grad():
        expected = alone(signals)
    for number in (0, 2):
        torch.testing.assert_close(state.updates[number].weight, expected.updates[number].weight)


def _without_values(dafnet: DAFNet, device: torch.device) -> None:
    """A whitener needs the eigenvalues of a moment, which nothing on the meta device has."""
    if dafnet.fusion.kind == "least_squares":
        for number, moment in enumerate(dafnet.key_moments):
            if moment.device == device:
                dafnet._whiteners[number] = (moment, moment._version, torch.empty_like(moment))


def test_placing_on_one_device_keeps_every_value() -> None:
    one, other = random_dafnet(SHAPES), random_dafnet(SHAPES).place([CPU] * 3)
    for name, value in one.state_dict().items():
        assert torch.equal(value, other.state_dict()[name]), name


def test_offloaded_weights_are_refused_by_name() -> None:
    base = model("llama")
    dafnet = dafnet_for(base, "llama")
    base.model.layers[0].mlp.down_proj.to("meta")
    with pytest.raises(ModelError) as caught:
        DAFNetEditor(base, tokenizer(), dafnet, MODULES["llama"])
    message = str(caught.value)
    assert "'" not in message and "of model.layers.0.mlp.down_proj are not in memory" in message


def test_model_parallel_loads_with_a_device_map_and_edits(
    scaled: Callable[[str], Trained], monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("accelerate")
    import transformers

    trained = scaled("llama3.2-1b")
    given: list[dict[str, Any]] = []
    load = transformers.AutoModelForCausalLM.from_pretrained

    def spy(*args: Any, **kwargs: Any) -> Any:
        given.append(dict(kwargs))
        return load(*args, **kwargs)

    monkeypatch.setattr(transformers.AutoModelForCausalLM, "from_pretrained", spy)
    for parallel in (True, False):
        hparams = trained.read(model_parallel=parallel)
        base, tok = load_base_model(hparams, CPU)
        check_edits(base.eval(), tok, hparams)
    assert [kwargs.get("device_map") for kwargs in given] == ["auto", None]


def check_edits(base: Any, tok: Any, hparams: DAFNetHparams) -> DAFNetEditor:
    """Edit and undo; each update has to land where its module is."""
    editor = build_editor(hparams, base, tok)
    before = {name: p.detach().clone() for name, p in base.named_parameters()}
    undo = editor.edit(requests(3))
    assert any(not torch.equal(before[name], p) for name, p in base.named_parameters())
    state = editor.snapshot().state
    assert state is not None
    for edit_module, update in zip(editor.modules, state.updates, strict=True):
        assert update.weight.device == edit_module.weight.device
    undo()
    assert all(torch.equal(before[name], p) for name, p in base.named_parameters())
    return editor


def test_a_dispatched_model_gives_the_same_edit(scaled: Callable[[str], Trained]) -> None:
    accelerate = pytest.importorskip("accelerate")
    hparams = scaled("gemma-2-2b").read()
    plain, tok = load_base_model(hparams, CPU)
    held, _ = load_base_model(hparams, CPU)
    # accelerate's hooks on every module, as with several devices.
    held = accelerate.dispatch_model(held, {"": "cpu"}, force_hooks=True)
    for base in (plain, held):
        build_editor(hparams, base.eval(), tok).edit(requests(3))
    for one, other in zip(plain.parameters(), held.parameters(), strict=True):
        assert torch.equal(one, other)


@pytest.mark.gpu
@pytest.mark.skipif(torch.cuda.device_count() < 2, reason="needs two CUDA devices")
def test_two_gpus(scaled: Callable[[str], Trained], tmp_path: Path) -> None:
    accelerate = pytest.importorskip("accelerate")
    hparams = scaled("llama3.2-1b").read()
    base, tok = load_base_model(hparams, torch.device("cuda:0"))
    places: dict[str, int] = {"model.embed_tokens": 0, "model.rotary_emb": 0, "model.layers.0": 0}
    places |= {"model.layers.1": 1, "model.norm": 1, "lm_head": 0}
    check_edits(accelerate.dispatch_model(base, places).eval(), tok, hparams)
    assert len({m.weight.device for m in find_edit_modules(base, hparams.edit_modules)}) == 2


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
@pytest.mark.parametrize("dtype", ["float32", "bfloat16", "float16"])
def test_one_gpu(dtype: str, scaled: Callable[[str], Trained]) -> None:
    hparams = scaled("llama3.2-1b").read(dtype=dtype)
    base, tok = load_base_model(hparams, torch.device("cuda:0"))
    check_edits(base.eval(), tok, hparams)


def test_a_number_is_a_gpu_or_the_cpu_where_there_is_none(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert resolve_device(0) == resolve_device("1") == CPU
    assert "this machine has no CUDA, so it is the CPU" in caplog.text
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 1)
    assert resolve_device(0) == torch.device("cuda:0")
    with pytest.raises(ConfigError, match="device: 1 is not on this machine"):
        resolve_device(1)
