"""Signals, one training step and sequential edits of a whole model give the reference numbers."""

from __future__ import annotations

import ast
from typing import Any

import pytest
import torch
from torch.testing import assert_close
from transformers import AutoConfig, AutoModelForCausalLM

from dafnet_plugin.artifacts.checkpoint import load_reference_checkpoint
from dafnet_plugin.artifacts.reference import network_state_from_reference
from dafnet_plugin.editing.dafnet import DAFNet
from dafnet_plugin.editing.editor import DAFNetEditor
from dafnet_plugin.editing.fusion import FusionConfig
from dafnet_plugin.editing.modules import find_edit_modules
from dafnet_plugin.editing.objective import Question
from dafnet_plugin.editing.record import Snapshot
from dafnet_plugin.editing.signals import capture_batch, concatenate
from dafnet_plugin.tokens import IGNORED, TokenBatch
from dafnet_plugin.training.step import meta_step
from tests.parity.conftest import Golden, golden_dirs, network_config

TOLERANCE = {"rtol": 1e-4, "atol": 1e-5}
MODELS = sorted({key for d in golden_dirs() for key in Golden(d).cases if key != "aux"})


class Case:
    """A base model with its DAFNet before training, and the numbers expected of them."""

    def __init__(self, golden: Golden, name: str) -> None:
        if name not in golden.cases:
            pytest.skip(f"{golden.folder} has no case {name!r}")
        self.spec: dict[str, Any] = golden.cases[name]
        self.golden, self.name = golden, name
        config = dict(self.spec["model_config"])
        self.model = AutoModelForCausalLM.from_config(
            AutoConfig.for_model(config.pop("model_type", name), **config),
            attn_implementation="eager",
        ).eval()
        self.model.load_state_dict(golden.under(f"{name}.model"), strict=False)
        self.modules = find_edit_modules(self.model, self.spec["edit_modules"])
        network = self.spec["aux_model"]
        self.dafnet = DAFNet(
            [m.shape for m in self.modules],
            network_config(network, network["norm_layer"]),
            FusionConfig(kind="running_mean", edit_lr=self.spec["training"]["init_edit_lr"]),
            self.spec["edit_bias"],
        )
        self.load_networks("aux0")

    def load_networks(self, stage: str) -> None:
        for shape, members in self.spec["shapes"].items():
            state = network_state_from_reference(self.golden.under(f"{self.name}.{stage}.{shape}"))
            self.dafnet.network_of(members[0]).load_state_dict(state)

    def batch(self, key: str) -> TokenBatch:
        ids, labels, mask = (
            self.golden.tensors[f"{self.name}.{key}.{part}"]
            for part in ("input_ids", "label_ids", "mask")
        )
        return TokenBatch(ids, torch.ones_like(ids), labels.masked_fill(mask == 0, IGNORED))

    def expected(self, key: str) -> torch.Tensor:
        return self.golden.tensors[f"{self.name}.{key}"]

    def signals(self) -> list:
        batch, size = self.batch("signal"), self.spec["gradient_signal_batch_size"]
        parts = []
        for start in range(0, len(batch.input_ids), size):
            piece = slice(start, start + size)
            parts.append(
                capture_batch(
                    self.model,
                    self.modules,
                    TokenBatch(
                        batch.input_ids[piece], batch.attention_mask[piece], batch.labels[piece]
                    ),
                )
            )
        return [concatenate(of_module) for of_module in zip(*parts, strict=True)]


@pytest.fixture(params=MODELS)
def case(request: pytest.FixtureRequest, golden: Golden) -> Case:
    return Case(golden, request.param)


def test_shapes_and_members(case: Case) -> None:
    for shape, members in case.spec["shapes"].items():
        for number in members:
            assert set(ast.literal_eval(shape)) == set(case.modules[number].shape)


def test_signals(case: Case) -> None:
    for number, signal in enumerate(case.signals()):
        assert_close(
            torch.cat([signal.x, signal.delta], 1),
            case.expected(f"signal.module{number}.x_delta"),
            **TOLERANCE,
        )
        assert signal.tokens_per_edit.tolist() == (
            case.expected(f"signal.module{number}.edit_lens").tolist()
        )


def test_one_training_step(case: Case) -> None:
    training = case.spec["training"]
    case.dafnet.train()
    signals = case.signals()
    questions = [
        Question("reliability", case.batch("signal"), training["relia_lambda"], False),
        Question("generality", case.batch("train.gen"), training["gen_lambda"], False),
        Question("locality", case.batch("train.loc"), training["loc_lambda"], True),
    ]
    losses = meta_step(case.model, case.modules, case.dafnet, signals, questions)
    for name, loss in losses.items():
        assert_close(torch.tensor(loss), case.expected(f"train.loss.{name}"), **TOLERANCE)

    for shape, members in case.spec["shapes"].items():
        ours = dict(case.dafnet.network_of(members[0]).named_parameters())
        expected = network_state_from_reference(
            case.golden.under(f"{case.name}.train.grad.{shape}")
        )
        assert expected
        for name, gradient in expected.items():
            grad = ours[name].grad
            assert_close(
                torch.zeros_like(gradient) if grad is None else grad, gradient, **TOLERANCE
            )
    for number, grad in enumerate(case.dafnet.edit_lrs.grad):
        assert_close(grad, case.expected(f"train.grad_edit_lr.{number}"), **TOLERANCE)

    parameters = list(case.dafnet.networks.parameters())
    norm = torch.nn.utils.clip_grad_norm_(parameters, training["clip"])
    assert_close(norm, case.expected("train.grad_norm"), **TOLERANCE)
    torch.optim.Adam(parameters, training["aux_model_lr"]).step()
    torch.optim.Adam([case.dafnet.edit_lrs], training["edit_lr_lr"]).step()
    for shape, members in case.spec["shapes"].items():
        ours = case.dafnet.network_of(members[0]).state_dict()
        stepped = network_state_from_reference(case.golden.under(f"{case.name}.aux1.{shape}"))
        for name, tensor in stepped.items():
            assert_close(ours[name], tensor, **TOLERANCE, msg=lambda m, n=name: f"{n}: {m}")
    for number, lr in enumerate(case.dafnet.edit_lrs):
        assert_close(lr.detach(), case.expected(f"edit_lr1.{number}"), **TOLERANCE)


def test_updates_in_train_mode(case: Case) -> None:
    case.dafnet.train()
    state = case.dafnet(case.signals())
    for number, update in enumerate(state.updates):
        assert_close(
            update.weight.detach(), case.expected(f"train.module{number}.delta_weight"), **TOLERANCE
        )
        if update.bias is not None:
            assert_close(
                update.bias.detach(), case.expected(f"train.module{number}.delta_bias"), **TOLERANCE
            )


def test_sequential_edits(case: Case) -> None:
    case.load_networks("aux1")
    with torch.no_grad():
        for number in range(len(case.modules)):
            case.dafnet.edit_lrs[number] = case.expected(f"edit_lr1.{number}")
    run_sequence(case)


def test_sequential_edits_from_the_published_checkpoint(golden: Golden) -> None:
    path = golden.folder / "official_checkpoint_gpt2.pt"
    if not path.is_file():
        pytest.skip(f"no published checkpoint in {golden.folder}")
    case = Case(golden, "gpt2")
    network = case.spec["aux_model"]
    case.dafnet = load_reference_checkpoint(
        path,
        shapes=[m.shape for m in case.modules],
        network=network_config(network, network["norm_layer"]),
        edit_bias=case.spec["edit_bias"],
    )
    run_sequence(case)


@torch.no_grad()
def run_sequence(case: Case) -> None:
    editor = DAFNetEditor(case.model, None, case.dafnet, case.spec["edit_modules"])
    probe = case.expected("seq.probe")
    assert_close(case.model(probe).logits, case.expected("seq.logits_before"), **TOLERANCE)
    state = None
    for number in range(len(case.spec["seq_batches"])):
        editor.reset()  # signals come from the unedited model
        signals = capture_batch(case.model, case.modules, case.batch(f"seq.step{number}"))
        state = case.dafnet(signals, state)
        editor.restore(Snapshot(state))
        for index, update in enumerate(state.updates):
            prefix = f"seq.step{number}.module{index}"
            assert_close(update.weight, case.expected(f"{prefix}.delta_weight"), **TOLERANCE)
            if update.bias is not None:
                assert_close(update.bias, case.expected(f"{prefix}.delta_bias"), **TOLERANCE)
        assert_close(
            case.model(probe).logits, case.expected(f"seq.step{number}.logits"), **TOLERANCE
        )
