"""A whole run: what it draws, what it asks, what it keeps."""

from __future__ import annotations

import os
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
import torch

import dafnet_plugin.training.trainer as trainer_module
from dafnet_plugin.artifacts.checkpoint import load_checkpoint
from dafnet_plugin.cases import EditCase, EditRequest
from dafnet_plugin.editing.objective import Question
from dafnet_plugin.errors import ConfigError, DataError, ModelError, NumericalError
from dafnet_plugin.training.trainer import DAFNetTrainer
from dafnet_plugin.training.validation import Scores
from tests.helpers import FAMILIES, bits, cases, model, training_config

TRAIN, VALIDATION = cases(10), cases(4, "Old ")


@pytest.fixture
def steps(monkeypatch: pytest.MonkeyPatch) -> list[tuple[Any, ...]]:
    """Arguments of every step that is made."""
    seen: list[tuple[Any, ...]] = []
    step = trainer_module.meta_step

    def noted(*args: Any, **kwargs: Any) -> dict[str, float]:
        seen.append(args)
        return step(*args, **kwargs)

    monkeypatch.setattr(trainer_module, "meta_step", noted)
    return seen


def questions(step: tuple[Any, ...]) -> list[Question]:
    return step[4]


@pytest.mark.parametrize("family", FAMILIES)
def test_training_learns_and_leaves_the_base_model_alone(tmp_path: Path, family: str) -> None:
    base = model(family)
    before = bits(base.state_dict())
    config = training_config(tmp_path, family, base, max_iters=40, loss_cases=4, decay_share=0)
    trainer, totals = DAFNetTrainer(config, TRAIN), []
    start = bits(trainer.dafnet.state_dict())
    step = trainer._step
    trainer._step = lambda: totals.append(step()) or totals[-1]  # type: ignore[method-assign, func-returns-value]
    trainer.run()
    assert bits(base.state_dict()) == before
    assert bits(trainer.dafnet.state_dict()) != start
    losses = [step["total"] for step in totals]
    assert sum(losses[-10:]) < 0.9 * sum(losses[:10])


def test_every_sequence_is_drawn_from_one_source(tmp_path: Path, steps: list[Any]) -> None:
    sources = {"first": cases(6), "second": cases(5, "Old "), "third": cases(2, "New ")}
    config = training_config(tmp_path, max_iters=30, curriculum_share=0.0, max_edits=4)
    trainer = DAFNetTrainer(config, sources)
    owners = {tuple(row.tolist()): bank.name for bank in trainer.banks for row in bank.signals[0].x}
    used: Counter[str] = Counter()
    trainer.run()
    for step in steps:
        names = {owners[tuple(row.tolist())] for row in step[3][0].x}
        assert len(names) == 1
        used.update(names)
        if names == {"third"}:
            assert len(step[3][0].tokens_per_edit) <= 2, "longer than the source"
    assert set(used) == set(sources)


def test_edits_of_a_sequence_are_distinct_and_get_longer(tmp_path: Path, steps: list[Any]) -> None:
    config = training_config(tmp_path, max_iters=40, max_edits=8)
    DAFNetTrainer(config, TRAIN).run()
    lengths = [len(step[3][0].tokens_per_edit) for step in steps]
    assert lengths[0] == 1 and max(lengths[:10]) <= 3
    assert max(lengths[20:]) > 3 and max(lengths) <= 8
    for step in steps:
        parts = step[3][0].x.split(step[3][0].tokens_per_edit.tolist())
        assert len({part.numpy().tobytes() for part in parts}) == len(parts)


def test_losses_ask_about_the_cases_of_the_sequence(tmp_path: Path, steps: list[Any]) -> None:
    config = training_config(
        tmp_path, max_iters=6, curriculum_share=0.0, loss_cases=2, cedit=0.5, cgen=2.0, cloc=3.0
    )
    trainer = DAFNetTrainer(config, TRAIN)
    trainer.run()
    tok = trainer.tokenizer
    for step in steps:
        asked = {question.name: question for question in questions(step)}
        assert list(asked) == ["reliability", "generality", "locality"]
        assert [q.weight for q in asked.values()] == [0.5, 2.0, 3.0]
        assert [q.compares for q in asked.values()] == [False, False, True]
        assert all(len(q.batch.input_ids) <= 2 for q in asked.values())
        people = [
            {tok.decode(ids).split()[0] for ids in asked[name].batch.input_ids}
            for name in ("reliability", "generality")
        ]
        assert people[0] == people[1]


def test_a_loss_of_weight_zero_is_not_asked_for(tmp_path: Path, steps: list[Any]) -> None:
    DAFNetTrainer(training_config(tmp_path, max_iters=2, cgen=0.0, cloc=0.0), TRAIN).run()
    assert {q.name for step in steps for q in questions(step)} == {"reliability"}


def test_locality_on_plain_text(tmp_path: Path, steps: list[Any]) -> None:
    path = tmp_path / "text.txt"
    path.write_text("Rome is a town\n\nOslo is a town too\n")
    config = training_config(tmp_path, max_iters=3, ctext=0.25, text_path=str(path))
    trainer = DAFNetTrainer(config, TRAIN)
    assert {trainer.tokenizer.decode(text.ids) for text in trainer.text} == {
        "Rome is a town",
        "Oslo is a town too",
    }
    trainer.run()
    for step in steps:
        (text,) = [q for q in questions(step) if q.name == "text"]
        assert (text.weight, text.compares, len(text.batch.input_ids)) == (0.25, True, 8)
        assert text.batch.scored.sum() == text.batch.attention_mask.sum(), "every token counts"


def test_statistics_are_fixed_before_training(tmp_path: Path) -> None:
    trainer = DAFNetTrainer(training_config(tmp_path, max_iters=3), TRAIN)
    fixed = {
        name: value.clone()
        for name, value in trainer.dafnet.state_dict().items()
        if "key_moment" in name or "normaliser" in name
    }
    assert len(fixed) > 6
    rows = sum(int(signal.tokens_per_edit.sum()) for signal in trainer.banks[0].signals[::2])
    assert int(fixed["networks.64x16.normaliser.k"]) == rows  # modules 0 and 2 share it
    eye = torch.eye(64)
    assert not torch.allclose(fixed["key_moment_0"], eye)
    trainer.run()
    assert bits({n: trainer.dafnet.state_dict()[n] for n in fixed}) == bits(fixed)


def test_the_best_validation_is_what_is_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Scores 0.2, 0.6, 0.4: the second validation wins, at iteration 4."""
    trainer = DAFNetTrainer(
        training_config(tmp_path, max_iters=6, val_interval=2), TRAIN, VALIDATION
    )
    values, states = iter([0.2, 0.6, 0.4]), {}

    def scored(dafnet: Any) -> dict[int, Scores]:
        states[trainer.state.iteration] = bits(dafnet.state_dict())
        value = next(values)
        return {1: Scores(value, value, value), 3: Scores(value, value, value)}

    assert trainer.validation is not None
    monkeypatch.setattr(trainer.validation, "run", scored)
    best = trainer.run()
    assert list(states) == [2, 4, 6]
    assert bits(best.dafnet.state_dict()) == states[4] != states[6]
    assert best.training["iteration"] == 4 and best.training["sources"] == {"train": 10}
    assert [entry["average"] for entry in trainer.state.history] == pytest.approx([0.2, 0.6, 0.4])
    assert best.training["validation"]["3"]["locality"] == 0.6
    assert bits(load_checkpoint(trainer.directory).dafnet.state_dict()) == states[4]


def test_without_validation_the_last_weights_are_kept(tmp_path: Path) -> None:
    trainer = DAFNetTrainer(training_config(tmp_path, max_iters=3), TRAIN)
    best = trainer.run()
    assert bits(best.dafnet.state_dict()) == bits(trainer.dafnet.state_dict())
    assert best.training["validation"] == {} and best.training["iteration"] == 3


def test_without_a_validation_set_some_subjects_are_held_out_if_asked_for(tmp_path: Path) -> None:
    trainer = DAFNetTrainer(training_config(tmp_path, max_iters=2, val_share=0.3), TRAIN)
    assert trainer.validation is not None
    assert (len(trainer.banks[0]), len(trainer.validation.bank)) == (7, 3)
    assert not set(trainer.banks[0].requests) & set(trainer.validation.bank.requests)
    trainer.run()
    assert [entry["iteration"] for entry in trainer.state.history] == [2]
    given = DAFNetTrainer(training_config(tmp_path, val_share=0.3), TRAIN, VALIDATION)
    assert len(given.banks[0]) == 10, "a validation set was given, nothing has to be held out"


def test_the_end_is_validated_even_between_intervals(tmp_path: Path) -> None:
    trainer = DAFNetTrainer(
        training_config(tmp_path, max_iters=5, val_interval=4), TRAIN, VALIDATION
    )
    trainer.run()
    assert [entry["iteration"] for entry in trainer.state.history] == [4, 5]


def test_learning_rate_rises_and_falls(tmp_path: Path) -> None:
    config = training_config(tmp_path, max_iters=10, warmup_iters=2, decay_share=0.5, lr=0.01)
    trainer, rates = DAFNetTrainer(config, TRAIN), []
    step = trainer.optimiser.step
    trainer.optimiser.step = lambda *a: (
        rates.append(  # type: ignore[method-assign]
            trainer.optimiser.param_groups[0]["lr"]
        )
        or step(*a)
    )
    trainer.run()
    shares = [0.5, 1, 1, 1, 1, 1, 0.8, 0.6, 0.4, 0.2]
    assert rates == pytest.approx([0.01 * share for share in shares])


def test_a_step_that_is_not_finite_stops_and_changes_nothing_on_disk_or_in_the_optimiser(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    trainer = DAFNetTrainer(training_config(tmp_path, max_iters=9, checkpoint_interval=2), TRAIN)
    step, held = trainer_module.meta_step, {}

    def poisoned(*args: Any, **kwargs: Any) -> dict[str, float]:
        losses = step(*args, **kwargs)
        if trainer.state.iteration == 5:
            held["weights"] = bits(trainer.dafnet.state_dict())
            held["optimiser"] = moments(trainer)
            held["file"] = trainer._state_path.read_bytes()
            # Finite losses and updates, and yet the network's gradient is not.
            next(trainer.dafnet.networks.parameters()).grad.fill_(torch.nan)  # type: ignore[union-attr]
        return losses

    monkeypatch.setattr(trainer_module, "meta_step", poisoned)
    with pytest.raises(NumericalError, match="diverged"):
        trainer.run()
    assert bits(trainer.dafnet.state_dict()) == held["weights"]
    assert moments(trainer) == held["optimiser"]
    assert trainer._state_path.read_bytes() == held["file"]
    assert all(p.grad is None for p in trainer.dafnet.parameters())


def moments(trainer: DAFNetTrainer) -> list[dict[str, bytes]]:
    return [bits(state) for state in trainer.optimiser.state_dict()["state"].values()]


def test_scalars_are_written_for_tensorboard(tmp_path: Path) -> None:
    pytest.importorskip("tensorboard")
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    config = training_config(tmp_path, max_iters=4, tensorboard=True)
    trainer = DAFNetTrainer(config, TRAIN, VALIDATION)
    trainer.run()
    events = EventAccumulator(str(trainer.directory / "tensorboard"))
    events.Reload()
    tags = set(events.Tags()["scalars"])
    assert {"train/total", "train/locality", "train/longest_sequence"} <= tags
    assert {"validation/1_edits/reliability", "validation/3_edits/locality"} <= tags
    assert [event.step for event in events.Scalars("train/total")] == [1, 2, 3, 4]


@pytest.mark.parametrize(
    ("changes", "train", "error", "message"),
    [
        ({"device": "tpu9"}, TRAIN, ConfigError, "device: 'tpu9'; allowed: cpu"),
        ({"device": "cuda:99"}, TRAIN, ConfigError, "not on this machine"),
        ({"edit_modules": ["transformer.h.9"]}, TRAIN, ModelError, "no module 'transformer.h.9'"),
        ({}, [], DataError, "source 'train' has no case"),
        ({}, {"a": TRAIN, "b": []}, DataError, "source 'b' has no case"),
        ({"text_path": "none.txt"}, TRAIN, DataError, r"none\.txt: cannot be read"),
        ({"ctext": 1.0, "text_path": os.devnull}, TRAIN, DataError, "plain text is read from"),
        ({}, cases(1, "word " * 80), DataError, "context holds 64"),
    ],
)
def test_what_is_wrong_is_said_before_training(
    tmp_path: Path, changes: dict[str, Any], train: Any, error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=message):
        DAFNetTrainer(training_config(tmp_path, **changes), train)


@pytest.mark.parametrize("kind", ["sum", "least_squares"])
def test_a_file_without_text_is_named(tmp_path: Path, kind: str) -> None:
    (tmp_path / "text.txt").write_text("\n")
    path = str(tmp_path / "text.txt")
    config = training_config(tmp_path, ctext=1.0, text_path=path, fusion={"kind": kind})
    with pytest.raises(DataError, match=r"text_path: '.*text\.txt' holds no text"):
        DAFNetTrainer(config, TRAIN)


def test_cases_without_any_true_statement_say_what_is_missing(tmp_path: Path) -> None:
    bare = [EditCase(case.case_id, EditRequest(case.request.prompt, "Rome")) for case in TRAIN]
    with pytest.raises(DataError, match="no ground_truth or locality probe to stand in"):
        DAFNetTrainer(training_config(tmp_path), bare)
    config = training_config(tmp_path, max_iters=2, fusion={"kind": "sum"})
    assert DAFNetTrainer(config, bare).run().training["iteration"] == 2


def test_a_model_that_cannot_be_loaded_or_a_class_that_is_not_there_is_named(
    tmp_path: Path,
) -> None:
    config = training_config(tmp_path)
    config.model_name = str(tmp_path / "no-model")
    with pytest.raises(ConfigError, match=r"model_name: .*no-model.* cannot be loaded"):
        DAFNetTrainer(config, TRAIN)
    config.model_class = "AutoModelForCasualLM"
    with pytest.raises(ConfigError, match="no class 'AutoModelForCasualLM'"):
        DAFNetTrainer(config, TRAIN)
