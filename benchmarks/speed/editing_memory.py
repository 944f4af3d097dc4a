"""Memory that editing takes beyond the model and the auxiliary network."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from benchmarks.resources import MIB
from benchmarks.speed.context import Context
from benchmarks.speed.result import Metric, Outcome, Target
from benchmarks.speed.setting import Setting
from benchmarks.speed.sizes import ModelSize, Sizes

PUBLISHED, SHIPPED, PLAIN = "published", "shipped", "reference-like"
EDITS = 10
SQUARES = 6
"""Float32 matrices of the squared larger width that each module may cost: what O(d^2) means here.

Two each of update, covariance and what solves for them, since old and new are there at once.
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
        weights = sum(m.weight.numel() * m.weight.element_size() for m in modules)
        squares = sum(4 * max(m.shape) ** 2 for m in modules)
        metrics.append(
            Metric(
                f"editing_memory{key}",
                f"Memory of editing, ours as {who}",
                "MiB",
                peak.extra / MIB,
                plain.extra / MIB,
                plain.extra / peak.extra,
                Target("ours", (weights + SQUARES * squares) / MIB),
                note=f"a model of {model / MIB:.1f} MiB; edited weights {weights / MIB:.1f} MiB, a "
                f"d x d matrix for each {squares / MIB:.1f} MiB, of which {SQUARES} are allowed; "
                f"held after {EDITS} edits {peak.held / MIB:.1f} MiB",
            )
        )
    return Outcome(tuple(metrics))


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
