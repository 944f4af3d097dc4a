"""The plain version that speed is measured against gives the reference numbers, and ours."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.testing import assert_close

from benchmarks.speed.reference_like import ReferenceLike
from dafnet_plugin.artifacts.reference import network_state_from_reference
from dafnet_plugin.cases import EditRequest
from dafnet_plugin.editing.dafnet import DAFNet
from dafnet_plugin.editing.editor import DAFNetEditor
from dafnet_plugin.editing.modules import find_edit_modules
from dafnet_plugin.editing.objective import Question
from dafnet_plugin.editing.signals import capture
from dafnet_plugin.errors import ConfigError
from dafnet_plugin.tokens import TokenBatch, collate, encode
from dafnet_plugin.training.step import meta_step
from tests.helpers import MODULES, dafnet_for, model, requests, tokenizer
from tests.parity.conftest import Golden
from tests.parity.test_model_parity import MODELS, Case

TOLERANCE = {"rtol": 1e-4, "atol": 1e-5}
PAPER = {"kind": "running_mean", "normaliser": "exact_batch_norm", "gate": "paper"}


@pytest.fixture(params=MODELS)
def case(request: pytest.FixtureRequest, golden: Golden) -> Case:
    return Case(golden, request.param)


def plain(case: Case) -> ReferenceLike:
    batch_size = case.spec["gradient_signal_batch_size"]
    return ReferenceLike(case.model, case.spec["edit_modules"], case.dafnet, batch_size)


def test_one_training_step_gives_the_reference_numbers(case: Case) -> None:
    training = case.spec["training"]
    case.dafnet.train()
    reference = plain(case)
    losses = reference.training_step(
        case.batch("signal"),
        [
            Question("reliability", case.batch("signal"), training["relia_lambda"], False),
            Question("generality", case.batch("train.gen"), training["gen_lambda"], False),
            Question("locality", case.batch("train.loc"), training["loc_lambda"], True),
        ],
    )
    for name, loss in losses.items():
        assert_close(torch.tensor(loss), case.expected(f"train.loss.{name}"), **TOLERANCE)
    for shape, members in case.spec["shapes"].items():
        edit_module = case.modules[members[0]]
        network = reference.networks[f"{edit_module.d_in}x{edit_module.d_out}"]
        expected = network_state_from_reference(
            case.golden.under(f"{case.name}.train.grad.{shape}")
        )
        for name, parameter in network.named_parameters():
            grad = parameter.grad
            wanted = expected.pop(name)
            assert_close(torch.zeros_like(wanted) if grad is None else grad, wanted, **TOLERANCE)
        assert not expected
    for number, grad in enumerate(reference.edit_lrs.grad):
        assert_close(grad, case.expected(f"train.grad_edit_lr.{number}"), **TOLERANCE)


@torch.no_grad()
def test_sequential_edits_give_the_reference_numbers(case: Case) -> None:
    case.load_networks("aux1")
    for number in range(len(case.modules)):
        case.dafnet.edit_lrs[number] = case.expected(f"edit_lr1.{number}")
    case.dafnet.eval()
    reference = plain(case)
    probe = case.expected("seq.probe")
    for number in range(len(case.spec["seq_batches"])):
        reference.edit(case.batch(f"seq.step{number}"))
        memory = reference.memory
        assert memory is not None
        for index, weight in enumerate(memory.weights):
            prefix = f"seq.step{number}.module{index}"
            assert_close(weight, case.expected(f"{prefix}.delta_weight"), **TOLERANCE)
        with reference.edited(memory):
            logits = case.model(probe).logits
        assert_close(logits, case.expected(f"seq.step{number}.logits"), **TOLERANCE)
        assert_close(case.model(probe).logits, case.expected("seq.logits_before"), **TOLERANCE)


@pytest.mark.parametrize("family", ["gpt2", "llama"])
@settings(max_examples=8, deadline=None)
@given(st.lists(st.integers(1, 4), min_size=1, max_size=4))
def test_calls_of_any_size_give_the_edits_that_ours_give(family: str, calls: list[int]) -> None:
    base, names = model(family), MODULES[family]
    dafnet = dafnet_for(base, family, **PAPER)
    reference = ReferenceLike(model(family), names, dafnet, batch_size=3)
    editor = DAFNetEditor(base, tokenizer(), dafnet, names, batch_size=3)
    facts = requests(sum(calls))
    for size in calls:
        some, facts = facts[:size], facts[size:]
        editor.edit(some)
        reference.edit(batch(some))
    state, memory = editor.snapshot().state, reference.memory
    assert state is not None and memory is not None
    for update, weight in zip(state.updates, memory.weights, strict=True):
        assert_close(update.weight, weight, **TOLERANCE)


@pytest.mark.parametrize("family", ["gpt2", "llama"])
def test_a_training_step_gives_the_gradients_that_ours_gives(family: str) -> None:
    base, names = model(family), MODULES[family]
    dafnet = dafnet_for(base, family, **PAPER).train()
    reference = ReferenceLike(model(family), names, dafnet, batch_size=3)
    facts, others = requests(5), requests(9)[5:]
    questions = [
        Question("reliability", batch(facts), 0.1, False),
        *(Question("locality", batch(some), 0.2, True) for some in (others[:3], others[3:])),
    ]
    theirs = reference.training_step(batch(facts), questions)
    ours = our_step(base, names, dafnet, facts, questions)
    for name, loss in theirs.items():
        assert ours[name] == pytest.approx(loss, rel=1e-4)
    for key, network in reference.networks.items():
        found = dict(dafnet.networks[key].named_parameters())
        for name, parameter in network.named_parameters():
            grad, mine = parameter.grad, found[name].grad
            assert (grad is None) == (mine is None), name
            if grad is not None:
                assert_close(mine, grad, **TOLERANCE)
    assert_close(dafnet.edit_lrs.grad, reference.edit_lrs.grad, **TOLERANCE)


def test_only_the_published_algorithm_is_written_the_plain_way() -> None:
    base = model("gpt2")
    with pytest.raises(ConfigError, match=r"least_squares.*allowed.*running_mean"):
        ReferenceLike(base, MODULES["gpt2"], dafnet_for(base, "gpt2", kind="least_squares"))


def our_step(
    base: torch.nn.Module,
    names: Sequence[str],
    dafnet: DAFNet,
    facts: Sequence[EditRequest],
    questions: Sequence[Question],
) -> dict[str, float]:
    modules = find_edit_modules(base, names)
    signals = capture(base, modules, encoded(facts), pad_id=0, batch_size=3)
    return meta_step(base, modules, dafnet, signals, questions)


def encoded(facts: Sequence[EditRequest]) -> list:
    return encode(tokenizer(), [(fact.prompt, fact.target_new) for fact in facts])


def batch(facts: Sequence[EditRequest]) -> TokenBatch:
    return collate(encoded(facts), 0)
