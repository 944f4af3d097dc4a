"""Undo and replace: afterwards nothing tells that the edit was ever made, or made otherwise."""

from __future__ import annotations

import gc
import weakref
from dataclasses import replace
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from dafnet_plugin.artifacts.edits import DAFNetEdits
from dafnet_plugin.cases import EditRequest
from dafnet_plugin.editing.consolidation import Consolidation, ConsolidationConfig
from dafnet_plugin.editing.editor import DAFNetEditor
from dafnet_plugin.editing.fusion import FusionState, extend
from dafnet_plugin.editing.record import with_other, without
from dafnet_plugin.errors import ConfigError, DataError, ModelError, NumericalError
from dafnet_plugin.tokens import encode
from tests import helpers
from tests.helpers import FAMILIES, PEOPLE, PLACES, bits

FACTS = helpers.requests(12)
OTHER = EditRequest("Zoe lives in", "Kyoto")
# Of one to three tokens: products with so few rows round by how a matrix lies in memory.
SHORT = [EditRequest("A", "Rome"), EditRequest("Bo", "Paris"), EditRequest("Eve in", "Oslo")]
CONSOLIDATION = ConsolidationConfig(start=3, growth=1.5, steps=2, texts=6, rate=0.3, autocast=False)
# How edits are fused; the last goes over the sequence again as it grows.
MODES = ["running_mean", "sum", "least_squares", "consolidated"]


Made = list[list[tuple[str, EditRequest]]]
"""Calls, each a list of names and requests."""


def make(mode: str, family: str = "gpt2", **network: Any) -> DAFNetEditor:
    kind = "least_squares" if mode == "consolidated" else mode
    one = helpers.editor(family, kind=kind, normaliser="layer_norm", edit_lr=-0.5, **network)
    if mode == "consolidated":
        texts = [(f"{person} was born in", PLACES[i % 8]) for i, person in enumerate(PEOPLE)]
        one.consolidation = Consolidation(CONSOLIDATION, tuple(encode(helpers.tokenizer(), texts)))
    return one


def held(one: DAFNetEditor) -> dict[str, bytes]:
    return bits(one.model.state_dict())


def made_of(mode: str, calls: Made, **network: Any) -> DAFNetEditor:
    """A fresh model with these calls."""
    fresh = make(mode, **network)
    for call in calls:
        fresh.edit([request for _, request in call], [name for name, _ in call])
    return fresh


def names(edits: DAFNetEdits) -> list[str]:
    return [edit.case_id for edit in edits.list()]


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("gate", ["consistent", "paper"])
def test_an_undone_edit_was_never_made(mode: str, gate: str) -> None:
    one = make(mode, gate=gate)
    edits = DAFNetEdits(one)
    calls = [[("a", FACTS[0])], [("b", FACTS[1]), ("c", FACTS[2])], [("d", FACTS[3])]]
    calls += [[(str(number), FACTS[number])] for number in range(4, 8)]
    for call in calls:
        edits.edit([request for _, request in call], [name for name, _ in call])
    with_b = held(one)
    bring_back = edits.undo("b")
    calls[1] = calls[1][1:]
    expected = made_of(mode, calls, gate=gate)
    assert held(one) == held(expected) != with_b
    assert names(edits) == ["a", "c", "d", "4", "5", "6", "7"]
    edits.edit([FACTS[9]])  # and the sequence goes on as if it had not been there
    expected.edit([FACTS[9]])
    assert held(one) == held(expected)
    bring_back()
    assert held(one) == with_b and names(edits)[1] == "b"


def test_later_edits_look_at_the_one_undone() -> None:
    """Why undoing makes later edits anew: taking the edit's own part out is not enough."""
    one = make("least_squares")
    edits = DAFNetEdits(one)
    for fact in FACTS[:4]:
        edits.edit([fact])
    before = one.snapshot().state
    edits.undo("1")
    state = one.snapshot().state
    assert state is not None and before is not None
    # Before edits look at each other they are the same, afterwards they are not.
    for depth, same in ((0, True), (1, False)):
        later, without_it = (one.networks[0][depth].keys for one in (before, state))
        assert torch.allclose(later[..., 1:, :], without_it, rtol=1e-3) is same


STEPS = st.lists(
    st.tuples(
        st.sampled_from(["edit", "edit", "batch", "undo", "replace", "back"]), st.integers(0, 11)
    ),
    min_size=1,
    max_size=9,
)


def carry_out(edits: DAFNetEdits, steps: list[tuple[str, int]]) -> Made:
    """Change edits step by step; returns the calls that are left."""
    calls: Made = []
    went_back = None
    for number, (kind, which) in enumerate(steps):
        known = [name for call in calls for name, _ in call]
        name = known[which % len(known)] if known else ""
        before = [list(call) for call in calls]
        if kind in ("edit", "batch") or not known or (kind == "back" and went_back is None):
            size = 1 + (kind == "batch")
            call = [(f"{number}.{i}", FACTS[(which + i) % 12]) for i in range(size)]
            undo = edits.edit([r for _, r in call], [n for n, _ in call])
            calls.append(call)
        elif kind == "undo":
            undo = edits.undo(name)
            calls = [[e for e in call if e[0] != name] for call in calls]
            calls = [call for call in calls if call]
        elif kind == "replace":
            undo = edits.replace(name, OTHER)
            calls = [[(n, OTHER if n == name else r) for n, r in call] for call in calls]
        else:
            assert went_back is not None
            undo, calls = went_back[0], went_back[1]
            undo()
            went_back = None
            continue
        went_back = undo, before
    return calls


@pytest.mark.parametrize("mode", ["least_squares", "consolidated"])
@settings(max_examples=8, deadline=None)
@given(steps=STEPS, snapshots=st.sampled_from([0, 1, 3, None]))
def test_any_sequence_of_changes_ends_where_the_edits_left_say(
    mode: str, steps: list[tuple[str, int]], snapshots: int | None
) -> None:
    one = make(mode)
    edits = DAFNetEdits(one, snapshots=snapshots)
    calls = carry_out(edits, steps)
    assert names(edits) == [name for call in calls for name, _ in call]
    assert held(one) == held(made_of(mode, calls))


@pytest.mark.parametrize("family", FAMILIES)
def test_replaced_at_its_place(family: str) -> None:
    one, expected = make("least_squares", family), make("least_squares", family)
    edits = DAFNetEdits(one)
    edits.edit(FACTS[:2])
    edits.edit([FACTS[2]])
    edits.replace("2", OTHER)
    expected.edit([FACTS[0], OTHER])
    expected.edit([FACTS[2]])
    assert held(one) == held(expected)
    assert [edit.request for edit in edits.list()] == [FACTS[0], OTHER, FACTS[2]]
    edits.undo("1")
    edits.undo("2")
    edits.undo("3")
    assert edits.list() == [] and held(one) == held(make("least_squares", family))


def test_what_cannot_be_undone_is_said_and_changes_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    one = make("least_squares")
    edits = DAFNetEdits(one)
    edits.edit(FACTS[:2], ["paris", "rome"])
    mark, before = one.snapshot(), held(one)
    with pytest.raises(DataError, match=r"no edit 'pari' among the 2 .* \(did you mean 'paris'"):
        edits.undo("pari")
    with pytest.raises(DataError, match="no edit 'x'"):
        edits.replace("x", OTHER)
    with pytest.raises(DataError, match="'rome': a sequence has one edit of each name"):
        edits.edit([FACTS[3]], ["rome"])
    with pytest.raises(DataError, match="allowed: one for each of the 2 requests"):
        edits.edit(FACTS[3:5], ["one"])
    with pytest.raises(DataError, match="allowed: a non-empty string"):
        edits.edit([FACTS[3]], [" "])
    with pytest.raises(DataError, match="context holds 64"):
        edits.replace("paris", replace(OTHER, prompt="Zoe " * 100))

    def overflowing(*arguments: Any) -> FusionState:
        state = extend(*arguments)
        return replace(state, weight=state.weight / 0)

    monkeypatch.setattr("dafnet_plugin.editing.dafnet.extend", overflowing)
    with pytest.raises(NumericalError):
        edits.undo("paris")
    assert held(one) == before and one.snapshot() is mark
    monkeypatch.undo()
    edits.undo("paris")
    assert names(edits) == ["rome"]


def test_weights_changed_by_something_else_are_noticed() -> None:
    one = make("sum")
    edits = DAFNetEdits(one)
    edits.edit(FACTS[:2])
    with torch.no_grad():
        one.model.get_parameter(one.parameter_names[0]).add_(1)
    for change in (edits.list, lambda: edits.undo("1"), lambda: edits.replace("1", OTHER)):
        with pytest.raises(ModelError, match="changed by something else"):
            change()


def test_closing_lets_go_even_of_a_model_that_something_else_changed(
    caplog: pytest.LogCaptureFixture,
) -> None:
    one = make("sum")
    edits = DAFNetEdits(one)
    with torch.no_grad():
        one.model.get_parameter(one.parameter_names[0]).add_(1)
    edits.close()
    assert one.keeper is None and "changed by something else" in caplog.text


def test_edits_of_a_model_that_is_gone_say_so() -> None:
    one = make("sum")
    base = one.model
    one.model = weakref.proxy(base)
    edits = DAFNetEdits(one)
    edits.edit(FACTS[:1])
    del base, one.modules, one.weights
    gc.collect()
    for change in (edits.list, lambda: edits.edit(FACTS[:1]), lambda: edits.undo("1")):
        with pytest.raises(ModelError, match="is gone, nothing refers to it any more; keep the ed"):
            change()
    edits.close()


def test_settings_that_change_do_not_change_edits_made_before() -> None:
    """Each call is made again as it was made."""
    one = make("consolidated")
    edits = DAFNetEdits(one, snapshots=0)
    edits.edit(FACTS[:4])
    assert one.consolidation is not None
    one.batch_size, one.consolidation = 1, replace(one.consolidation, config=ConsolidationConfig(0))
    edits.edit(FACTS[4:8])
    expected = make("consolidated")
    expected.edit(FACTS[:4])
    expected.batch_size, expected.consolidation = 1, one.consolidation
    expected.edit(FACTS[4:6] + FACTS[7:8], ["5", "6", "8"])
    edits.undo("7")
    assert held(one) == held(expected)
    one.consolidation = None
    with pytest.raises(ConfigError, match="made with consolidation, which this editor has no text"):
        edits.undo("2")


def test_edits_are_kept_once() -> None:
    one = make("sum")
    edits = DAFNetEdits(one)
    with pytest.raises(ConfigError, match="kept already"):
        DAFNetEdits(one)
    edits.close()
    DAFNetEdits(one)


def test_records_are_changed_as_lists() -> None:
    one = make("sum")
    one.edit(FACTS[:2])
    one.edit([FACTS[2]])
    calls = one.snapshot().calls
    assert [len(call.edits) for call in without(calls, "1")] == [1, 1]
    assert [len(call.edits) for call in without(calls, "3")] == [2]
    assert with_other(calls, "3", FACTS[2]) == calls
