"""The executor by itself: whose memory is whose, and what a user can get wrong."""

from __future__ import annotations

import gc
import weakref
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from dafnet_plugin.artifacts.checkpoint import load_checkpoint, save_checkpoint
from dafnet_plugin.easyedit.executor import DAFNetExecutor
from dafnet_plugin.editing.weights_copy import WeightsCopy
from dafnet_plugin.errors import CheckpointError, ConfigError, DataError, ModelError, NumericalError
from dafnet_plugin.hparams import DAFNetHparams
from dafnet_plugin.training.text import encode_texts

from .dafnet_setup import (
    FACTS,
    MODULES,
    SENTENCES,
    changed,
    load,
    same,
    settings,
    weights,
    write_checkpoint,
)

REQUESTS = [{"prompt": prompt, "target_new": target} for prompt, target, _, _ in FACTS]


class Setup:
    """A tiny GPT-2, a checkpoint for it and an executor."""

    def __init__(self, folder: Path, archive: Path) -> None:
        self.folder, self.archive = folder, archive
        self.values = settings("gpt2", archive=str(archive))
        self.hparams = DAFNetHparams.from_dict(self.values)
        self.executor = DAFNetExecutor(always_return_weights=True)
        self.model, self.tokenizer = load(folder)

    def edit(self, *numbers: int, model: Any = None, **changes: Any) -> Any:
        """Edit some facts in one call; returns the weights copy."""
        hparams = DAFNetHparams.from_dict({**self.values, **changes})
        requests = [REQUESTS[number] for number in numbers]
        return self.executor.apply_to_model(model or self.model, self.tokenizer, requests, hparams)[
            1
        ]

    def fresh(self, *numbers: int) -> Any:
        """Another model with these facts edited one by one."""
        model, _ = load(self.folder)
        for number in numbers:
            self.edit(number, model=model)
        return model


@pytest.fixture
def setup(tiny_models: dict[str, Path], tmp_path: Path) -> Setup:
    """Everything needed to edit."""
    folder = tiny_models["gpt2"]
    return Setup(folder, write_checkpoint(tmp_path / "dafnet", folder, settings("gpt2")))


def test_weights_are_returned_to_whoever_will_restore(setup: Setup) -> None:
    executor = DAFNetExecutor(always_return_weights=False)
    arguments = (setup.model, setup.tokenizer, REQUESTS[0], setup.hparams)
    assert executor.apply_to_model(*arguments)[1] == {}
    before = executor.apply_to_model(*arguments, keep_original_weight=True)[1]
    assert isinstance(before, WeightsCopy) and len(before) == 3
    assert setup.executor.apply_to_model(*arguments, return_orig_weights=False)[1] == {}


def test_no_request_changes_nothing(setup: Setup) -> None:
    before = weights(setup.model)
    setup.edit()
    assert changed(before, setup.model) == []


def test_calling_the_weights_copy_goes_back_with_the_memory(setup: Setup) -> None:
    setup.edit(0)
    setup.edit(1)()
    setup.edit(2)
    assert same(setup.model, setup.fresh(0, 2))


def test_a_model_trained_further_is_taken_as_it_is(setup: Setup) -> None:
    setup.edit(0)()
    with torch.no_grad():
        for name in MODULES["gpt2"]:
            setup.model.get_parameter(f"{name}.weight").mul_(1.1)
    before = weights(setup.model)
    setup.edit(0)()
    assert changed(before, setup.model) == []


@pytest.mark.parametrize("carries", [False, True])
def test_a_model_in_another_precision(setup: Setup, carries: bool) -> None:
    back = setup.edit(0)
    if carries:
        setup.model.bfloat16()
        with pytest.raises(ModelError, match="changed by something else"):
            setup.edit(1)
        return
    back()
    setup.model.bfloat16()
    setup.edit(1)
    assert setup.model.get_parameter(f"{MODULES['gpt2'][0]}.weight").dtype is torch.bfloat16


@pytest.fixture
def with_text(setup: Setup) -> Setup:
    """The same with a checkpoint that has text to be preserved; the first three edits are due."""
    old = load_checkpoint(setup.archive)
    texts = encode_texts(setup.tokenizer, SENTENCES, 1000, None)
    save_checkpoint(replace(old, replay=tuple(texts)), setup.archive)
    setup.values["consolidation"] = {"start": 3, "growth": 9.0, "steps": 2}
    return setup


def test_weights_copied_back_undo_consolidation_too(with_text: Setup) -> None:
    never = {"consolidation": {"start": 0}}
    plain, _ = load(with_text.folder)
    for number in (0, 1, 2):
        with_text.edit(number, model=plain, **never)
    for number in (0, 1):
        with_text.edit(number)
    before = weights(with_text.model)
    back = with_text.edit(2)
    assert not same(with_text.model, plain)
    with torch.no_grad():  # as EasyEdit does without sequential_edit
        for name, value in back.items():
            with_text.model.get_parameter(name)[...] = value
    assert changed(before, with_text.model) == []
    with_text.edit(2)
    assert same(with_text.model, with_text.fresh(0, 1, 2))


def test_consolidation_may_be_switched_on_and_off_between_edits(with_text: Setup) -> None:
    never = {"consolidation": {"start": 0}}
    one, other = with_text.fresh(0, 1), with_text.fresh(0, 1)
    plain, _ = load(with_text.folder)
    for number in (0, 1, 2):
        with_text.edit(number, model=plain, **never)
    with_text.edit(2, model=one, **never)
    assert same(one, plain)
    with_text.edit(2, model=other)
    assert not same(other, plain)


def test_replaced_parameters_are_followed(setup: Setup) -> None:
    setup.edit(0)
    for name in MODULES["gpt2"]:
        module = setup.model.get_submodule(name)
        module.weight = torch.nn.Parameter(module.weight.detach().clone())
    setup.edit(1)
    assert same(setup.model, setup.fresh(0, 1))


def test_memory_ends_with_the_model(setup: Setup) -> None:
    model = setup.fresh(0)
    copy = setup.edit(1, model=model)
    alive = weakref.ref(model)
    del model
    gc.collect()
    assert alive() is None
    assert len(setup.executor._held) == 0
    del copy


def test_a_rewritten_archive_is_taken_up_between_sequences(setup: Setup) -> None:
    back = setup.edit(0)
    first = weights(setup.model)
    values = settings("gpt2", fusion={"kind": "least_squares", "edit_lr": -0.5})
    write_checkpoint(setup.archive, setup.folder, values)
    # A sequence ends with the DAFNet it began with.
    setup.edit(1)()
    assert changed(first, setup.model) == []
    back()
    setup.edit(0)
    assert changed(first, setup.model) != []


def test_two_archives_do_not_mix(setup: Setup, tmp_path: Path) -> None:
    other = write_checkpoint(tmp_path / "other", setup.folder, settings("gpt2", "sum"))
    back = setup.edit(0)
    before = weights(setup.model)
    with pytest.raises(ModelError, match=r"carries 1 DAFNet edits made with archive .*dafnet on"):
        setup.edit(1, archive=str(other), fusion={"kind": "sum"})
    assert changed(before, setup.model) == []
    back()
    with pytest.raises(ConfigError, match=r"fusion\.kind: 'least_squares'; trained with 'sum'"):
        setup.edit(1, archive=str(other))
    setup.edit(1, archive=str(other), fusion={"kind": "sum"})


def test_tokenizer_without_pad_token(setup: Setup) -> None:
    setup.tokenizer.pad_token = None
    setup.edit(0, 1)
    assert same(setup.model, setup.fresh()) is False
    setup.tokenizer.eos_token = None
    before = weights(setup.model)
    with pytest.raises(ModelError, match=r"set tokenizer\.pad_token"):
        setup.edit(2)
    assert changed(before, setup.model) == []


def test_nan_in_a_weight_that_is_not_edited(setup: Setup) -> None:
    setup.edit(0)
    with torch.no_grad():
        setup.model.transformer.ln_f.weight[0] = float("nan")
    before = weights(setup.model)
    with pytest.raises(NumericalError, match="loss of an edit is nan"):
        setup.edit(1)
    assert set(changed(before, setup.model)) <= {"transformer.ln_f.weight"}  # NaN is not itself


@pytest.mark.parametrize(
    ("request_", "message"),
    [
        ({"prompt": "A " * 200, "target_new": "B"}, "context holds 128"),
        ({"prompt": "A", "target_new": ""}, "target_new is ''"),
        ({"prompt": "A"}, "lacks target_new"),
        ("A", "allowed: a mapping"),
    ],
)
def test_bad_requests_change_nothing(setup: Setup, request_: Any, message: str) -> None:
    setup.edit(0)
    before = weights(setup.model)
    with pytest.raises(DataError, match=message):
        setup.executor.apply_to_model(
            setup.model, setup.tokenizer, [REQUESTS[1], request_], setup.hparams
        )
    assert changed(before, setup.model) == []
    setup.edit(2)
    assert same(setup.model, setup.fresh(0, 2))


@pytest.mark.parametrize(
    ("changes", "error", "message"),
    [
        ({"archive": None}, ConfigError, "a trained DAFNet is needed"),
        ({"archive": "nowhere"}, CheckpointError, "nowhere: no DAFNet checkpoint"),
        (
            {"edit_modules": ["transformer.h.0.mlp.c_pro"]},
            ModelError,
            r"GPT2LMHeadModel: no module .* \(did you mean 'transformer.h.0.mlp.c_proj'\?\)",
        ),
        ({"edit_modules": ["transformer.ln_f"]}, ModelError, "is a LayerNorm, not a linear module"),
        ({"edit_modules": MODULES["gpt2"][1:]}, CheckpointError, "trained for the modules"),
    ],
)
def test_wrong_hyper_parameters(
    setup: Setup, changes: dict[str, Any], error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=message):
        setup.edit(0, **changes)


def test_an_archive_for_a_wider_model(setup: Setup) -> None:
    from transformers import AutoModelForCausalLM

    config = setup.model.config
    config.n_inner = 64
    with pytest.raises(CheckpointError) as caught:
        setup.edit(0, model=AutoModelForCausalLM.from_config(config))
    for shape in ("(64, 32), the checkpoint has (128, 32)", "(32, 64), the checkpoint has"):
        assert shape in str(caught.value)
    assert MODULES["gpt2"][0] in str(caught.value)
