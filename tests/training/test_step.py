"""One step: the chain rule's gradients from a single pass through the network."""

from __future__ import annotations

from collections import Counter
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor
from torch.func import functional_call
from torch.testing import assert_close

from dafnet_plugin.editing.dafnet import DAFNet
from dafnet_plugin.editing.losses import locality_kl, target_nll
from dafnet_plugin.editing.modules import EditModule, find_edit_modules
from dafnet_plugin.editing.objective import Question
from dafnet_plugin.editing.signals import Signal, capture
from dafnet_plugin.errors import NumericalError
from dafnet_plugin.tokens import collate, encode
from dafnet_plugin.training.step import meta_step
from tests.helpers import FAMILIES, MODULES, bits, cases, dafnet_for, model, tokenizer


class Setting:
    """Everything one step needs."""

    def __init__(self, family: str, kind: str = "least_squares", bias: bool = False) -> None:
        self.model = model(family)
        self.modules: list[EditModule] = find_edit_modules(self.model, MODULES[family])
        self.dafnet: DAFNet = dafnet_for(
            self.model, family, kind=kind, normaliser="layer_norm", edit_bias=bias, edit_lr=-0.05
        )
        facts = cases(5)
        requests = self.encode([(c.request.prompt, c.request.target_new) for c in facts])
        self.signals: list[Signal] = capture(
            self.model, self.modules, requests, pad_id=0, batch_size=8
        )
        generality = self.encode([(p.prompt, p.answer) for c in facts for p in c.generality])
        locality = self.encode([(p.prompt, p.answer) for c in facts for p in c.locality])
        self.questions = [
            Question("reliability", collate(requests[:3], 0), 0.7, False),
            Question("reliability", collate(requests[3:], 0), 0.7, False),
            Question("generality", collate(generality, 0), 1.3, False),
            Question("locality", collate(locality[:1], 0), 2.0, True),
            Question("locality", collate(locality[1:], 0), 2.0, True),
        ]

    def encode(self, texts: list[tuple[str, str]]) -> list[Any]:
        return encode(tokenizer(), texts)

    def step(self) -> dict[str, float]:
        return meta_step(self.model, self.modules, self.dafnet, self.signals, self.questions)

    def gradients(self) -> dict[str, Tensor | None]:
        return {name: p.grad for name, p in self.dafnet.named_parameters()}


def plain_losses(setting: Setting) -> dict[str, Tensor]:
    """The same losses with one graph through everything and whole logits."""
    state = setting.dafnet(setting.signals)
    edited: dict[str, Tensor] = {}
    for edit_module, update in zip(setting.modules, state.updates, strict=True):
        change = edit_module.stored(update.weight)
        edited[f"{edit_module.name}.weight"] = edit_module.weight.detach() + change
        if update.bias is not None:
            assert edit_module.bias is not None
            edited[f"{edit_module.name}.bias"] = edit_module.bias.detach() + update.bias

    def logits(weights: dict[str, Tensor], question: Question) -> Tensor:
        batch = question.batch
        inputs = {"input_ids": batch.input_ids, "attention_mask": batch.attention_mask}
        return functional_call(setting.model, weights, (), inputs).logits[batch.scored]

    sums: dict[str, list[Tensor]] = {}
    for question in setting.questions:
        after, labels = logits(edited, question), question.batch.labels[question.batch.scored]
        if question.compares:
            before = logits({}, question).detach().softmax(-1)
            values = (before * (before.log() - after.log_softmax(-1))).sum(-1)
        else:
            values = F.cross_entropy(after, labels, reduction="none")
        sums.setdefault(question.name, []).append(question.weight * values)
    return {name: torch.cat(values).mean() for name, values in sums.items()}


@pytest.mark.parametrize("kind", ["running_mean", "sum", "least_squares"])
@pytest.mark.parametrize("family", FAMILIES)
def test_gradients_are_those_of_the_chain_rule(family: str, kind: str) -> None:
    setting = Setting(family, kind, bias=family == "gpt2" and kind != "least_squares")
    losses = setting.step()
    ours = {name: grad.clone() for name, grad in setting.gradients().items() if grad is not None}
    setting.dafnet.zero_grad()
    plain = plain_losses(setting)
    sum(plain.values()).backward()  # type: ignore[union-attr]
    assert {
        name: pytest.approx(loss.item(), rel=1e-4, abs=1e-6) for name, loss in plain.items()
    } == {name: loss for name, loss in losses.items() if name != "total"}
    assert losses["total"] == pytest.approx(sum(plain.values()).item(), rel=1e-4)  # type: ignore[union-attr]
    expected = {name: grad for name, grad in setting.gradients().items() if grad is not None}
    size = torch.stack([grad.norm() for grad in expected.values()]).norm()
    assert size > 1e-3
    for name, grad in expected.items():
        mine = ours.get(name, torch.zeros_like(grad))
        assert (mine - grad).norm() <= 1e-5 * size + 1e-4 * grad.norm(), name


def test_modules_of_one_shape_go_through_their_network_together_and_once(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    setting, calls, backwards = Setting("gpt2"), Counter[str](), Counter[str]()
    for name, network in setting.dafnet.networks.items():
        network.register_forward_hook(lambda *_, name=name: calls.update([name]))
        # A layer's parameter is asked for its gradient once a backward pass.
        network.layers[0].ffn_in.register_full_backward_hook(  # type: ignore[union-attr, operator, index]
            lambda *_, name=name: backwards.update([name])
        )
    setting.step()
    assert len(setting.questions) == 5
    assert calls == backwards == {"64x16": 1, "16x64": 1}


def test_gradients_add_up_over_steps() -> None:
    setting = Setting("llama")
    setting.step()
    once = {name: g.clone() for name, g in setting.gradients().items() if g is not None}
    setting.step()
    for name, grad in once.items():
        total = setting.gradients()[name]
        assert total is not None
        assert_close(total, 2 * grad)


@pytest.mark.parametrize("family", FAMILIES)
def test_the_base_model_is_left_as_it_was(family: str) -> None:
    setting = Setting(family)
    setting.model.requires_grad_(True)
    before = bits(setting.model.state_dict())
    pointers = [p.data_ptr() for p in setting.model.parameters()]
    setting.step()
    assert bits(setting.model.state_dict()) == before
    assert [p.data_ptr() for p in setting.model.parameters()] == pointers
    assert all(p.grad is None and p.requires_grad for p in setting.model.parameters())


def test_a_step_without_edits_or_with_a_rate_of_zero_has_no_locality_loss() -> None:
    setting = Setting("gpt2", kind="sum")
    with torch.no_grad():
        setting.dafnet.edit_lrs.zero_()
    assert setting.step()["locality"] == pytest.approx(0, abs=1e-6)


@pytest.mark.parametrize("kind", ["running_mean", "sum", "least_squares"])
@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_a_step_that_is_not_finite_leaves_no_gradient_and_no_edit_behind(
    kind: str, value: float
) -> None:
    setting = Setting("gpt2", kind)
    with torch.no_grad():
        setting.dafnet.edit_lrs[0] = value
    before, ours = bits(setting.model.state_dict()), bits(setting.dafnet.state_dict())
    with pytest.raises(NumericalError):
        setting.step()
    assert all(grad is None for grad in setting.gradients().values())
    assert bits(setting.model.state_dict()) == before
    assert bits(setting.dafnet.state_dict()) == ours


def test_an_infinite_gradient_behind_a_finite_loss_is_noticed() -> None:
    setting = Setting("gpt2")
    last = setting.model.transformer.h[1].mlp.act
    last.register_full_backward_hook(lambda _, grads, __: (torch.full_like(grads[0], torch.inf),))
    with pytest.raises(NumericalError, match="diverged"):
        setting.step()
    assert all(grad is None for grad in setting.gradients().values())


def test_losses_by_hand() -> None:
    half, third = torch.tensor([[0.5, 0.5]]).log(), torch.tensor([[0.75, 0.25]]).log()
    assert target_nll(third, torch.tensor([1])).item() == pytest.approx(1.386294)
    # 0.5 ln(0.5 / 0.75) + 0.5 ln(0.5 / 0.25)
    assert locality_kl(half, third).item() == pytest.approx(0.143841, abs=1e-6)
    assert locality_kl(third, half).item() != pytest.approx(0.143841, abs=1e-3)
    assert locality_kl(torch.cat([half, half]), torch.cat([half, third])).item() == pytest.approx(
        0.143841 / 2, abs=1e-6
    )
