"""Memory that editing takes beyond the model and the auxiliary network."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from benchmarks.resources import MIB
from benchmarks.speed.context import Context
from benchmarks.speed.result import Metric, Outcome, Target
from benchmarks.speed.setting import Setting
from benchmarks.speed.sizes import ModelSize, Sizes
from dafnet_plugin.editing.modules import EditModule

PUBLISHED, SHIPPED, PLAIN = "published", "shipped", "reference-like"
EDITS = 10
UPDATES, SQUARES = 6, 5
"""What O(d^2) means here, in float32 matrices of each module.

Of the weight's size: old and new update, what becomes the weight, and what that is made of; of the
squared input width, in least squares alone: old and new covariance, and what solves for them.
"""


def editing_memory(context: Context) -> Outcome:
    """Peak while a model gets its editor and some edits; in this model a module is large."""
    sizes = context.sizes
    plain = context.peak(prepare, PLAIN, EDITS, sizes.wide)
    setting = Setting.make(sizes, context.seed, sizes.wide)
    model = sum(p.numel() * p.element_size() for p in setting.model.parameters())
    metrics = []
    for who, key in ((PUBLISHED, ""), (SHIPPED, "_shipped")):
        peak = context.peak(prepare, who, EDITS, sizes.wide)
        modules = setting.modules(shipped=who == SHIPPED)
        most = allowed(modules, least_squares=who == SHIPPED)
        metrics.append(
            Metric(
                f"editing_memory{key}",
                f"Memory of editing, ours as {who}",
                "MiB",
                peak.extra / MIB,
                plain.extra / MIB,
                plain.extra / peak.extra,
                Target("ours", most / MIB),
                note=f"a model of {model / MIB:.1f} MiB; allowed are the edited weights, {UPDATES} "
                f"matrices of the size of each and, with least squares, {SQUARES} of its squared "
                f"input width; held after {EDITS} edits: {peak.held / MIB:.1f} MiB",
            )
        )
    return Outcome(tuple(metrics))


def allowed(modules: Sequence[EditModule], *, least_squares: bool) -> int:
    """Bytes that editing these modules may need: no second model, nothing that edits make grow."""
    weights = sum(m.weight.numel() * m.weight.element_size() for m in modules)
    updates = sum(4 * m.d_in * m.d_out for m in modules)
    squares = sum(4 * m.d_in**2 for m in modules) if least_squares else 0
    return weights + UPDATES * updates + SQUARES * squares


def prepare(
    sizes: Sizes, seed: int, who: str, edits: int, size: ModelSize | None = None
) -> Callable[[], Any]:
    """Making an editor for a model, and some edits; model and network are there before."""
    setting = Setting.make(sizes, seed, size)
    dafnet = setting.dafnet(shipped=who == SHIPPED)
    facts = setting.facts[:edits]

    def ours() -> Any:
        editor = setting.editor(dafnet, shipped=who == SHIPPED, model=setting.model)
        for fact in facts:
            editor.edit([fact])
        return editor

    def plainly() -> Any:
        reference = setting.reference(dafnet, setting.model)
        for fact in facts:
            reference.edit(setting.batch([fact]))
        return reference

    return plainly if who == PLAIN else ours
