"""What EasyEdit's EditTrainer asks of DAFNet, without EasyEdit."""

from __future__ import annotations

import itertools
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from dafnet_plugin.easyedit.trainer import DAFNetAlgorithm
from dafnet_plugin.editing.modules import find_edit_modules
from dafnet_plugin.errors import CheckpointError, ConfigError, DataError, NumericalError
from dafnet_plugin.hparams import DAFNetHparams, DAFNetTrainingHparams
from dafnet_plugin.tokens import encode
from dafnet_plugin.training.build import trained_dafnet

from .dafnet_setup import FACTS, MODULES, NETWORK, SENTENCES, load, settings

FAMILIES = ("gpt2", "llama")


def make(
    folders: dict[str, Path], family: str = "gpt2", kind: str = "least_squares", **changes: Any
) -> tuple[DAFNetAlgorithm, Any]:
    model, tokenizer = load(folders[family])
    torch.manual_seed(0)
    values = {**settings(family, kind), **changes}
    return DAFNetAlgorithm(model, DAFNetTrainingHparams.from_dict(values)), tokenizer


def easyedit_batch(tokenizer: Any, side: str = "left", space: str = " ") -> dict[str, Tensor]:
    """The first facts as EasyEdit's data set collates them."""
    tokenizer.padding_side = side
    texts = [f"{prompt} {target}" for prompt, target, _, _ in FACTS]
    batch = tokenizer(texts, return_tensors="pt", padding=True)
    labels = tokenizer([space + fact[1] for fact in FACTS], return_tensors="pt", padding=True)
    ids = labels["input_ids"].masked_fill(labels["attention_mask"] == 0, -100)
    return {
        "input_ids": batch["input_ids"],
        "attention_mask": batch["attention_mask"],
        "labels": ids,
    }


def condition_of(tokenizer: Any) -> dict[str, Tensor]:
    """What EasyEdit's data set passes beside the batch."""
    texts = [f"{truth} >> {target} || {prompt}" for prompt, target, _, truth in FACTS]
    return dict(tokenizer(texts, return_tensors="pt", padding=True))


def variants() -> list[Any]:
    kinds = ("running_mean", "sum", "least_squares")
    networks = itertools.product(("paper", "consistent"), ("paper", "residual"))
    normalisers = ("none", "standardise", "exact_batch_norm", "batch_norm", "layer_norm")
    some = [(k, g, b, "standardise") for k, (g, b) in itertools.product(kinds, networks)]
    return some + [("running_mean", "paper", "paper", name) for name in normalisers]


@pytest.mark.parametrize(("kind", "gate", "block", "normaliser"), variants())
def test_every_outer_parameter_has_a_gradient(
    tiny_models: dict[str, Path], kind: str, gate: str, block: str, normaliser: str
) -> None:
    network = {**NETWORK, "gate": gate, "block": block, "normaliser": normaliser}
    algorithm, tokenizer = make(tiny_models, kind=kind, network=network)
    batch = easyedit_batch(tokenizer)
    algorithm.train()
    edited, info = algorithm.edit(batch)
    loss = algorithm.edit_loss_fn(algorithm.config, edited(**batch), batch["labels"])["nll"]
    gradients = torch.autograd.grad(loss, algorithm.outer_parameters())  # refuses unused ones
    assert all(torch.isfinite(gradient).all() for gradient in gradients)
    assert all(isinstance(value, float) for value in info.values())


@pytest.mark.parametrize("kind", ["running_mean", "least_squares"])
def test_edit_bias(tiny_models: dict[str, Path], kind: str) -> None:
    if kind == "least_squares":
        with pytest.raises(ConfigError, match="edit_bias"):
            make(tiny_models, kind=kind, edit_bias=True)
        return
    algorithm, tokenizer = make(tiny_models, kind=kind, edit_bias=True)
    edited, _ = algorithm.edit(easyedit_batch(tokenizer))
    assert f"{MODULES['gpt2'][0]}.bias" in edited.changed
    with pytest.raises(ConfigError, match=f"no bias in {MODULES['llama'][0]}"):
        make(tiny_models, "llama", kind, edit_bias=True)


def test_the_chat_template_is_refused_where_data_come_tokenised(
    tiny_models: dict[str, Path],
) -> None:
    with pytest.raises(ConfigError, match="use_chat_template: true; allowed: false with EasyEdit"):
        make(tiny_models, use_chat_template=True)


@pytest.mark.parametrize("family", FAMILIES)
def test_padding_side_changes_nothing(tiny_models: dict[str, Path], family: str) -> None:
    algorithm, tokenizer = make(tiny_models, family)
    outcomes = []
    for side in ("left", "right"):
        batch = easyedit_batch(tokenizer, side)
        edited, _ = algorithm.edit(batch)
        losses = [
            algorithm.edit_loss_fn(None, logits, batch["labels"])["nll"]
            for logits in (algorithm(**batch), edited(**batch))
        ]
        outcomes.append(torch.stack(losses))
    torch.testing.assert_close(outcomes[0], outcomes[1])
    assert outcomes[0][1] < outcomes[0][0]  # editing makes the targets likelier


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize(("space", "condition"), [("", True), (" ", True), (" ", False)])
def test_loss_is_that_of_the_texts_own_targets(
    tiny_models: dict[str, Path], family: str, space: str, condition: bool
) -> None:
    algorithm, tokenizer = make(tiny_models, family)
    batch = easyedit_batch(tokenizer, space=space)
    algorithm.edit(batch, condition_of(tokenizer) if condition else None)
    told = algorithm.edit_loss_fn(None, algorithm(**batch), batch["labels"])
    pairs = [(prompt, target) for prompt, target, _, _ in FACTS]
    expected = []
    for labels, text in zip(batch["labels"], encode(tokenizer, pairs), strict=True):
        assert tuple(labels[labels != -100].tolist()) == text.ids[text.target_start :]
        log_probs = algorithm.model(torch.tensor([text.ids])).logits[0].log_softmax(-1)
        ends = range(text.target_start, len(text.ids))
        expected += [-log_probs[at - 1, text.ids[at]] for at in ends]
    torch.testing.assert_close(told["nll"], torch.stack(expected).mean())
    assert int(told["n_tokens"]) == len(expected)


def test_base_model_has_no_dropout_in_training(tiny_models: dict[str, Path]) -> None:
    algorithm, tokenizer = make(tiny_models)
    batch = easyedit_batch(tokenizer)
    still = algorithm(**batch)
    algorithm.train()
    algorithm.model.train()  # as EditTrainer does
    torch.testing.assert_close(algorithm(**batch), still, rtol=0, atol=0)
    assert algorithm.model.training


def test_edit_lrs_are_left_to_their_own_optimiser(tiny_models: dict[str, Path]) -> None:
    algorithm, _ = make(tiny_models)
    assert not any(parameter is algorithm.edit_lrs for parameter in algorithm.outer_parameters())
    algorithm.train()
    assert any(parameter is algorithm.edit_lrs for parameter in algorithm.outer_parameters())


def test_nan_is_an_error(tiny_models: dict[str, Path]) -> None:
    algorithm, tokenizer = make(tiny_models)
    with torch.no_grad():
        algorithm.model.transformer.ln_f.weight[0] = float("nan")
    with pytest.raises(NumericalError, match="loss of an edit is nan"):
        algorithm.edit(easyedit_batch(tokenizer))


def test_text_sets_the_metric_and_comes_back_with_the_state(
    tiny_models: dict[str, Path], tmp_path: Path
) -> None:
    text = tmp_path / "text.txt"
    text.write_text("\n".join(SENTENCES))
    folder = str(tiny_models["gpt2"])
    algorithm, tokenizer = make(tiny_models, text_path=str(text), model_name=folder)
    batch = easyedit_batch(tokenizer)
    algorithm.train()
    edited, _ = algorithm.edit(batch)
    assert not torch.equal(algorithm.dafnet.key_moment_0, torch.eye(128))
    twin, _ = make(tiny_models)
    twin.load_state_dict(algorithm.state_dict())
    again, _ = twin.edit(batch)
    for name, value in edited.changed.items():
        torch.testing.assert_close(again.changed[name], value)
    with pytest.raises(DataError, match=r"nowhere\.txt: cannot be read"):
        make(tiny_models, text_path="nowhere.txt")


# -- the archive of EasyEdit's trainer -------------------------------------------------------------


def archive(folders: dict[str, Path], path: Path, **changes: Any) -> DAFNetHparams:
    algorithm, _ = make(folders, **changes)
    torch.save({"model": algorithm.state_dict(), "opt": {}, "val_stats": {}, "step": 3}, path)
    return DAFNetHparams.from_dict(settings("gpt2", archive=str(path)))


def test_archive_gives_the_same_dafnet(tiny_models: dict[str, Path], tmp_path: Path) -> None:
    hparams = archive(tiny_models, tmp_path / "tiny-gpt2")
    model, _ = load(tiny_models["gpt2"])
    checkpoint = trained_dafnet(hparams, model)
    saved = torch.load(tmp_path / "tiny-gpt2", weights_only=True)["model"]
    for name, value in checkpoint.dafnet.state_dict().items():
        assert torch.equal(value, saved[name]), name
    assert list(checkpoint.edit_modules) == MODULES["gpt2"]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"kind": "running_mean"}, "does not fit `network` and `fusion`.*key_moment_0 is missing"),
        ({"network": {**NETWORK, "ffn_dim": 4}}, r"ffn_in.bias is \(4,\), expected \(8,\)"),
        ({"network": {**NETWORK, "layers": 2}}, "layers.1.*is not expected"),
        (
            {"edit_modules": MODULES["gpt2"][1:]},
            r"trained for 2 modules .*128x32, 32x128; .*h.0.mlp.c_proj \(128x32\)",
        ),
    ],
)
def test_archive_that_does_not_fit(
    tiny_models: dict[str, Path], tmp_path: Path, changes: dict[str, Any], message: str
) -> None:
    hparams = archive(tiny_models, tmp_path / "tiny-gpt2", **changes)
    model, _ = load(tiny_models["gpt2"])
    find_edit_modules(model, hparams.edit_modules)
    with pytest.raises(CheckpointError, match=message):
        trained_dafnet(hparams, model)


class Code:
    """Anything that is not a tensor."""


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (
            {"model": {"mend": torch.zeros(1)}},
            "an archive of EasyEdit's trainer, but not of DAFNet",
        ),
        ({"model": Code()}, "neither a published DAFNet checkpoint nor"),
        (b"text", "neither a published DAFNet checkpoint nor"),
        ({"weights": torch.zeros(1)}, "not a published DAFNet checkpoint"),
    ],
)
def test_file_that_is_something_else(
    tiny_models: dict[str, Path], tmp_path: Path, content: Any, message: str
) -> None:
    path = tmp_path / "file.pt"
    if isinstance(content, bytes):
        path.write_bytes(content)
    else:
        torch.save(content, path)
    model, _ = load(tiny_models["gpt2"])
    with pytest.raises(CheckpointError, match=message):
        trained_dafnet(DAFNetHparams.from_dict(settings("gpt2", archive=str(path))), model)
