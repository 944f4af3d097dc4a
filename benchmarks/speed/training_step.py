"""One step of meta-training: its time, and its memory against edits and model size."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch

from benchmarks.resources import MIB
from benchmarks.speed.context import Context
from benchmarks.speed.memory import Peak
from benchmarks.speed.result import Curve, Metric, Outcome, Target, compared, curve
from benchmarks.speed.setting import Setting
from benchmarks.speed.sizes import ModelSize, Sizes
from benchmarks.speed.timing import Sample, Work, side_by_side
from dafnet_plugin.training.step import meta_step

TIMES_FASTER = {1: 3.0, 10: 4.0, 100: 8.0}
"""How many times as fast a step is to be, by its edits."""
GIB_AT_MOST = 4.0
"""Of the process that makes the longest step."""
OURS, PLAIN = "ours", "reference-like"
GROWN_EDITS = 10
"""Edits of a step where the model grows."""


def times(context: Context) -> Outcome:
    """Time of a step, signals included where they are taken anew each time."""
    sizes = context.sizes
    setting = Setting.make(sizes, context.seed)
    metrics, points = [], {name: dict[int, Sample]() for name in (OURS, PLAIN)}
    for edits in sizes.steps:
        works = {name: STEPS[name](setting, edits) for name in (OURS, PLAIN)}
        found = side_by_side(works, sizes.repeats)
        for name, sample in found.items():
            points[name][edits] = sample
        bound = TIMES_FASTER.get(edits)
        metrics.append(
            compared(
                f"training_step_{edits}",
                f"Training step, n = {edits}",
                "s",
                found[OURS],
                found[PLAIN],
                Target("ratio", bound, least=True) if bound else None,
                "signals come from the cache in ours, in the plain version from the model",
            )
        )
    curves = tuple(curve(name, samples) for name, samples in points.items())
    return Outcome(tuple(metrics), {"step_time": curves})


def memory(context: Context) -> Outcome:
    """Peak memory of a step against the number of edits, and against the model's size."""
    sizes = context.sizes
    ours = {n: context.peak(prepare, OURS, n) for n in (*sizes.steps, sizes.long_step)}
    plain = {n: context.peak(prepare, PLAIN, n) for n in sizes.steps}
    grown = {
        name: {_millions(size): context.peak(prepare, name, GROWN_EDITS, size)
               for size in sizes.grown}
        for name in (OURS, PLAIN)
    }  # fmt: skip
    longest = ours[sizes.long_step]
    most = sizes.steps[-1]
    metric = Metric(
        f"training_memory_{sizes.long_step}",
        f"Training step, n = {sizes.long_step}: memory of the process",
        "GiB",
        (longest.whole or longest.extra) / 2**30,
        target=Target("ours", GIB_AT_MOST),
        note=(
            f"one step, {longest.seconds:.1f} s; the plain version was run up to n = {most}, where "
            f"it needs {plain[most].extra / ours[most].extra:.1f} times as much beyond the model"
        ),
    )
    curves = {
        "memory_edits": (_curve(OURS, ours), _curve(PLAIN, plain)),
        "memory_model": tuple(_curve(name, peaks) for name, peaks in grown.items()),
        "long_step": (Curve(OURS, (sizes.long_step,), (longest.seconds,)),),
    }
    return Outcome((metric,), curves)


def prepare(
    sizes: Sizes, seed: int, who: str, edits: int, size: ModelSize | None = None
) -> Callable[[], Any]:
    """A step, with all that it needs; in ours the cached signals are among that."""
    return STEPS[who](Setting.make(sizes, seed, size), edits)


def our_step(setting: Setting, edits: int) -> Work:
    """A step of ours in the published configuration, from cached signals to new weights."""
    dafnet, modules = setting.dafnet().train(), setting.modules()
    cached = setting.signals(setting.facts[:edits], modules, setting.model)
    questions, chosen = setting.questions(edits), torch.arange(edits)
    optimiser = torch.optim.Adam(dafnet.parameters(), 1e-6)

    def step() -> dict[str, float]:
        optimiser.zero_grad()
        signals = [signal.select(chosen) for signal in cached]
        losses = meta_step(setting.model, modules, dafnet, signals, questions)
        torch.nn.utils.clip_grad_norm_(dafnet.parameters(), 100.0)
        optimiser.step()
        return losses

    return step


def plain_step(setting: Setting, edits: int) -> Work:
    """The same step the plain way."""
    reference = setting.reference(setting.dafnet().train())
    batch, questions = setting.batch(setting.facts[:edits]), setting.questions(edits)
    optimiser = torch.optim.Adam(reference.parameters(), 1e-6)

    def step() -> dict[str, float]:
        optimiser.zero_grad()
        losses = reference.training_step(batch, questions)
        torch.nn.utils.clip_grad_norm_(reference.parameters(), 100.0)
        optimiser.step()
        return losses

    return step


STEPS: dict[str, Callable[[Setting, int], Work]] = {OURS: our_step, PLAIN: plain_step}


def _curve(name: str, peaks: dict[Any, Peak]) -> Curve:
    return Curve(name, tuple(peaks), tuple(peak.extra / MIB for peak in peaks.values()))


def _millions(size: ModelSize) -> float:
    """Parameters of a model, about, in two digits."""
    count = 12 * size.layers * size.width**2 + size.vocabulary * size.width
    return float(f"{count / 1e6:.2g}")
