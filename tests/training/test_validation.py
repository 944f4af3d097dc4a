"""Scores after sequences of edits."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
import torch

from dafnet_plugin.cases import EditCase
from dafnet_plugin.editing.dafnet import DAFNet
from dafnet_plugin.editing.fusion import FusionConfig
from dafnet_plugin.editing.modules import find_edit_modules
from dafnet_plugin.errors import DataError
from dafnet_plugin.training.bank import CaseBank, build_bank
from dafnet_plugin.training.validation import SequentialValidation
from tests.helpers import (
    FAMILIES,
    IDENTITY,
    MODULES,
    bits,
    cases,
    dafnet_for,
    editor,
    model,
    tokenizer,
)


def bank_of(base: Any, family: str, some: list[EditCase]) -> CaseBank:
    modules = find_edit_modules(base, MODULES[family])
    return build_bank("test", some, base, tokenizer(), modules, batch_size=4)


def validation(base: Any, family: str, count: int, lengths: list[int], most: int = 6):  # type: ignore[no-untyped-def]
    modules = find_edit_modules(base, MODULES[family])
    bank = bank_of(base, family, cases(count))
    return SequentialValidation(base, modules, bank, lengths, most, probe_batch=4)


def untrained(base: Any, family: str, edit_lr: float) -> DAFNet:
    shapes = [m.shape for m in find_edit_modules(base, MODULES[family])]
    return DAFNet(shapes, IDENTITY, FusionConfig(kind="sum", edit_lr=edit_lr))


@pytest.mark.parametrize("family", FAMILIES)
def test_changing_nothing_gives_locality_one(family: str) -> None:
    base = model(family)
    scores = validation(base, family, 6, [1, 4]).run(untrained(base, family, 0.0))
    assert [score.locality for score in scores.values()] == [1.0, 1.0]


@pytest.mark.parametrize("family", FAMILIES)
def test_descent_lifts_reliability_and_the_model_comes_back(family: str) -> None:
    base = model(family)
    before = bits(base.state_dict())
    check = validation(base, family, 6, [1])
    nothing = check.run(untrained(base, family, 0.0))[1]
    better = check.run(untrained(base, family, -0.2))[1]
    assert better.reliability > nothing.reliability
    assert better.average == pytest.approx(
        (better.reliability + better.generality + better.locality) / 3
    )
    assert bits(base.state_dict()) == before


def test_modes_are_left_as_they_were() -> None:
    base = model("gpt2").train()
    dafnet = untrained(base, "gpt2", -0.1).train()
    validation(base, "gpt2", 3, [1]).run(dafnet)
    assert base.training and dafnet.training
    dafnet.eval()
    validation(base, "gpt2", 3, [1]).run(dafnet)
    assert not dafnet.training


def test_validating_in_training_mode_observes_no_rows() -> None:
    base = model("gpt2")
    dafnet = dafnet_for(base, "gpt2", normaliser="exact_batch_norm").train()
    before = bits(dafnet.state_dict())
    validation(base, "gpt2", 3, [1, 3]).run(dafnet)
    assert bits(dafnet.state_dict()) == before


def test_lengths_are_cut_to_the_cases_there_are() -> None:
    check = validation(model("gpt2"), "gpt2", 4, [1, 3, 10, 100])
    assert check.lengths == [1, 3, 4]


@pytest.mark.parametrize("family", FAMILIES)
def test_scores_are_those_of_editing_the_model(family: str) -> None:
    """Counted here one text at a time on the model that the editor leaves."""
    some = cases(3)
    one = editor(family, kind="sum", normaliser="layer_norm", edit_lr=-0.7)
    bank = bank_of(one.model, family, some)
    check = SequentialValidation(one.model, one.modules, bank, [3], 3)
    (scores,) = check.run(one.dafnet).values()
    unedited = [answers(one.model, text) for case in bank.locality for text in case]
    one.edit([case.request for case in some])
    assert scores.reliability == pytest.approx(hits(one.model, bank.requests))
    assert scores.generality == pytest.approx(
        hits(one.model, [text for case in bank.generality for text in case])
    )
    edited = [answers(one.model, text) for case in bank.locality for text in case]
    shares = [
        sum(a == b for a, b in zip(old, new, strict=True)) / len(old)
        for old, new in zip(unedited, edited, strict=True)
    ]
    assert scores.locality == pytest.approx(sum(shares) / len(shares))
    assert scores.locality < 1


@torch.no_grad()
def answers(base: Any, text: Any) -> list[int]:
    predicted = base(input_ids=torch.tensor([text.ids])).logits[0].argmax(-1)
    return predicted[text.target_start - 1 : -1].tolist()


def hits(base: Any, texts: list[Any]) -> float:
    shares = []
    for text in texts:
        target = text.ids[text.target_start :]
        right = sum(a == b for a, b in zip(answers(base, text), target, strict=True))
        shares.append(right / len(target))
    return sum(shares) / len(shares)


def test_a_bank_keeps_each_case_with_its_probes() -> None:
    some = cases(5)
    some[2] = replace(some[2], generality=(), locality=(*some[2].locality, *some[3].locality))
    bank = bank_of(model("gpt2"), "gpt2", some)
    tok = tokenizer()
    assert len(bank) == 5
    assert [len(probes) for probes in bank.generality] == [1, 1, 0, 1, 1]
    assert [len(probes) for probes in bank.locality] == [1, 1, 2, 1, 1]
    for case, request, locality in zip(some, bank.requests, bank.locality, strict=True):
        assert tok.decode(request.ids) == f"{case.request.prompt} {case.request.target_new}"
        probe = case.locality[0]
        assert tok.decode(locality[0].ids) == f"{probe.prompt} {probe.answer}"
    chosen = bank.select(torch.tensor([3, 1]))
    for signal, part in zip(bank.signals, chosen, strict=True):
        ends = signal.tokens_per_edit.cumsum(0).tolist()
        assert torch.equal(
            part.x, torch.cat([signal.x[ends[2] : ends[3]], signal.x[ends[0] : ends[1]]])
        )


def test_batches_hold_every_text_once() -> None:
    bank = bank_of(model("gpt2"), "gpt2", cases(7))
    texts = [bank.requests[number] for number in (6, 0, 3, 5, 1, 4, 2)]
    batches = bank.batches(sorted(texts, key=lambda text: -len(text.ids)), 3)
    widths = [batch.input_ids.shape[1] for batch in batches]
    assert widths == sorted(widths) and widths[0] < widths[-1], "padded more than need be"
    assert [len(batch.input_ids) for batch in batches] == [3, 3, 1]
    rows = [
        tuple(ids[mask.bool()].tolist())
        for batch in batches
        for ids, mask in zip(batch.input_ids, batch.attention_mask, strict=True)
    ]
    assert sorted(rows) == sorted(text.ids[:-1] for text in bank.requests)


def test_a_locality_probe_about_an_edited_subject_need_not_stay() -> None:
    some = [
        replace(case, request=replace(case.request, subject=case.request.prompt.split()[0]))
        for case in cases(8)
    ]
    bank = bank_of(model("gpt2"), "gpt2", some)
    # The probe of case i is about the person of case i + 5.
    assert bank.asked_about[0] == [frozenset({5})]
    assert bank.asked_about[1] == [frozenset({6})] and bank.asked_about[4] == [frozenset()]
    assert bank.untouched([0, 1, 4], [0, 1, 4, 5]) == [(1, 0), (4, 0)]
    assert len(bank.untouched([0, 1, 4], [0, 1, 4])) == 3


def test_a_source_without_a_case_is_named() -> None:
    with pytest.raises(DataError, match="source 'test' has no case"):
        bank_of(model("gpt2"), "gpt2", [])
