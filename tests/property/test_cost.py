"""The n-th edit costs what the first did: work is counted, not timed."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
import torch
from torch import Tensor, nn

import dafnet_plugin.editing.dafnet as dafnet_module
from tests.helpers import editor, random_dafnet, random_signal, requests


@contextmanager
def rows_through_linear(module: nn.Module) -> Iterator[Counter[str]]:
    """Count the rows that go through each linear layer."""
    rows: Counter[str] = Counter()
    hooks = []
    for name, linear in module.named_modules():
        if isinstance(linear, nn.Linear):

            def count(_: nn.Module, inputs: tuple[Tensor, ...], name: str = name) -> None:
                rows[name] += inputs[0].shape[:-1].numel()

            hooks.append(linear.register_forward_pre_hook(count))
    try:
        yield rows
    finally:
        for hook in hooks:
            hook.remove()


@pytest.mark.parametrize("kind", ["running_mean", "sum", "least_squares"])
def test_only_new_edits_are_projected(kind: str) -> None:
    dafnet = random_dafnet([(3, 4)], kind=kind)
    state, seen = None, []
    for number in range(6):
        with torch.no_grad(), rows_through_linear(dafnet) as rows:
            state = dafnet([random_signal([2, 3], 3, 4, number, torch.float32)], state)
        seen.append(rows)
    assert all(rows == seen[0] for rows in seen)
    for name, count in seen[0].items():
        of_edits = ".inter." in name or ".scale_attention." in name
        assert count == (2 if of_edits else 5), name


def test_least_squares_extends_by_new_rows_only(monkeypatch: pytest.MonkeyPatch) -> None:
    rows: list[int] = []
    extend = dafnet_module.extend

    def counted(state, keys, changes, chunk):  # type: ignore[no-untyped-def]
        rows.append(len(keys))
        return extend(state, keys, changes, chunk)

    monkeypatch.setattr(dafnet_module, "extend", counted)
    dafnet = random_dafnet([(3, 4)], kind="least_squares")
    state = None
    for number in range(4):
        with torch.no_grad():
            state = dafnet([random_signal([4], 3, 4, number, torch.float32)], state)
    assert rows == [4, 4, 4, 4]


def test_an_edit_runs_the_model_on_the_new_facts_only() -> None:
    one = editor("gpt2", kind="least_squares", normaliser="layer_norm")
    texts: list[int] = []
    one.model.transformer.wte.register_forward_pre_hook(
        lambda _, inputs: texts.append(inputs[0].shape[0])
    )
    for fact in requests(5):
        one.edit([fact])
    assert texts == [1, 1, 1, 1, 1]


def test_an_edited_model_has_no_more_modules_hooks_or_parameters_than_before() -> None:
    one = editor("llama", kind="least_squares", normaliser="layer_norm")
    before = [(name, type(module)) for name, module in one.model.named_modules()]
    sizes = {name: p.shape for name, p in one.model.named_parameters()}
    one.edit(requests(3))
    assert [(name, type(module)) for name, module in one.model.named_modules()] == before
    assert {name: p.shape for name, p in one.model.named_parameters()} == sizes
    for module in one.model.modules():
        assert not module._forward_hooks and not module._forward_pre_hooks
