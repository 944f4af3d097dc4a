"""Every benchmark runs, in sizes that take a second."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from benchmarks.speed import meta_training
from benchmarks.speed.context import Context
from benchmarks.speed.floor import Machine, measure_phase
from benchmarks.speed.run import BENCHMARKS
from benchmarks.speed.sizes import SMOKE
from dafnet_plugin.data.base_model import BaseModelReport

LEAST = replace(
    SMOKE, repeats=1, positions=(1, 2, 4), steps=(1, 2), long_step=3, consolidated=2, probe=(64, 8)
)


def context(folder: Path) -> Context:
    return Context(LEAST, 0, 1, folder)


# Those of a training step and of the signal run in the test of the command.
@pytest.mark.parametrize(
    "name",
    ["edits", "batch_edit", "forward", "loss_memory", "editing_memory", "training_memory", "floor"],
)
def test_a_benchmark_finds_numbers(name: str, tmp_path: Path) -> None:
    found = BENCHMARKS[name].run(context(tmp_path))
    assert found.metrics or found.phases
    for metric in found.metrics:
        assert math.isfinite(metric.ours) and metric.ours >= 0
        assert metric.ratio is None or metric.ratio > 0
    for phase in found.phases:
        assert phase.bytes > 0 and phase.floor > 0
        assert phase.operations > 0 or "writing" in phase.name
    for curves in (found.curves or {}).values():
        assert all(len(curve.x) == len(curve.y) > 0 for curve in curves)


def test_a_product_moves_three_matrices_and_computes_one() -> None:
    a, b = torch.ones(8, 4), torch.ones(4, 2)
    phase = measure_phase("product", lambda: a @ b, Machine(1e9, 1e9), 1)
    assert (phase.bytes, phase.operations) == (4 * (32 + 8 + 16), 128)
    assert phase.calls == 1 and phase.most[0][0] == "mm"
    assert phase.over_floor == phase.seconds / (4 * 56 / 1e9)


def test_quality_is_that_of_the_benchmark_at_each_length() -> None:
    assert meta_training.good({1: 0.98, 10: 0.97, 100: 0.94})
    assert not meta_training.good({1: 0.98, 10: 0.97, 100: 0.93})


def test_meta_training_is_as_shipped_but_for_where_and_how_often_it_is_judged(
    tmp_path: Path,
) -> None:
    report = BaseModelReport("gpt2", "DIR", 1.0, True, 1, 1, 1, 1, 1.0, 1, "cpu", True)
    full = Context(replace(SMOKE, iterations=0), 0, 1, tmp_path)
    shipped = meta_training.DAFNetTrainingHparams.read(meta_training.HPARAMS)
    config = meta_training._config(full, report)
    changed = {name for name, value in vars(config).items() if value != getattr(shipped, name)}
    assert changed <= {
        "model_name", "tokenizer_name", "results_dir", "threads", "val_interval", "val_edits",
        "val_cases", "checkpoint_interval", "tensorboard", "silent", "given",
    }  # fmt: skip
    assert config.val_interval * meta_training.CHECKS <= (config.max_iters or 0)
