"""Whatever goes wrong while editing is named, and neither the model nor the edits are lost."""

from __future__ import annotations

import pytest
import torch

from dafnet_plugin.cases import EditRequest
from dafnet_plugin.editing.editor import DAFNetEditor
from dafnet_plugin.errors import (
    CheckpointError,
    ConfigError,
    DataError,
    ModelError,
    NumericalError,
)
from tests.editing.test_editor import FACTS, held, make
from tests.helpers import MODULES, dafnet_for, model, random_dafnet, tokenizer


def test_a_failed_edit_does_not_make_the_editor_forget_the_last_copy() -> None:
    one = make()
    one.edit([FACTS[0]])
    weights = one.edit([FACTS[1]])
    with pytest.raises(DataError):
        one.edit([EditRequest("long " * 100, "Rome")])
    with torch.no_grad():
        for name, value in weights.items():
            one.model.get_parameter(name)[...] = value
    one.edit([FACTS[2]])
    assert one.requests == (FACTS[0], FACTS[2])


def test_weights_changed_by_something_else_are_an_error_and_stay() -> None:
    one = make()
    one.edit(FACTS[:2])
    with torch.no_grad():
        one.model.get_parameter(one.parameter_names[0])[0, 0] += 1
    changed, mark = held(one), one.snapshot()
    with pytest.raises(ModelError, match="changed by something else"):
        one.edit([FACTS[2]])
    assert held(one) == changed and one.snapshot() is mark
    one.restore(mark)
    one.edit([FACTS[2]])
    assert one.requests == tuple(FACTS[:3])


@pytest.mark.parametrize(
    ("facts", "error", "message"),
    [
        ([FACTS[2], EditRequest("word " * 80, "Rome")], DataError, "context holds 64"),
        ([EditRequest("Ada lives in", "!" * 70)], DataError, "context holds 64"),
    ],
)
def test_a_request_that_cannot_be_edited_changes_nothing(
    facts: list[EditRequest], error: type[Exception], message: str
) -> None:
    one = make()
    one.edit(FACTS[:2])
    before, mark = held(one), one.snapshot()
    with pytest.raises(error, match=message):
        one.edit(facts)
    assert held(one) == before and one.snapshot() is mark


def test_an_empty_target_is_refused_before_any_editor_sees_it() -> None:
    with pytest.raises(DataError, match="target_new is '  '"):
        EditRequest("Ada lives in", "  ")


@pytest.mark.parametrize("kind", ["running_mean", "sum", "least_squares"])
@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_an_update_that_is_not_finite_changes_nothing(kind: str, value: float) -> None:
    one = make(kind=kind)
    one.edit(FACTS[:2])
    before, mark = held(one), one.snapshot()
    good = one.dafnet.edit_lrs.detach().clone()
    with torch.no_grad():
        one.dafnet.edit_lrs[1] = value
    with pytest.raises(NumericalError, match=r"transformer.h.1.mlp.c_fc.*not finite"):
        one.edit([FACTS[2]])
    assert held(one) == before and one.snapshot() is mark
    with torch.no_grad():
        one.dafnet.edit_lrs.copy_(good)
    one.edit([FACTS[2]])
    assert one.requests == tuple(FACTS[:3])


def test_a_ridge_that_is_not_finite_changes_nothing() -> None:
    one = make()
    one.edit(FACTS[:2])
    before, mark = held(one), one.snapshot()
    one.reset()
    with torch.no_grad():
        one.dafnet.log_ridge[0] = torch.nan
    with pytest.raises(NumericalError, match=r"module 0 has no solution|not finite"):
        one.edit([FACTS[2]])
    assert one.requests == () and held(one) == held(make())
    one.restore(mark)
    assert held(one) == before


def test_an_update_too_large_for_the_models_type_changes_nothing() -> None:
    one = make(dtype=torch.float16, kind="sum")
    before = held(one)
    with torch.no_grad():
        one.dafnet.edit_lrs.fill_(-1e8)  # finite in float32, infinite in float16
    with pytest.raises(NumericalError, match="not finite"):
        one.edit(FACTS[:2])
    assert held(one) == before and one.requests == ()


def test_a_model_that_gives_nan_is_an_error() -> None:
    one = make()
    with torch.no_grad():
        one.model.get_parameter("transformer.ln_f.weight").fill_(torch.nan)
    before = held(one)
    with pytest.raises(NumericalError, match="loss of an edit is nan"):
        one.edit([FACTS[0]])
    assert held(one) == before and one.requests == ()


def test_a_tokenizer_without_pad_or_end_token_is_named() -> None:
    one = make()
    one.tokenizer = tokenizer(eos=False)
    before = held(one)
    with pytest.raises(ModelError, match=r"neither a pad token nor.*set tokenizer.pad_token"):
        one.edit([FACTS[0]])
    assert held(one) == before
    one.tokenizer.pad_token = "<end>"
    one.edit([FACTS[0]])


def test_a_dafnet_for_other_shapes_names_module_and_shapes() -> None:
    base = model("gpt2")
    with pytest.raises(CheckpointError) as caught:
        DAFNetEditor(
            base, tokenizer(), random_dafnet([(64, 16), (9, 9), (64, 16)]), MODULES["gpt2"]
        )
    assert "transformer.h.1.mlp.c_fc is (16, 64), the checkpoint has (9, 9)" in str(caught.value)
    assert "h.0.mlp.c_proj" not in str(caught.value)
    with pytest.raises(CheckpointError, match="trained for 1 modules, 3 are named"):
        DAFNetEditor(base, tokenizer(), random_dafnet([(64, 16)]), MODULES["gpt2"])


def test_editing_the_bias_of_a_module_without_one_names_it() -> None:
    base = model("llama")
    with pytest.raises(ConfigError, match=r"edit_bias.*layers.0.mlp.down_proj.*has no bias"):
        DAFNetEditor(base, tokenizer(), dafnet_for(base, "llama", edit_bias=True), MODULES["llama"])
