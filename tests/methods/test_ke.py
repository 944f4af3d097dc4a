"""KnowledgeEditor: a gated, shifted update of low rank that vanishes where the model is right."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from dafnet_plugin.cases import EditRequest
from dafnet_plugin.editing.modules import find_edit_modules
from dafnet_plugin.editing.signals import Signal
from dafnet_plugin.errors import CheckpointError, ConfigError, DataError, NumericalError
from dafnet_plugin.methods.ke.checkpoint import KECheckpoint, load_checkpoint, save_checkpoint
from dafnet_plugin.methods.ke.hparams import KEHparams
from dafnet_plugin.methods.ke.method import KEEditor, build_editor, gradients_and_requests
from dafnet_plugin.methods.ke.network import HypernetworkConfig, KnowledgeEditor
from dafnet_plugin.methods.ke.requests import request_rows
from dafnet_plugin.tokens import encode
from tests import helpers
from tests.methods import world
from tests.methods.settings import FAMILIES

families = pytest.mark.parametrize("family", FAMILIES)
SMALL = HypernetworkConfig(lstm_dim=6, summary_dim=8, step=0.5)


def network(shapes: list[tuple[int, int]], width: int = 5, **changes: Any) -> KnowledgeEditor:
    """Far from where training starts."""
    torch.manual_seed(0)
    found = KnowledgeEditor(shapes, width, HypernetworkConfig(**{**vars(SMALL), **changes}))
    helpers.shuffle_parameters(found)
    return found.eval()


def signals(lengths: list[int], shapes: list[tuple[int, int]], width: int = 5) -> list[Signal]:
    single = torch.float32
    gradients = [
        helpers.random_signal(lengths, *shape, seed=number, dtype=single)
        for number, shape in enumerate(shapes)
    ]
    words = helpers.random_signal([n + 2 for n in lengths], width, 1, seed=9, dtype=single)
    parts = torch.arange(len(words.x))[:, None] % 3
    return [*gradients, Signal(words.x, parts.float(), words.tokens_per_edit)]


def editor(family: str, trained: KnowledgeEditor | None = None) -> KEEditor:
    model = world.model(family)
    shapes = [m.shape for m in find_edit_modules(model, world.MATRICES[family])]
    hparams = KEHparams(model_name=family, edit_modules=world.MATRICES[family])
    return KEEditor(model, world.tokenizer(), trained or network(shapes, world.WIDTH), hparams)


def test_the_equation_by_hand() -> None:
    shapes = [(3, 4), (4, 2)]
    net, given_signals = network(shapes, shift="free"), signals([3], shapes)
    net.gradient_norms.copy_(torch.tensor([2.0, 0.5]))
    summary = net.summaries(given_signals[-1])
    for number, update in enumerate(net(given_signals).updates):
        gates, signal = net.gates[number], given_signals[number]
        d_in = shapes[number][0]
        alpha = gates.mask_in(summary)[0].softmax(-1) * d_in
        beta = gates.shift_in(summary)[0].softmax(-1) * d_in**0.5
        gradient = signal.x.T @ signal.delta / net.gradient_norms[number]
        mask = torch.outer(alpha, gates.mask_out(summary)[0])
        shift = torch.outer(beta, gates.shift_out(summary)[0])
        by_hand = net.steps[number] * gates.gate(summary).sigmoid() * (shift - mask * gradient)
        torch.testing.assert_close(update.weight, by_hand)


def test_it_begins_as_gradient_descent() -> None:
    shapes = [(3, 4)]
    net, given_signals = KnowledgeEditor(shapes, 5, SMALL), signals([2], shapes)
    (update,) = net(given_signals).updates
    gradient = given_signals[0].x.T @ given_signals[0].delta
    torch.testing.assert_close(update.weight, -0.5 * 0.5 * gradient)
    net.normalise_on(given_signals)
    typical = (
        (given_signals[0].x.square().sum(1) * given_signals[0].delta.square().sum(1)).sum().sqrt()
    )
    torch.testing.assert_close(net(given_signals).updates[0].weight, -0.25 * gradient / typical)


@settings(max_examples=25, deadline=None)
@given(st.lists(st.integers(1, 4), min_size=1, max_size=5), st.sampled_from(["scaled", "free"]))
def test_updates_of_low_rank_add_up(lengths: list[int], shift: str) -> None:
    shapes = [(12, 10)]
    net, together = network(shapes, shift=shift), signals(lengths, shapes)
    (whole,) = net(together).updates
    parts = [
        net([helpers.part(s, i, i + 1) for s in together]).updates[0].weight
        for i in range(len(lengths))
    ]
    torch.testing.assert_close(whole.weight, torch.stack(parts).sum(0), atol=1e-4, rtol=1e-4)
    for tokens, part in zip(lengths, parts):
        assert torch.linalg.matrix_rank(part.double(), rtol=1e-5) <= tokens + 1


@settings(max_examples=25, deadline=None)
@given(st.floats(0, 1), st.integers(0, 9))
def test_an_update_vanishes_with_its_gradient(size: float, seed: int) -> None:
    shapes = [(6, 5)]
    net = network(shapes)
    *_, words = signals([3], shapes)
    full = helpers.random_signal([3], 6, 5, seed=seed, dtype=torch.float32)
    small = Signal(full.x, full.delta * size, full.tokens_per_edit)
    whole, part = (net([s, words]).updates[0].weight for s in (full, small))
    torch.testing.assert_close(part, size * whole, atol=1e-5, rtol=1e-4)
    nothing = Signal(full.x[:0], full.delta[:0], torch.tensor([0]))
    assert not net([nothing, words]).updates[0].weight.any()


@families
def test_a_model_that_is_right_is_left_alone(family: str) -> None:
    of = editor(family)

    def size(requests: list[EditRequest]) -> float:
        sizes = [sum(float(u.norm()) for u in of.updates([request])) for request in requests]
        return sum(sizes) / len(sizes)

    right = [EditRequest(prompt, answer) for prompt, answer in world.STATEMENTS]
    assert size(right) < 0.05 * size(world.moves(*world.PEOPLE))


@families
def test_requests_as_rows(family: str) -> None:
    model, words = world.model(family), world.tokenizer()
    texts = encode(
        words, [("Ada lives in", "Oslo likes"), ("the home of Bo is", world.HOMES["Bo"])]
    )
    rows = request_rows(model, texts, pad_id=0, batch_size=1)
    together = request_rows(model, texts, pad_id=0, batch_size=8)
    assert rows.tokens_per_edit.tolist() == [3 + 2 + 2, 5 + 1 + 1]
    assert rows.delta[:, 0].tolist() == [0, 0, 0, 1, 1, 2, 2, *[0] * 5, 1, 2]
    torch.testing.assert_close(rows.x, together.x)
    embeddings = model.get_input_embeddings().weight.detach()
    said = words.convert_tokens_to_ids(world.HOMES["Ada"])
    torch.testing.assert_close(rows.x[3], embeddings[said])  # the old target is what it says
    torch.testing.assert_close(rows.x[-1], rows.x[-2])  # here it is the new one


@families
def test_editing_is_adding_the_update_and_undone_bit_for_bit(family: str) -> None:
    of = editor(family)
    before, requests = world.bits(of.model), world.moves("Ada", "Bo")
    updates = of.updates(requests)
    weights = {n: p.detach().clone() for n, p in of.model.named_parameters()}
    copies = of.edit(requests)
    names = [f"{name}.weight" for name in world.MATRICES[family]]
    assert list(copies) == names
    for edit_module, update, name in zip(of.modules, updates, names):
        torch.testing.assert_close(
            edit_module.weight.detach(), weights[name] + edit_module.stored(update)
        )
        assert not torch.equal(edit_module.weight, weights[name])
    with torch.no_grad():
        for name, value in copies.items():
            of.model.get_parameter(name).copy_(value)
    assert world.bits(of.model) == before


def test_several_at_once_are_edited_on_the_model_before() -> None:
    of = editor("gpt2")
    one, two = world.moves("Ada", "Bo")
    for update, first, second in zip(of.updates([one, two]), of.updates([one]), of.updates([two])):
        torch.testing.assert_close(update, first + second, atol=1e-5, rtol=1e-4)


def test_failures_leave_the_model_alone() -> None:
    of = editor("gpt2")
    before = world.bits(of.model)
    with pytest.raises(DataError, match="context holds 16"):
        of.edit([EditRequest("Ada " * 30, "Rome")])
    with torch.no_grad():
        of.network.steps[1] = float("inf")
    with pytest.raises(NumericalError, match=r"h\.1\.mlp\.c_proj\.weight is not finite"):
        of.edit(world.moves("Ada"))
    assert world.bits(of.model) == before


def test_checkpoints(tmp_path: Path) -> None:
    of = editor("gpt2")
    save_checkpoint(KECheckpoint(of.network, tuple(of.hparams.edit_modules), {"seed": 1}), tmp_path)
    found = load_checkpoint(tmp_path)
    assert helpers.bits(found.network.state_dict()) == helpers.bits(of.network.state_dict())
    assert found.training == {"seed": 1} and found.network.config == SMALL
    of.hparams.archive = str(tmp_path)
    other = build_editor(of.hparams, world.model("gpt2"), world.tokenizer())
    of.edit(world.moves("Ada")), other.edit(world.moves("Ada"))
    assert world.bits(of.model) == world.bits(other.model)

    fewer = KEHparams("m", world.MATRICES["gpt2"][:1], archive=str(tmp_path))
    with pytest.raises(CheckpointError, match=r"trained for the modules .* but edit_modules is"):
        build_editor(fewer, other.model, other.tokenizer)
    with pytest.raises(CheckpointError, match=r"no KnowledgeEditor here.*; train one with"):
        load_checkpoint(tmp_path / "nowhere")
    with pytest.raises(ConfigError, match="archive: null; a trained KnowledgeEditor is needed"):
        build_editor(KEHparams("m", ["a"]), other.model, other.tokenizer)
    config = json.loads((tmp_path / "ke.json").read_text())
    (tmp_path / "ke.json").write_text(json.dumps(config | {"shapes": [[3, 4]]}))
    with pytest.raises(CheckpointError, match="damaged checkpoint"):
        load_checkpoint(tmp_path)


def test_a_network_for_another_model_is_refused() -> None:
    with pytest.raises(CheckpointError, match=r"embeddings of 5; the model has"):
        editor("gpt2", network([(world.WIDTH, 4 * world.WIDTH), (4 * world.WIDTH, world.WIDTH)]))


def test_what_the_network_reads_is_one_edit_a_request() -> None:
    of = editor("llama")
    texts = [(r.prompt, r.target_new) for r in world.moves("Ada", "Bo", "Cleo")]
    found = gradients_and_requests(of.model, of.modules, texts, of.tokenizer, 2)
    assert [len(signal.tokens_per_edit) for signal in found] == [3, 3, 3]
