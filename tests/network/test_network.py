"""The auxiliary network: goldens by hand, and what each variant promises."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
import torch
from torch.testing import assert_close

import dafnet_plugin.network.network as network_module
from dafnet_plugin.network.attention import ScaleAttention, scales_of_gates
from tests.helpers import IDENTITY, SMALL, auxiliary, part, random_signal, run_alone


def test_scales_by_hand() -> None:
    gates = torch.tensor([1.0, 0.5, 0.25])
    share, past = scales_of_gates(gates)
    assert share.tolist() == [1 * 0.5 * 0.75, 0.5 * 0.75, 0.25]
    assert past.item() == 0.0
    share, past = scales_of_gates(torch.tensor([0.5, 0.25]))
    assert share.tolist() == [0.375, 0.25] and past.item() == 0.375


def test_shares_of_a_sequence_and_its_past_add_up_to_one() -> None:
    share, past = scales_of_gates(torch.rand(4, 30, dtype=torch.float64))
    assert_close(share.sum(-1) + past, torch.ones(4, dtype=torch.float64))


def test_scale_attention_without_preference_is_a_running_mean() -> None:
    torch.manual_seed(0)
    attention = ScaleAttention(5, 3, 2)
    with torch.no_grad():
        for parameter in attention.query.parameters():
            parameter.zero_()
    rows = torch.randn(4, 5)
    gates = attention(rows, attention.keys(rows))
    assert_close(gates, torch.tensor([1, 1 / 2, 1 / 3, 1 / 4]))
    assert_close(scales_of_gates(gates)[0], torch.full((4,), 0.25))


def test_scale_attention_by_hand() -> None:
    attention = ScaleAttention(1, 1, 1)
    with torch.no_grad():
        for linear in (attention.query, attention.key):
            linear.weight.fill_(1.0)
            linear.bias.zero_()
    rows = torch.tensor([[1.0], [2.0]])
    gates = attention(rows, attention.keys(rows))
    # The second edit sees logits 2 * 1 and 2 * 2.
    assert_close(gates, torch.tensor([1.0, math.exp(4) / (math.exp(4) + math.exp(2))]))


@pytest.mark.parametrize("lengths", [[3, 1, 4], [0, 2], [0]])
def test_an_untrained_residual_network_is_the_identity(lengths: list[int]) -> None:
    network = auxiliary(3, 4, 2, IDENTITY, shuffled=False)
    signal = random_signal(lengths, 3, 4)
    out, _ = run_alone(network, signal, 1)
    assert torch.equal(out.x, signal.x) and torch.equal(out.delta, signal.delta)


@pytest.mark.parametrize("block", ["paper", "residual"])
def test_outputs_are_finite_with_edits_that_have_no_token(block: str) -> None:
    network = auxiliary(3, 4, 1, replace(SMALL, block=block, gate="consistent"))
    for lengths in ([0, 2, 0, 3, 0], [0, 0]):
        signal = random_signal(lengths, 3, 4)
        out, _ = run_alone(network, signal)
        assert out.x.shape == (sum(lengths), 3) and out.update_scale.shape == (len(lengths),)
        for value in (out.x, out.delta, out.update_scale, *out.representations):
            assert torch.isfinite(value).all()


def test_the_gate_learns_only_when_it_is_consistent() -> None:
    gradients = {}
    for gate in ("paper", "consistent"):
        network = auxiliary(3, 4, 1, replace(SMALL, gate=gate))  # type: ignore[arg-type]
        signal = random_signal([2, 3, 1], 3, 4)
        out, _ = run_alone(network, signal)
        gradients[gate] = out.update_scale.requires_grad
        (out.x.sum() + (out.update_scale * torch.arange(3)).sum()).backward()
        found = [layer.scale_attention.query.weight.grad for layer in network.layers]  # type: ignore[union-attr]
        if gate == "consistent":
            assert all(grad is not None and grad.abs().max() > 0 for grad in found)
        else:
            assert found == [None, None]
    assert gradients == {"paper": False, "consistent": True}


def test_modules_of_one_shape_differ_by_their_own_scale_and_shift_only() -> None:
    network = auxiliary(3, 4, 2, IDENTITY, shuffled=False)
    with torch.no_grad():
        network.layers[0].module_scale.weight[1] *= 2  # type: ignore[union-attr, operator]
        network.layers[0].module_shift.weight[1] += 1  # type: ignore[union-attr, operator]
    signal = random_signal([2, 2], 3, 4)
    first, second = (run_alone(network, signal, number)[0] for number in (0, 1))
    assert torch.equal(first.x, signal.x)
    assert_close(second.x, 2 * signal.x + 1)


def test_state_grows_by_the_new_edits_and_keeps_the_old_ones_as_they_are() -> None:
    network = auxiliary(3, 4, 1, SMALL)
    signal = random_signal([2, 1, 3], 3, 4)
    _, first = run_alone(network, part(signal, 0, 2))
    _, second = run_alone(network, part(signal, 2, 3), past=first)
    for old, new in zip(first, second, strict=True):
        for name in ("keys", "values", "gate_keys"):
            before, after = getattr(old, name), getattr(new, name)
            assert (before.shape[-2], after.shape[-2]) == (2, 3)
            assert torch.equal(after[..., :2, :], before)


def test_modules_together_are_as_each_alone() -> None:
    """Whatever their numbers of rows; training counts rows module by module, too."""
    for config in (SMALL, replace(SMALL, block="residual", normaliser="exact_batch_norm")):
        together, alone = (auxiliary(3, 4, 3, config).train() for _ in range(2))
        past, pasts = None, [None, None, None]
        for call, lengths in enumerate(([[2, 1], [0, 3], [1, 1]], [[2], [1], [0]])):
            signals = [random_signal(one, 3, 4, call * 3 + n) for n, one in enumerate(lengths)]
            rows = [torch.cat([signal.x, signal.delta], 1) for signal in signals]
            outs, past = together(rows, [s.tokens_per_edit for s in signals], [2, 0, 1], past)
            for place, module in enumerate((2, 0, 1)):
                out, pasts[place] = run_alone(alone, signals[place], module, pasts[place])
                for name in ("x", "delta", "segment", "update_scale", "past_update_scale"):
                    assert_close(getattr(outs[place], name), getattr(out, name))


@pytest.mark.parametrize("normaliser", ["exact_batch_norm", "layer_norm"])
@pytest.mark.parametrize("block", ["paper", "residual"])
def test_every_parameter_takes_part_but_those_a_softmax_cancels(
    block: str, normaliser: str
) -> None:
    config = replace(SMALL, block=block, normaliser=normaliser, gate="consistent")
    network = auxiliary(3, 4, 1, config).train()
    signal = random_signal([2, 3, 4], 3, 4)
    out, _ = run_alone(network, signal)
    weights = torch.arange(1.0, 10.0)[:, None]
    (weights * out.x * out.x).sum().add(out.update_scale.square().sum()).backward()
    idle = {
        name.split(".", 2)[2]
        for name, parameter in network.named_parameters()
        if parameter.grad is None or parameter.grad.abs().max() < 1e-12
    }
    # What is added to every score or every logit alike does not change their softmax.
    assert idle == {"intra.score.2.bias", "inter.key.bias", "scale_attention.key.bias"}


def test_layers_computed_again_in_the_backward_pass_give_the_same_gradients(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    gradients, calls = {}, {}
    for least in (2**24, 1):
        monkeypatch.setattr(network_module, "RECOMPUTED", least)
        network = auxiliary(3, 4, 1, replace(SMALL, gate="consistent")).train()
        network.layers[0].register_forward_pre_hook(  # type: ignore[union-attr, operator]
            lambda *_, least=least: calls.update({least: calls.get(least, 0) + 1})
        )
        out, _ = run_alone(network, random_signal([2, 3, 1], 3, 4))
        (out.x.square().sum() + out.update_scale.square().sum()).backward()
        gradients[least] = [p.grad for p in network.parameters() if p.grad is not None]
    assert calls == {2**24: 1, 1: 2}
    assert_close(gradients[1], gradients[2**24])
