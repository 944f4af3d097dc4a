"""Stopped anywhere and gone on with, a run ends with the bits of one that was never stopped."""

from __future__ import annotations

import errno
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch

import dafnet_plugin.training.trainer as trainer_module
from dafnet_plugin.errors import CheckpointError
from dafnet_plugin.training.interrupt import deferred_interrupt
from dafnet_plugin.training.trainer import DAFNetTrainer
from tests.helpers import bits, cases, training_config

SOURCES = {"first": cases(6), "second": cases(5, "New ")}
VALIDATION = cases(4, "Old ")
ROOT = Path(__file__).resolve().parents[2]
VARIANTS: dict[str, dict[str, Any]] = {
    "default": {},
    "plateau": {"curriculum": "plateau", "increase_after": 1, "accumulate_bs": 2},
    "running_mean": {
        "fusion": {"kind": "running_mean"},
        "network": {"normaliser": "exact_batch_norm", "gate": "paper", "block": "paper"},
        "opt": "AdamW",
    },
}


def make(folder: Path, resume: bool = False, **changes: Any) -> DAFNetTrainer:
    settings = {"max_iters": 10, "val_interval": 3, "checkpoint_interval": 2, **changes}
    return DAFNetTrainer(training_config(folder, **settings), SOURCES, VALIDATION, resume=resume)


def result(trainer: DAFNetTrainer) -> dict[str, Any]:
    """What has to be equal: the last weights, the best ones, the scores and the random state."""
    return {
        "last": bits(trainer.dafnet.state_dict()),
        "best": (trainer.directory / "dafnet.safetensors").read_bytes(),
        "history": trainer.state.history,
        "random": trainer.generator.get_state().tolist(),
        "longest": trainer.curriculum.longest,
    }


@pytest.fixture(scope="module")
def uninterrupted(tmp_path_factory: pytest.TempPathFactory) -> dict[str, dict[str, Any]]:
    results = {}
    for name, changes in VARIANTS.items():
        trainer = make(tmp_path_factory.mktemp(name), **changes)
        trainer.run()
        results[name] = result(trainer)
    return results


def test_the_same_seed_gives_the_same_bytes_and_another_seed_does_not(
    tmp_path: Path, uninterrupted: dict[str, Any]
) -> None:
    again, other = make(tmp_path / "again"), make(tmp_path / "other", seed=7)
    for trainer in (again, other):
        trainer.run()
    assert result(again) == uninterrupted["default"]
    assert result(other)["last"] != uninterrupted["default"]["last"]


class Cut:
    """Stands for a function and raises instead at one call, before or after doing its work."""

    def __init__(self, function: Any, at: int, after: bool, error: BaseException) -> None:
        self.function, self.left, self.after, self.error = function, at, after, error

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        self.left -= 1
        if self.left == 0 and not self.after:
            raise self.error
        value = self.function(*args, **kwargs)
        if self.left == 0:
            raise self.error
        return value


@pytest.mark.parametrize(("at", "after"), [(1, False), (4, True), (7, False)])
@pytest.mark.parametrize("variant", VARIANTS)
def test_a_run_cut_in_the_middle_of_a_step_goes_on_as_if_it_had_not_been(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    uninterrupted: dict[str, Any],
    variant: str,
    after: bool,
    at: int,
) -> None:
    with monkeypatch.context() as patch:
        cut = Cut(trainer_module.meta_step, at, after, KeyboardInterrupt())
        patch.setattr(trainer_module, "meta_step", cut)
        with pytest.raises(KeyboardInterrupt):
            make(tmp_path, **VARIANTS[variant]).run()
    resumed = make(tmp_path, resume=True, **VARIANTS[variant])
    assert resumed.state.iteration < at
    resumed.run()
    assert result(resumed) == uninterrupted[variant]


@pytest.mark.parametrize("place", ["optimiser", "validation"])
def test_a_run_cut_elsewhere_goes_on_too(
    tmp_path: Path, uninterrupted: dict[str, Any], place: str
) -> None:
    trainer = make(tmp_path)
    owner, name = {
        "optimiser": (trainer.optimiser, "step"),
        "validation": (trainer.validation, "run"),
    }[place]
    setattr(owner, name, Cut(getattr(owner, name), 2, True, KeyboardInterrupt()))
    with pytest.raises(KeyboardInterrupt):
        trainer.run()
    resumed = make(tmp_path, resume=True)
    resumed.run()
    assert result(resumed) == uninterrupted["default"]


@pytest.mark.parametrize("variant", VARIANTS)
def test_ctrl_c_ends_the_step_saves_and_goes_on_from_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, uninterrupted: dict[str, Any], variant: str
) -> None:
    trainer = make(tmp_path, **VARIANTS[variant])
    step, handler = trainer_module.meta_step, signal.getsignal(signal.SIGINT)
    sent: list[bool] = []

    def interrupted(*args: Any, **kwargs: Any) -> dict[str, float]:
        if trainer.state.iteration == 4 and not sent:
            sent.append(True)
            os.kill(os.getpid(), signal.SIGINT)
        return step(*args, **kwargs)

    with monkeypatch.context() as patch:
        patch.setattr(trainer_module, "meta_step", interrupted)
        with pytest.raises(KeyboardInterrupt):
            trainer.run()
    assert trainer.state.iteration == 5, "the step in progress was not finished"
    assert signal.getsignal(signal.SIGINT) is handler
    resumed = make(tmp_path, resume=True, **VARIANTS[variant])
    assert resumed.state.iteration == 5, "work was lost"
    resumed.run()
    assert result(resumed) == uninterrupted[variant]


@pytest.fixture
def heeded() -> Iterator[None]:
    """Ctrl-C is; a shell starts what it runs in the background with it ignored."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.mark.usefixtures("heeded")
def test_a_second_ctrl_c_stops_at_once() -> None:
    with pytest.raises(KeyboardInterrupt), deferred_interrupt() as interrupt:
        os.kill(os.getpid(), signal.SIGINT)
        time.sleep(0.01)
        assert interrupt.asked
        os.kill(os.getpid(), signal.SIGINT)
        time.sleep(1)
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


def test_training_works_outside_the_main_thread(
    tmp_path: Path, uninterrupted: dict[str, Any]
) -> None:
    trainer = make(tmp_path)
    thread = threading.Thread(target=trainer.run)
    thread.start()
    thread.join()
    assert result(trainer) == uninterrupted["default"]


KILLED = """
import os, signal, sys
from collections.abc import Iterator
from pathlib import Path
import dafnet_plugin.training.trainer as trainer_module
from tests.training.test_resume import make

trainer = make(Path(sys.argv[1]))
step = trainer_module.meta_step

def killed(*args, **kwargs):
    losses = step(*args, **kwargs)
    if trainer.state.iteration == 7:
        os.kill(os.getpid(), signal.SIGKILL)
    return losses

trainer_module.meta_step = killed
trainer.run()
"""


def test_a_killed_process_goes_on_as_if_it_had_not_been(
    tmp_path: Path, uninterrupted: dict[str, Any]
) -> None:
    done = subprocess.run(
        [sys.executable, "-c", KILLED, str(tmp_path)],
        cwd=ROOT,
        env=os.environ | {"OMP_NUM_THREADS": str(torch.get_num_threads())},
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == -signal.SIGKILL, done.stderr
    resumed = make(tmp_path, resume=True)
    assert resumed.state.iteration == 6
    resumed.run()
    assert result(resumed) == uninterrupted["default"]


def test_a_finished_run_that_is_resumed_changes_nothing(
    tmp_path: Path, uninterrupted: dict[str, Any]
) -> None:
    make(tmp_path).run()
    resumed = make(tmp_path, resume=True)
    resumed.run()
    assert resumed.state.iteration == 10
    assert result(resumed) == uninterrupted["default"]


def test_without_resume_a_run_starts_anew(tmp_path: Path, uninterrupted: dict[str, Any]) -> None:
    make(tmp_path, seed=9).run()
    trainer = make(tmp_path)
    assert trainer.state.iteration == 0
    trainer.run()
    assert result(trainer) == uninterrupted["default"]


def test_another_config_is_refused_with_the_keys_that_differ(tmp_path: Path) -> None:
    make(tmp_path, max_iters=2).run()
    with pytest.raises(CheckpointError) as caught:
        make(tmp_path, resume=True, max_iters=3, lr=0.5, network={"layers": 1})
    message = str(caught.value)
    assert "max_iters (2 then, 3 now)" in message and "lr (0.01 then, 0.5 now)" in message
    assert "differing keys: lr (" in message and "network (" in message
    assert "seed" not in message and "without --resume" in message


def test_other_cases_are_refused(tmp_path: Path) -> None:
    make(tmp_path, max_iters=2).run()
    config = training_config(tmp_path, max_iters=2, val_interval=3, checkpoint_interval=2)
    with pytest.raises(
        CheckpointError, match=r"cases \(.*'second': '5 cases.* then, .*'second': '4 cases.* now"
    ):
        DAFNetTrainer(config, SOURCES | {"second": cases(4)}, VALIDATION, resume=True)


@pytest.mark.parametrize("damage", ["cut", "empty", "garbage"])
def test_a_damaged_state_is_named(tmp_path: Path, damage: str) -> None:
    trainer = make(tmp_path, max_iters=2)
    trainer.run()
    path = trainer.directory / "training-state.pt"
    data = path.read_bytes()
    new = {"cut": data[: len(data) // 2], "empty": b"", "garbage": b"\xff" * 500}
    path.write_bytes(new[damage])
    with pytest.raises(CheckpointError, match=r"training-state\.pt: damaged training state"):
        make(tmp_path, resume=True, max_iters=2)


def test_a_full_disk_leaves_the_state_saved_last(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, uninterrupted: dict[str, Any]
) -> None:
    save, writes = torch.save, []

    def full(data: Any, path: Path) -> None:
        writes.append(path)
        if len(writes) < 3:
            return save(data, path)
        save(data, path)
        with open(path, "r+b") as file:
            file.truncate(1000)
        raise OSError(errno.ENOSPC, "No space left on device")

    trainer = make(tmp_path)
    with monkeypatch.context() as patch:
        patch.setattr(torch, "save", full)
        with pytest.raises(OSError, match="No space left"):
            trainer.run()
    assert len(writes) == 3 and not any(path.exists() for path in writes)
    resumed = make(tmp_path, resume=True)
    assert resumed.state.iteration == 4
    resumed.run()
    assert result(resumed) == uninterrupted["default"]
