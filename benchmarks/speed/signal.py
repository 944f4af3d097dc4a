"""The gradient signal beside the least it can cost: a forward pass and the backward pass on top."""

from __future__ import annotations

from collections.abc import Mapping

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from benchmarks.speed.context import Context
from benchmarks.speed.counting import backward_passes, operations
from benchmarks.speed.result import Metric, Outcome, Target, compared
from benchmarks.speed.setting import Setting
from benchmarks.speed.timing import Work, side_by_side
from dafnet_plugin.editing.modules import EditModule, evaluation_mode, frozen
from dafnet_plugin.editing.scoring import scored_labels, scored_logits
from dafnet_plugin.editing.signals import capture_batch
from dafnet_plugin.tokens import TokenBatch

AT_MOST = 1.2
"""Times the least."""


def signal(context: Context) -> Outcome:
    """Time beside the least; backward passes, gradients of weights and operations counted."""
    setting = Setting.make(context.sizes, context.seed)
    batch = setting.batch(setting.facts[: context.sizes.texts])
    model, modules = setting.model, setting.modules()
    reference = setting.reference(setting.dafnet())
    works = {
        "least": lambda: least(model, modules[0], batch),
        "ours": lambda: capture_batch(model, modules, batch),
        "reference-like": lambda: reference.signals(batch),
    }
    found = side_by_side(works, 3 * context.sizes.repeats)
    counts = {name: operations(work) for name, work in works.items()}
    metrics = [
        compared(
            "signal",
            "Gradient signal",
            "x forward and top-layer backward",
            found["ours"].over(found["least"]),
            found["reference-like"].over(found["least"]),
            Target("ours", AT_MOST),
            f"{len(batch.labels)} edits at once",
        ),
        Metric(
            "signal_operations",
            "Gradient signal: operations",
            "x forward and top-layer backward",
            counts["ours"] / counts["least"],
            counts["reference-like"] / counts["least"],
            counts["reference-like"] / counts["ours"],
            Target("ours", 1.0),
            note="floating-point operations of matrix products, counted",
            counted=True,
        ),
    ]
    reached = {
        "ours": weight_gradients(model, works["ours"]),
        "reference-like": weight_gradients(reference.original, works["reference-like"]),
    }
    metrics += [
        _count("signal_backward_passes", "backward passes", "passes", 1, passes(works)),
        _count("signal_weight_gradients", "gradients of weights", "weights", 0, reached),
    ]
    return Outcome(tuple(metrics))


def _count(name: str, what: str, unit: str, most: int, values: Mapping[str, int]) -> Metric:
    ours, plain = values["ours"], values["reference-like"]
    title, target = f"Gradient signal: {what}", Target("ours", most)
    return Metric(name, title, unit, ours, plain, target=target, note="counted", counted=True)


def least(model: nn.Module, first: EditModule, batch: TokenBatch) -> Tensor:
    """A forward pass and the backward pass down to the output of the first edited module.

    Nothing less gives all signals: those of later modules pass by on the way.
    """
    cut: list[Tensor] = []

    def leaf(_: nn.Module, __: tuple[Tensor, ...], output: Tensor) -> Tensor:
        cut.append(output.detach().requires_grad_())
        return cut[0]

    with frozen(model), evaluation_mode(model), torch.enable_grad():
        hook = first.module.register_forward_hook(leaf)
        try:
            logits = scored_logits(model, batch)
        finally:
            hook.remove()
        loss = F.cross_entropy(logits, scored_labels(batch), reduction="sum")
        return torch.autograd.grad(loss, cut)[0]


def passes(works: Mapping[str, Work]) -> dict[str, int]:
    """Backward passes of each work."""
    found = {}
    for name, work in works.items():
        with backward_passes() as count:
            work()
        found[name] = count[0]
    return found


def weight_gradients(model: nn.Module, work: Work) -> int:
    """How many weights of a model get a gradient, kept or not, in some work."""
    reached: set[int] = set()
    flags = [(p, p.requires_grad) for p in model.parameters()]
    hooks = [
        p.requires_grad_().register_hook(lambda _, n=n: reached.add(n))
        for n, p in enumerate(model.parameters())
    ]
    try:
        work()
    finally:
        for hook in hooks:
            hook.remove()
        for parameter, flag in flags:
            parameter.requires_grad_(flag)
    return len(reached)
