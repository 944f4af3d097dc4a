"""Edits as a LoRA adapter: PEFT loads and merges it, and its error is the one reported."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from dafnet_plugin.artifacts.edits import DAFNetEdits
from dafnet_plugin.artifacts.export import export_peft
from dafnet_plugin.artifacts.peft_export import _factored, adapters_of
from dafnet_plugin.artifacts.saved_edits import edits_of_editor, read_edits
from dafnet_plugin.errors import ConfigError, DataError
from tests import helpers
from tests.artifacts.test_edits import FACTS, held, make
from tests.helpers import FAMILIES, MODULES, bits

peft = pytest.importorskip("peft")
LOGIT_ROUNDING = 2e-5


@torch.no_grad()
def logits(model: Any) -> torch.Tensor:
    ids = [torch.tensor([helpers.tokenizer()(fact.prompt)["input_ids"]]) for fact in FACTS[:4]]
    return torch.cat([model(input_ids=one).logits[0] for one in ids])


def difference(one: Any, other: Any) -> float:
    return float((logits(one) - logits(other)).abs().max())


def edited(mode: str = "least_squares", family: str = "gpt2") -> DAFNetEdits:
    edits = DAFNetEdits(make(mode, family))
    edits.edit(FACTS[:4])
    return edits


@pytest.mark.parametrize("rank", [None, 2])
@pytest.mark.parametrize("mode", ["least_squares", "consolidated"])
@pytest.mark.parametrize("family", FAMILIES)
def test_the_adapter_differs_from_the_edited_model_by_what_is_reported(
    tmp_path: Path, family: str, mode: str, rank: int | None
) -> None:
    edits = edited(mode, family)
    before = held(edits.editor)
    report = edits.export_peft(tmp_path, rank)
    assert held(edits.editor) == before  # looking changed nothing
    config = json.loads((tmp_path / "adapter_config.json").read_text())
    assert config["target_modules"] == MODULES[family]
    assert report.exact is (rank is None)
    assert report.logit_error is not None
    assert (report.logit_error > 1e-3) is (rank is not None)
    wrapped = peft.PeftModel.from_pretrained(helpers.model(family), str(tmp_path)).eval()
    errors = report.logit_errors
    assert abs(difference(wrapped, edits.editor.model) - errors.unmerged) < LOGIT_ROUNDING
    plain = wrapped.merge_and_unload()
    assert type(plain) is type(edits.editor.model)
    assert abs(difference(plain, edits.editor.model) - errors.merged) < LOGIT_ROUNDING
    originals, weights = edits.editor.weights.originals, edits.editor.weights.parameters
    for adapter, original, weight in zip(report.adapters, originals, weights, strict=True):
        apart = (plain.get_parameter(f"{adapter.name}.weight") - weight).detach()
        assert float(apart.abs().max()) <= adapter.largest_error + 1e-6
        update = weight.detach() - original
        assert float(apart.norm() / update.norm()) == pytest.approx(
            adapter.relative_error, rel=1e-2, abs=1e-5
        )
        assert adapter.rank <= (rank or min(original.shape))
    edited_names, base = edits.editor.parameter_names, helpers.model(family)
    for name, parameter in base.named_parameters():
        assert name in edited_names or torch.equal(plain.get_parameter(name), parameter)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16], ids=str)
@pytest.mark.parametrize("family", FAMILIES)
def test_in_half_precision_the_error_beside_the_weights_is_told(
    tmp_path: Path, family: str, dtype: torch.dtype
) -> None:
    one = helpers.editor(family, dtype, kind="sum", normaliser="layer_norm", edit_lr=-0.5)
    edits = DAFNetEdits(one)
    edits.edit(FACTS[:4])
    errors = edits.export_peft(tmp_path).logit_errors
    assert errors is not None and errors.unmerged > 1e-3
    wrapped = peft.PeftModel.from_pretrained(helpers.model(family, dtype), str(tmp_path)).eval()
    assert difference(wrapped, one.model) == pytest.approx(errors.unmerged, rel=1e-3)
    merged = difference(wrapped.merge_and_unload(), one.model)
    assert merged == pytest.approx(errors.merged, rel=1e-3)
    assert f"{errors.unmerged:.1e} with the adapter" in (tmp_path / "README.md").read_text()


def test_logits_are_compared_in_evaluation_mode_and_in_the_chat_template(tmp_path: Path) -> None:
    one = make("sum")
    one.tokenizer.chat_template = "<end>{{ messages[0]['content'] }}<end>"
    one.edit(FACTS[:1])
    one.use_chat_template = True
    one.edit(FACTS[1:2])
    one.model.train()
    seen: list[list[int]] = []
    one.model.transformer.wte.register_forward_pre_hook(
        lambda _, inputs: seen.append(inputs[0][0].tolist())
    )
    report = DAFNetEdits(one).export_peft(tmp_path)
    assert report.logit_error is not None and report.logit_error < 1e-3  # dropout would show
    assert one.model.training and one.model.transformer.drop.training
    end = one.tokenizer.eos_token_id
    plain, chat = (one.tokenizer(fact.prompt)["input_ids"] for fact in FACTS[:2])
    assert seen == [plain] * 3 + [[end, *chat, end]] * 3


def test_biases_are_exported_too(tmp_path: Path) -> None:
    one = helpers.editor("gpt2", kind="sum", normaliser="layer_norm", edit_bias=True)
    edits = DAFNetEdits(one)
    edits.edit(FACTS[:2])
    report = edits.export_peft(tmp_path)
    assert report.exact and all(adapter.bias.any() for adapter in report.adapters)
    plain = peft.PeftModel.from_pretrained(helpers.model("gpt2"), str(tmp_path)).merge_and_unload()
    error = max(adapter.largest_error for adapter in report.adapters)
    for name, parameter in one.model.named_parameters():
        assert float((plain.get_parameter(name) - parameter).detach().abs().max()) <= error + 1e-6
    assert report.logit_error is not None and report.logit_error < 1e-3


@settings(max_examples=30, deadline=None)
@given(
    shape=st.tuples(st.integers(1, 9), st.integers(1, 9)),
    true_rank=st.integers(1, 9),
    rank=st.one_of(st.none(), st.integers(1, 9)),
    scale=st.sampled_from([1e-6, 1.0, 1e4]),
    seed=st.integers(0, 99),
)
def test_no_approximation_of_that_rank_is_nearer(
    shape: tuple[int, int], true_rank: int, rank: int | None, scale: float, seed: int
) -> None:
    generator = torch.Generator().manual_seed(seed)
    left = torch.randn(shape[0], true_rank, generator=generator)
    update = scale * left @ torch.randn(true_rank, shape[1], generator=generator)
    adapter = _factored("m", update, True, None, rank)
    assert adapter is not None and adapter.rank <= min(rank or 9, *shape, true_rank)
    error = float((adapter.change() - update).norm() / update.norm())
    values = torch.linalg.svdvals(update.double())
    least = float(values[adapter.rank :].norm() / values.norm())
    assert error == pytest.approx(least, rel=1e-3, abs=1e-6)
    assert adapter.relative_error == pytest.approx(error, rel=1e-3, abs=1e-6)
    if rank is None or rank >= min(true_rank, *shape):
        assert adapter.exact


@settings(max_examples=8, deadline=None)
@given(
    family=st.sampled_from(FAMILIES),  # GPT-2 stores [d_in, d_out], Llama [d_out, d_in]
    ranks=st.lists(st.integers(0, 5), min_size=3, max_size=3),
    most=st.one_of(st.none(), st.integers(1, 3)),
    bias=st.booleans(),
    seed=st.integers(0, 99),
)
def test_any_update_goes_through_peft(
    tmp_path_factory: pytest.TempPathFactory,
    family: str,
    ranks: list[int],
    most: int | None,
    bias: bool,
    seed: int,
) -> None:
    folder = tmp_path_factory.mktemp("lora")
    edits = edits_with_any_update(family)
    saved, generator = edits_of_editor(edits.editor, folder), torch.Generator().manual_seed(seed)
    for rank, (name, change) in zip(ranks, [*saved.changes.items()], strict=False):
        left = torch.randn(change.shape[0], rank, generator=generator)
        change.copy_(left @ torch.randn(rank, change.shape[1], generator=generator))
        if bias and family == "gpt2":
            beside = name.replace("weight", "bias")
            saved.changes[beside] = torch.randn(change.shape[1], generator=generator)
    if not any(bool(change.any()) for change in saved.changes.values()):
        with pytest.raises(DataError, match="the update is zero"):
            export_peft(saved, folder, most)
        return
    report = export_peft(saved, folder, most)
    wrapped = peft.PeftModel.from_pretrained(helpers.model(family), str(folder))
    plain, base = wrapped.merge_and_unload(), helpers.model(family)
    errors = {adapter.name: adapter.largest_error for adapter in report.adapters}
    for name, parameter in base.named_parameters():
        expected = parameter + saved.changes.get(name, torch.tensor(0.0))
        allowed = errors.get(name.rpartition(".")[0], 0.0) + 1e-5
        assert float((plain.get_parameter(name) - expected).detach().abs().max()) <= allowed
    rank_of = dict(zip(MODULES[family], ranks, strict=False))
    for adapter in report.adapters:
        assert adapter.rank <= max(1, min(rank_of[adapter.name], most or 9))


def edits_with_any_update(family: str) -> DAFNetEdits:
    edits = DAFNetEdits(make("sum", family))
    edits.edit(FACTS[:1])
    return edits


def test_modules_that_did_not_change_get_no_adapter(tmp_path: Path) -> None:
    edits = edited()
    edits.save(tmp_path)
    saved = read_edits(tmp_path)
    first = f"{MODULES['gpt2'][0]}.weight"
    saved.changes[first].zero_()
    assert [adapter.name for adapter in adapters_of(saved)] == MODULES["gpt2"][1:]
    for change in saved.changes.values():
        change.zero_()
    with pytest.raises(DataError, match="the update is zero"):
        adapters_of(saved)
    with pytest.raises(ConfigError, match="rank: 0; allowed: at least 1"):
        adapters_of(saved, 0)
    with pytest.raises(DataError, match="carries no edits"):
        DAFNetEdits(make("sum")).export_peft(tmp_path)


def test_without_a_model_logits_are_not_claimed(tmp_path: Path) -> None:
    edits = edited()
    edits.editor.model.config._name_or_path = "openai-community/gpt2"
    edits.save(tmp_path / "edits")
    saved = read_edits(tmp_path / "edits")
    assert export_peft(saved, tmp_path / "lora", 1).logit_error is None
    card = (tmp_path / "lora" / "README.md").read_text()
    assert "base_model: openai-community/gpt2" in card and "base_model_relation: adapter" in card
    assert "nearest of its rank" in card and "logit" not in card
    assert "licence holds for what is derived" in card and "license:" not in card
    base = helpers.model("gpt2")
    before = bits(base.state_dict())
    report = export_peft(saved, tmp_path / "lora", 1, base, helpers.tokenizer())
    assert bits(base.state_dict()) == before and report.logit_error
    card = (tmp_path / "lora" / "README.md").read_text()
    merged = f"{report.logit_errors.merged:.1e} merged"
    assert f"Largest error of a logit after the edits' prompts: {merged}" in card


def test_a_directory_is_not_named_as_if_it_were_on_a_hub(tmp_path: Path) -> None:
    edits = edited()
    for name, asked, expected in (
        (str(tmp_path), None, None),
        ("gpt2", None, None),
        ("openai-community/gpt2", None, "openai-community/gpt2"),
        (str(tmp_path), str(tmp_path), str(tmp_path)),
    ):
        edits.editor.model.config._name_or_path = name
        edits.export_peft(tmp_path / "lora", base_model=asked, license="mit")
        config = json.loads((tmp_path / "lora" / "adapter_config.json").read_text())
        assert config["base_model_name_or_path"] == expected
    assert "license: mit" in (tmp_path / "lora" / "README.md").read_text()
    peft.PeftModel.from_pretrained(helpers.model("gpt2"), str(tmp_path / "lora"))
