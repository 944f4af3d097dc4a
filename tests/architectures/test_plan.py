"""What a plan counts is what is there."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor

from dafnet_plugin.architectures.plan import Plan, plan_for, readable, readable_count
from dafnet_plugin.architectures.skeleton import skeleton_of_path
from dafnet_plugin.base_models import load_base_model
from dafnet_plugin.editing.modules import find_edit_modules
from dafnet_plugin.training.build import build_editor, network_config
from tests.architectures.conftest import SIZES, Trained
from tests.helpers import requests

CPU = torch.device("cpu")


def planned(trained: Trained, **changes: Any) -> Plan:
    """The plan of a model on disk, of which only the config is read."""
    hparams = trained.read(network=SIZES, **changes)
    skeleton = skeleton_of_path(trained.folder)
    return plan_for(
        hparams, skeleton.model, find_edit_modules(skeleton.model, hparams.edit_modules)
    )


def size(tensors: Any) -> int:
    """Bytes of all tensors in any nesting."""
    if isinstance(tensors, Tensor):
        return tensors.numel() * tensors.element_size()
    if isinstance(tensors, (list, tuple)):
        return sum(map(size, tensors))
    return size(list(vars(tensors).values())) if hasattr(tensors, "__dict__") else 0


@pytest.mark.parametrize("name", ["gpt2", "llama3.2-1b", "phi-3-mini"])
@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_planned_is_what_an_editor_holds(
    name: str, dtype: str, scaled: Callable[[str], Trained]
) -> None:
    plan = planned(scaled(name), dtype=dtype)
    hparams = scaled(name).read(dtype=dtype)
    model, tokenizer = load_base_model(hparams, CPU)
    editor = build_editor(hparams, model, tokenizer)
    editor.edit(requests(5))
    dafnet, state = editor.dafnet, editor.snapshot().state
    assert state is not None
    assert plan.model == size(list(model.parameters()))
    assert plan.network_parameters == sum(p.numel() for p in dafnet.networks.parameters())
    assert plan.originals == size(editor.weights.originals)
    whiteners = [dafnet.whitener(number) for number in range(len(dafnet.shapes))]
    assert plan.statistics == size(dafnet.key_moments) + size(whiteners)
    held = [*dafnet.parameters(), *dafnet.buffers()]
    assert plan.network == size(held) - size(dafnet.key_moments)
    assert plan.updates == size([update.weight for update in state.updates])
    assert plan.covariances == size([update.covariance for update in state.updates])
    assert 5 * plan.edit == size(state.networks)
    signals = editor.signals(requests(2))
    assert size([[s.x, s.delta] for s in signals]) == sum(
        int(s.tokens_per_edit.sum()) * 4 * (m.d_in + m.d_out)
        for s, m in zip(signals, editor.modules, strict=True)
    )
    assert plan.token == sum(4 * (m.d_in + m.d_out) for m in editor.modules)
    assert network_config(hparams).layers == 2


def test_the_paper_s_fusion_keeps_no_key_statistics(scaled: Callable[[str], Trained]) -> None:
    plan = planned(scaled("gpt2"), fusion={"kind": "running_mean"}, edit_bias=True)
    assert plan.statistics == plan.covariances == 0
    least_squares = planned(scaled("gpt2"))
    biases = 4 * 2 * (256 + 64)  # float32, two layers
    assert plan.updates == least_squares.updates + biases
    assert plan.editing(0) < least_squares.editing(0)


def test_more_edits_and_more_tokens_take_more(scaled: Callable[[str], Trained]) -> None:
    plan = planned(scaled("llama-7b"))
    assert plan.editing(100) - plan.editing(0) == 200 * plan.edit
    assert plan.training(100) - plan.training(0) == 100 * plan.token
    assert plan.optimiser > 3 * 4 * plan.network_parameters - 1


def test_numbers_have_units() -> None:
    sizes = [0, 1023, 2048, 5 * 2**20, 800 * 2**20, 30 * 2**30]
    assert [readable(n) for n in sizes] == [
        *("0 B", "1023 B", "2.0 KiB", "5.0 MiB", "800 MiB", "30 GiB")
    ]
    counts = [7, 1500, 30_700_000, 1_557_611_200]
    assert [readable_count(n) for n in counts] == ["7", "1.5 k", "30.7 M", "1.56 G"]
