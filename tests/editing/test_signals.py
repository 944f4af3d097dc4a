"""Gradient signals and logits at scored positions, against plain autograd on whole logits."""

from __future__ import annotations

from typing import Any

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor
from torch.testing import assert_close

from dafnet_plugin.editing.dafnet import DAFNet
from dafnet_plugin.editing.fusion import FusionConfig
from dafnet_plugin.editing.modules import find_edit_modules
from dafnet_plugin.editing.scoring import scored_labels, scored_logits
from dafnet_plugin.editing.signals import capture_batch, concatenate
from dafnet_plugin.editing.statistics import key_moments
from dafnet_plugin.errors import NumericalError
from dafnet_plugin.tokens import IGNORED, TokenBatch, collate, encode
from tests.helpers import (
    FAMILIES,
    IDENTITY,
    MODULES,
    model,
    part,
    random_signal,
    requests,
    tokenizer,
)

TOLERANCE = {"rtol": 1e-4, "atol": 1e-5}


def batch_of(count: int) -> TokenBatch:
    facts = requests(count)
    return collate(encode(tokenizer(), [(f.prompt, f.target_new) for f in facts]), 0)


def whole_logits(base: Any, batch: TokenBatch) -> Tensor:
    return base(input_ids=batch.input_ids, attention_mask=batch.attention_mask).logits


def plain_loss(base: Any, batch: TokenBatch) -> Tensor:
    logits = whole_logits(base, batch)
    return F.cross_entropy(
        logits.flatten(0, 1), batch.labels.flatten(), ignore_index=IGNORED, reduction="sum"
    )


@pytest.mark.parametrize("family", FAMILIES)
def test_scored_logits_are_those_of_the_model(family: str) -> None:
    base, batch = model(family), batch_of(4)
    with torch.no_grad():
        ours = scored_logits(base, batch)
        assert_close(ours, whole_logits(base, batch)[batch.scored], **TOLERANCE)
    assert len(scored_labels(batch)) == len(ours) == int(batch.scored.sum())
    assert not base.get_output_embeddings()._forward_pre_hooks


@pytest.mark.parametrize("family", FAMILIES)
def test_the_head_sees_scored_positions_only(family: str) -> None:
    base, batch, rows = model(family), batch_of(4), []
    head = base.get_output_embeddings()
    head.register_forward_hook(lambda _, inputs, out: rows.append(inputs[0].shape[:-1].numel()))
    with torch.no_grad():
        scored_logits(base, batch)
    assert rows == [int(batch.scored.sum())] and rows[0] < batch.labels.numel()


@pytest.mark.parametrize("family", FAMILIES)
def test_an_identity_network_gives_the_true_weight_gradient(family: str) -> None:
    base, batch = model(family), batch_of(5)
    modules = find_edit_modules(base, MODULES[family])
    signals = capture_batch(base, modules, batch)
    dafnet = DAFNet(
        [m.shape for m in modules],
        IDENTITY,
        FusionConfig(kind="sum", edit_lr=1.0),
        family == "gpt2",
    ).eval()
    with torch.no_grad():
        state = dafnet(signals)
    plain_loss(base, batch).backward()
    for edit_module, signal, update in zip(modules, signals, state.updates, strict=True):
        expected = edit_module.weight.grad
        assert expected is not None and expected.abs().max() > 1e-3
        assert_close(edit_module.stored(signal.x.T @ signal.delta), expected, **TOLERANCE)
        assert_close(edit_module.stored(update.weight), expected, **TOLERANCE)
        if update.bias is not None:
            assert_close(update.bias, edit_module.bias.grad, **TOLERANCE)  # type: ignore[union-attr]


@pytest.mark.parametrize("family", FAMILIES)
def test_capture_computes_no_gradient_of_any_parameter(family: str) -> None:
    base, batch = model(family), batch_of(2)
    modules = find_edit_modules(base, MODULES[family])
    embedding = next(base.parameters())
    embedding.grad = torch.full_like(embedding, 7.0)
    wanted: list[bool] = []
    base.register_forward_pre_hook(
        lambda *_: wanted.extend(p.requires_grad for p in base.parameters())
    )
    capture_batch(base, modules, batch)
    assert wanted and not any(wanted)
    assert embedding.grad.eq(7).all(), "a gradient of the user's was touched"
    assert all(p.grad is None for p in base.parameters() if p is not embedding)


@pytest.mark.parametrize("fails", [False, True])
@pytest.mark.parametrize("family", FAMILIES)
def test_capture_leaves_flags_hooks_and_modes_as_they_were(family: str, fails: bool) -> None:
    base, batch = model(family), batch_of(2)
    modules = find_edit_modules(base, MODULES[family])
    base.train()
    list(base.modules())[3].eval()
    next(base.parameters()).requires_grad_(False)
    if fails:
        with torch.no_grad():
            list(base.parameters())[-1][:] = torch.nan
    before = traces(base)
    if fails:
        with pytest.raises(NumericalError):
            capture_batch(base, modules, batch)
    else:
        capture_batch(base, modules, batch)
    assert traces(base) == before


def traces(base: Any) -> list[Any]:
    return [
        [p.requires_grad for p in base.parameters()],
        [m.training for m in base.modules()],
        [(len(m._forward_hooks), len(m._forward_pre_hooks)) for m in base.modules()],
        [p.data_ptr() for p in base.parameters()],
    ]


def test_capture_works_inside_no_grad_and_leaves_it_off() -> None:
    base = model("gpt2")
    with torch.no_grad():
        capture_batch(base, find_edit_modules(base, MODULES["gpt2"]), batch_of(1))
        assert not torch.is_grad_enabled()


def test_dropout_is_off_while_signals_are_taken() -> None:
    base, batch = model("gpt2"), batch_of(2)
    modules = find_edit_modules(base, MODULES["gpt2"])
    expected = capture_batch(base, modules, batch)
    base.train()
    for ours, theirs in zip(capture_batch(base, modules, batch), expected, strict=True):
        assert torch.equal(ours.delta, theirs.delta)


def test_a_gradient_that_is_not_finite_names_the_module() -> None:
    base, batch = model("gpt2"), batch_of(2)
    modules = find_edit_modules(base, MODULES["gpt2"])

    base.transformer.h[1].mlp.act.register_full_backward_hook(
        lambda _, grads, __: (torch.full_like(grads[0], torch.inf),)
    )
    with pytest.raises(NumericalError, match=r"at transformer\.h\.0\.mlp\.c_proj is not finite"):
        capture_batch(base, modules, batch)


def test_prompt_tokens_that_cannot_reach_the_target_are_dropped() -> None:
    base, batch = model("gpt2"), batch_of(3)
    first, _, last = find_edit_modules(base, MODULES["gpt2"])
    early, late = capture_batch(base, [first, last], batch)
    # After the last attention only scored positions matter; before it the prompt counts too.
    assert late.tokens_per_edit.tolist() == batch.scored.sum(1).tolist()
    assert early.tokens_per_edit.tolist() == batch.attention_mask.sum(1).tolist()


@settings(deadline=None)
@given(
    st.lists(st.integers(0, 4), min_size=1, max_size=6),
    st.lists(st.integers(0, 99), max_size=8),
)
def test_selecting_edits_takes_their_rows(lengths: list[int], picks: list[int]) -> None:
    signal = random_signal(lengths, 2, 3)
    chosen = [pick % len(lengths) for pick in picks]
    ours = signal.select(torch.tensor(chosen, dtype=torch.long))
    xs, deltas = signal.x.split(lengths), signal.delta.split(lengths)
    assert ours.tokens_per_edit.tolist() == [lengths[edit] for edit in chosen]
    assert torch.equal(ours.x, torch.cat([torch.zeros(0, 2).double(), *[xs[e] for e in chosen]]))
    assert torch.equal(
        ours.delta, torch.cat([torch.zeros(0, 3).double(), *[deltas[e] for e in chosen]])
    )


def test_joining_undoes_cutting() -> None:
    signal = random_signal([2, 0, 3], 2, 3)
    joined = concatenate([part(signal, 0, 1), part(signal, 1, 3)])
    for name in ("x", "delta", "tokens_per_edit"):
        assert torch.equal(getattr(joined, name), getattr(signal, name))


@pytest.mark.parametrize("family", FAMILIES)
def test_key_moments_are_the_mean_over_positions_that_predict_a_target(family: str) -> None:
    base, batch = model(family), batch_of(4)
    modules = find_edit_modules(base, MODULES[family])
    inputs: dict[str, Tensor] = {}
    hooks = [
        m.module.register_forward_pre_hook(
            lambda _, args, name=m.name: inputs.__setitem__(name, args[0].detach())
        )
        for m in modules
    ]
    whole_logits(base, batch)
    for hook in hooks:
        hook.remove()
    halves = [
        TokenBatch(batch.input_ids[s], batch.attention_mask[s], batch.labels[s])
        for s in (slice(0, 1), slice(1, 4))
    ]
    for edit_module, moment in zip(modules, key_moments(base, modules, halves), strict=True):
        x = inputs[edit_module.name][batch.scored]
        assert_close(moment, x.T @ x / len(x), **TOLERANCE)
