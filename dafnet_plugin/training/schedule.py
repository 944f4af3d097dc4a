"""How far a training run has come, and the learning rate there."""

from __future__ import annotations

import torch

from dafnet_plugin.hparams import DAFNetTrainingHparams


def progress(config: DAFNetTrainingHparams, iteration: int, seconds: float, epoch: int) -> float:
    """Share of training done: by the clock if ``max_seconds`` is set, else by iterations.

    Args:
        iteration: steps made.
        seconds: spent so far.
        epoch: iterations of an epoch.
    """
    shares = [0.0]
    if config.max_seconds:
        shares.append(seconds / config.max_seconds)
    limits = [config.max_iters] if config.max_iters else []
    if config.max_epochs:
        limits.append(config.max_epochs * epoch)
    if limits:
        shares.append(iteration / min(limits))
    return min(1.0, max(shares))


def set_learning_rates(
    optimiser: torch.optim.Optimizer,
    config: DAFNetTrainingHparams,
    iteration: int,
    done: float,
) -> None:
    """Set each group's rate: a share of its ``peak`` that rises at first and falls at the end.

    Args:
        iteration: steps made.
        done: share of training done.
    """
    rise = min(1.0, (iteration + 1) / max(config.warmup_iters, 1))
    fall = min(1.0, (1 - done) / config.decay_share) if config.decay_share else 1.0
    for group in optimiser.param_groups:
        group["lr"] = group["peak"] * rise * fall
