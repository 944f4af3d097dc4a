"""Meta-training of KnowledgeEditor: it learns to edit, keeps to the constraint, and goes on."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from dafnet_plugin.errors import CheckpointError, ConfigError, DataError
from dafnet_plugin.methods.ke.hparams import KEHparams, KETrainingHparams
from dafnet_plugin.methods.ke.method import KEEditor, build_editor
from dafnet_plugin.methods.ke.training import KETrainer
from dafnet_plugin.methods.trainers import trainer_class
from dafnet_plugin.training.trainer import DAFNetTrainer
from tests import helpers
from tests.methods import world
from tests.methods.settings import FAMILIES

LEARNED, HELD_OUT = world.PEOPLE[:9], world.PEOPLE[9:]


def config(folder: Path, family: str = "gpt2", **changes: Any) -> KETrainingHparams:
    values = {
        "model_name": "",
        "edit_modules": world.MATRICES[family],
        "hypernetwork": {"lstm_dim": 16, "summary_dim": 24},
        "results_dir": str(folder),
        "max_iters": 6,
        "accumulate_bs": 2,
        "val_interval": 3,
        "val_edits": [1],
        "checkpoint_interval": 2,
        "warmup_iters": 2,
        "lr": 1e-3,
        "tensorboard": False,
        "silent": True,
        **changes,
    }
    found = KETrainingHparams.from_dict(values)
    found.model_name = (world.model(family), world.tokenizer())
    return found


@pytest.mark.parametrize("family", FAMILIES)
def test_it_learns_to_edit_people_it_was_not_trained_on(family: str, tmp_path: Path) -> None:
    settings = config(tmp_path, family, max_iters=30, accumulate_bs=4, lr=3e-3)
    trainer = KETrainer(settings, world.cases(LEARNED))
    modules = world.MATRICES[family]

    def edited(people: tuple[str, ...], network: Any) -> tuple[float, float]:
        """Share of new homes said, by their paraphrases too, and of old ones kept."""
        of = KEEditor(world.model(family), world.tokenizer(), network, KEHparams("m", modules))
        says, keeps = [], []
        for person in people:
            before = {n: p.clone() for n, p in of.model.state_dict().items()}
            of.edit(world.moves(person))
            new = [world.other_home(person)] * len(world.LIVES)
            found = world.answers(of.model, [t.format(person) for t in world.LIVES])
            says += [a == b for a, b in zip(found, new)]
            rest = [(p, a) for p, a in world.STATEMENTS if person not in p]
            kept = world.answers(of.model, [p for p, _ in rest])
            keeps += [a == b for a, (_, b) in zip(kept, rest)]
            of.model.load_state_dict(before)
        return sum(says) / len(says), sum(keeps) / len(keeps)

    untrained = edited(HELD_OUT, trainer.dafnet)
    checkpoint: Any = trainer.run()
    trained = edited(HELD_OUT, checkpoint.network)
    assert sum(trained) > sum(untrained) and min(trained) > 0.5

    # What it learned is not to touch what is right.
    of = KEEditor(
        world.model(family), world.tokenizer(), checkpoint.network, KEHparams("m", modules)
    )
    right = of.updates([world.EditRequest(LEARNED[0] + " lives in", world.HOMES[LEARNED[0]])])
    wrong = of.updates(world.moves(LEARNED[0]))
    assert all(r.norm() < 0.05 * w.norm() for r, w in zip(right, wrong))


def test_the_multiplier_rises_while_the_constraint_is_broken(tmp_path: Path) -> None:
    section = {"margin": 1e-9, "last_margin": 1e-10, "multiplier_lr": 10.0}
    trainer = KETrainer(config(tmp_path, constraint=section), world.cases())
    multipliers = [trainer._step()["multiplier"] for _ in range(3)]
    assert 1 < multipliers[0] < multipliers[1] < multipliers[2]
    trainer = KETrainer(config(tmp_path, constraint={"margin": 99.0}), world.cases())
    losses = trainer._step()
    assert losses["divergence"] >= 0 and losses["margin"] == 99
    assert losses["multiplier"] == pytest.approx(1e-3)  # never 0


def test_the_margin_falls_when_edits_succeed(tmp_path: Path) -> None:
    section = {"margin": 0.1, "last_margin": 0.07, "fall": 0.8, "success": 0.5}
    trainer = KETrainer(config(tmp_path, constraint=section), world.cases())
    margins = []
    for reached in (0.4, 0.6, 0.0, 0.6):
        trainer.dafnet.success.fill_(reached)
        trainer._observe = lambda losses: None  # type: ignore[method-assign]
        margins.append(trainer._step()["margin"])
    assert margins == pytest.approx([0.1, 0.08, 0.08, 0.07])
    assert trainer.dafnet.success.item() == 0


def test_a_stopped_run_goes_on_as_if_it_had_not_stopped(tmp_path: Path) -> None:
    whole = KETrainer(config(tmp_path / "whole"), world.cases(), world.cases()[:3])
    whole.run()
    stopped = KETrainer(config(tmp_path / "parts"), world.cases(), world.cases()[:3])
    stopped._step = _interrupted(stopped._step, 4)  # type: ignore[method-assign]
    with pytest.raises(RuntimeError, match="killed"):
        stopped.run()
    again = KETrainer(config(tmp_path / "parts"), world.cases(), world.cases()[:3], resume=True)
    assert again.state.iteration == 4
    again.run()
    assert helpers.bits(again.dafnet.state_dict()) == helpers.bits(whole.dafnet.state_dict())
    assert [h["average"] for h in again.state.history] == [
        h["average"] for h in whole.state.history
    ]
    other = config(tmp_path / "parts", constraint={"margin": 0.05})
    with pytest.raises(CheckpointError, match="constraint"):
        KETrainer(other, world.cases(), world.cases()[:3], resume=True)


def _interrupted(step: Any, after: int) -> Any:
    made = 0

    def limited() -> Any:
        nonlocal made
        made += 1
        if made > after:
            raise RuntimeError("killed")
        return step()

    return limited


def test_the_checkpoint_edits(tmp_path: Path) -> None:
    trainer = KETrainer(config(tmp_path, max_edits=3, accumulate_bs=1), world.cases())
    trainer.run()
    assert trainer.directory == tmp_path / "models" / "KE" / "gpt2"
    hparams = KEHparams("m", world.MATRICES["gpt2"], archive=str(trainer.directory))
    of = build_editor(hparams, world.model("gpt2"), world.tokenizer())
    before = world.bits(of.model)
    of.edit(world.moves("Ada"))
    changed = [name for name, value in world.bits(of.model).items() if value != before[name]]
    assert changed == [f"{name}.weight" for name in world.MATRICES["gpt2"]]
    torch.testing.assert_close(of.network.steps, trainer.dafnet.steps)


def test_without_other_predictions_there_is_no_constraint(tmp_path: Path) -> None:
    alone = [replace(case, locality=()) for case in world.cases()]
    with pytest.raises(DataError, match="source 'train': no case has a locality probe"):
        KETrainer(config(tmp_path), alone)


def test_who_trains_what() -> None:
    assert trainer_class("KE") is KETrainer and trainer_class("DAFNET") is DAFNetTrainer
    with pytest.raises(ConfigError, match="'TPATCHER' is not meta-trained"):
        trainer_class("TPATCHER")
