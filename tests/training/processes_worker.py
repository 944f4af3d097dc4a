"""One of several processes that train together: what each of them ends with, for the tests.

Called by ``accelerate launch processes_worker.py FOLDER``; writes ``FOLDER/<index>.json``.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import torch

import dafnet_plugin.training.trainer as trainer_module
from dafnet_plugin.errors import ConfigError, NumericalError
from dafnet_plugin.training.trainer import DAFNetTrainer
from tests.helpers import cases, training_config

SETTINGS: dict[str, dict[str, Any]] = {
    "ramp": {"accumulate_bs": 2},
    "plateau": {"accumulate_bs": 4, "curriculum": "plateau", "increase_after": 1},
}


def make(folder: Path, resume: bool = False, **changes: Any) -> DAFNetTrainer:
    """A trainer of a few steps."""
    settings = {"max_iters": 6, "val_interval": 3, "device": "cpu", "threads": 1, **changes}
    sources = {"first": cases(6), "second": cases(5, "New ")}
    config = training_config(folder, **settings)
    return DAFNetTrainer(config, sources, cases(4, "Old "), resume=resume)


def curve(trainer: DAFNetTrainer) -> dict[str, Any]:
    """Losses of every step, and where the network ends."""
    losses: list[dict[str, float]] = []
    step = trainer._step

    def noted() -> dict[str, float]:
        losses.append(step())
        return losses[-1]

    trainer._step = noted  # type: ignore[method-assign]
    trainer.run()
    weights = torch.cat([p.detach().flatten() for p in trainer.dafnet.parameters()])
    return {
        "losses": losses,
        "history": trainer.state.history,
        "weights": weights.tolist(),
        "longest": trainer.curriculum.longest,
        "random": trainer.generator.get_state().tolist(),
    }


def stopped(folder: Path, index: int) -> dict[str, Any]:
    """One process is asked to stop; all do, and go on from there."""
    trainer = make(folder, **SETTINGS["ramp"])
    step, interrupt = trainer._step, trainer_module.deferred_interrupt

    def asked_here() -> Any:
        context = interrupt()
        found = context.__enter__()
        found.asked = index == trainer.processes.count - 1
        return _Entered(found, context)

    trainer_module.deferred_interrupt = asked_here  # type: ignore[assignment]
    try:
        trainer.run()
    except KeyboardInterrupt:
        reached = trainer.state.iteration
    finally:
        trainer_module.deferred_interrupt = interrupt
        trainer._step = step  # type: ignore[method-assign]
    trainer.processes.wait()
    return {"reached": reached, **curve(make(folder, True, **SETTINGS["ramp"]))}


class _Entered:
    def __init__(self, value: Any, context: Any) -> None:
        self.value, self.context = value, context

    def __enter__(self) -> Any:
        return self.value

    def __exit__(self, *reason: Any) -> Any:
        return self.context.__exit__(*reason)


def said(error: type[Exception], act: Any) -> str | None:
    """What an error says, None without one."""
    try:
        act()
    except error as problem:
        return str(problem)
    return None


def diverged(folder: Path, index: int) -> str | None:
    """What is said where a loss is not finite in one process."""
    trainer = make(folder, **SETTINGS["ramp"])
    step = trainer_module.meta_step

    def poisoned(*args: Any, **kwargs: Any) -> dict[str, float]:
        if index == trainer.processes.count - 1:
            raise NumericalError("not finite here")
        return step(*args, **kwargs)

    trainer_module.meta_step = poisoned
    try:
        return said(NumericalError, trainer.run)
    finally:
        trainer_module.meta_step = step


def main(folder: Path) -> None:
    """Do everything, in the same order in all processes."""
    trainer = make(folder / "first", **SETTINGS["ramp"])
    index, count = trainer.processes.index, trainer.processes.count
    found: dict[str, Any] = {"count": count, "index": index}
    for name, settings in SETTINGS.items():
        found[name] = curve(make(folder / name, **settings))
    found["stopped"] = stopped(folder / "stopped", index)
    found["diverged"] = diverged(folder / "diverged", index)
    found["uneven"] = said(ConfigError, lambda: make(folder / "uneven", accumulate_bs=3))
    save_state = trainer_module.save_state
    written: list[Path] = []
    trainer_module.save_state = lambda trainer, path: written.append(path)
    make(folder / "first", **SETTINGS["ramp"]).run()
    trainer_module.save_state = save_state
    found["wrote"] = len(written)
    apart = lambda: make(folder / f"apart-{index}", **SETTINGS["ramp"])  # noqa: E731
    found["apart"] = said(ConfigError, apart)
    (folder / f"{index}.json").write_text(json.dumps(found))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
