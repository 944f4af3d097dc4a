"""Sequential editing: the time of an edit by its place in the sequence, and of all of them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from itertools import pairwise
from typing import Any

import torch

from benchmarks.speed.context import Context
from benchmarks.speed.counting import calls_of
from benchmarks.speed.reference_like import Memory, ReferenceLike
from benchmarks.speed.result import Metric, Outcome, Target, compared, curve
from benchmarks.speed.setting import Setting
from benchmarks.speed.timing import Sample, seconds, side_by_side
from dafnet_plugin.editing.editor import DAFNetEditor
from dafnet_plugin.editing.record import Snapshot

GROWTH_AT_MOST = 1.3
TOTAL_TIMES_FASTER = 10.0
DIFFERENCE_AT_MOST = 1e-3
"""Of weights edited in one call and one by one, relative to their change."""
BATCH_AT_MOST = 0.1

PUBLISHED, SHIPPED, PLAIN = "ours as published", "ours as shipped", "reference-like"
TIME = "edit_time"
_Times = dict[str, dict[int, Sample]]


def edits(context: Context) -> Outcome:
    """Edits at some places of a sequence, ours in two configurations beside the plain version."""
    sizes = context.sizes
    setting = Setting.make(sizes, context.seed)
    published = _Ours(setting.editor(setting.dafnet()), setting)
    shipped = _Ours(setting.editor(setting.dafnet(shipped=True), shipped=True), setting)
    plain = _Plain(setting.reference(setting.dafnet()), setting)
    sides: Mapping[str, _Ours | _Plain] = {PUBLISHED: published, SHIPPED: shipped, PLAIN: plain}
    times: _Times = {name: {} for name in sides}
    works = {name: side.some_edits() for name, side in sides.items()}
    for position in sizes.positions:
        found = side_by_side(
            works,
            sizes.repeats,
            before=partial(_go_to, sides, position),
        )
        for name, sample in found.items():
            times[name][position] = Sample(tuple(value / sizes.burst for value in sample.values))
    metrics: list[Metric] = []
    for name, key, side in ((PUBLISHED, "", published), (SHIPPED, "_shipped", shipped)):
        metrics += _metrics(context, times, name, key, side.whole)
    metrics += _consolidated(context, setting)
    return Outcome(tuple(metrics), {TIME: tuple(curve(n, found) for n, found in times.items())})


def _metrics(
    context: Context, times: _Times, name: str, key: str, whole: float
) -> tuple[Metric, Metric]:
    sizes = context.sizes
    last = sizes.positions[-1]
    growth = {n: times[n][last].over(times[n][sizes.early]) for n in (name, PLAIN)}
    total = {n: integral(times[n]) for n in (name, PLAIN)}
    return (
        compared(
            f"edit_growth{key}",
            f"Edit {last} over edit {sizes.early}, {name}",
            "x",
            growth[name],
            growth[PLAIN],
            Target("ours", GROWTH_AT_MOST),
            f"each the mean of {sizes.burst} edits there, of the same facts",
        ),
        compared(
            f"edits_total{key}",
            f"{last} edits one by one, {name}",
            "s",
            total[name],
            total[PLAIN],
            Target("ratio", TOTAL_TIMES_FASTER, least=True),
            f"trapezoids through edits {', '.join(map(str, sizes.positions))} of both; ours made "
            f"one after the other took {whole:.3g} s, once; the plain version was not run through",
        ),
    )


def integral(times: dict[int, Sample]) -> Sample:
    """Seconds of all edits up to the last position, by trapezoids through those measured."""
    places = sorted(times)
    totals = []
    for n in range(len(times[places[0]].values)):
        at = [times[place].values[n] for place in places]
        total = at[0]  # the first edit itself
        for (a, b), (one, two) in zip(pairwise(places), pairwise(at)):
            total += (b - a) * (one + two) / 2
        totals.append(total)
    return Sample(tuple(totals))


class _Ours:
    """Ours at any position of one sequence.

    Attributes:
        whole: seconds of the whole sequence, made once to have its snapshots.
    """

    def __init__(self, editor: DAFNetEditor, setting: Setting) -> None:
        self.editor, self.setting = editor, setting
        self._snapshots: dict[int, Snapshot] = {}
        positions, self.whole = setting.sizes.positions, 0.0
        for place, fact in enumerate(setting.facts[: positions[-1]], 1):
            if place in positions:
                self._snapshots[place] = editor.snapshot()
            self.whole += seconds(partial(editor.edit, [fact]))

    def go_to(self, position: int) -> None:
        """As it was before that edit."""
        self.editor.restore(self._snapshots[position])

    def some_edits(self) -> Callable[[], None]:
        """The same new facts at every position: a longer one would take longer anywhere."""
        facts = self.setting.facts[-self.setting.sizes.burst :]

        def work() -> None:
            for fact in facts:
                self.editor.edit([fact])

        return work


class _Plain:
    """The plain version at any position; what comes before is made in one call, which is as good.

    All of its memory has the same size then, though not the same scales.
    """

    def __init__(self, reference: ReferenceLike, setting: Setting) -> None:
        self.reference, self.setting = reference, setting
        self._memories: dict[int, Memory | None] = {}
        for position in setting.sizes.positions:
            reference.memory = None
            if position > 1:
                reference.edit(setting.batch(setting.facts[: position - 1]))
            self._memories[position] = reference.memory

    def go_to(self, position: int) -> None:
        """As it was before that edit."""
        self.reference.memory = self._memories[position]

    def some_edits(self) -> Callable[[], None]:
        """Likewise; tokens are made of the text each time, as ours does."""
        facts = self.setting.facts[-self.setting.sizes.burst :]

        def work() -> None:
            for fact in facts:
                self.reference.edit(self.setting.batch([fact]))

        return work


def _consolidated(context: Context, setting: Setting) -> list[Metric]:
    """What going over the edits again costs, once: it has no counterpart in the plain version."""
    dafnet, count = setting.dafnet(shipped=True), context.sizes.consolidated
    found: dict[bool, tuple[float, int]] = {}
    for consolidated in (False, True):
        editor = setting.editor(dafnet, shipped=True, consolidated=consolidated)
        with calls_of(editor.model) as seen:
            took = seconds(partial(_one_by_one, editor, setting, count))
        found[consolidated] = took, seen["tokens"]
    took, tokens = (with_ / without for with_, without in zip(found[True], found[False]))
    return [
        Metric(
            "consolidation",
            f"{count} edits one by one as shipped, over the same without consolidation",
            "x",
            took,
            note=f"one run; the model reads {tokens:.0f} times as many tokens",
        )
    ]


def batch_edit(context: Context) -> Outcome:
    """All edits in one call against one by one, as shipped but for consolidation."""
    sizes = context.sizes
    setting = Setting.make(sizes, context.seed)
    dafnet, count = setting.dafnet(shipped=True), sizes.positions[-1]
    at_once, singly = (setting.editor(dafnet, shipped=True) for _ in range(2))
    singly.edit(setting.facts[:1])  # what is computed once, by whichever is first
    found = side_by_side(
        {
            "at once": lambda: at_once.edit(setting.facts[:count]),
            "one by one": lambda: _one_by_one(singly, setting, count),
        },
        sizes.repeats,
        before=lambda: _reset(at_once, singly),
        warm=False,
    )
    # Only the one that was timed last still has its edits: make those of the other again.
    at_once.reset()
    at_once.edit(setting.facts[:count])
    if not singly.requests:
        _one_by_one(singly, setting, count)
    far = difference(at_once, singly)
    share = found["at once"].over(found["one by one"])
    metric = Metric(
        "batch_edit",
        f"{count} edits in one call over one by one, as shipped",
        "s",
        found["at once"].median,
        ratio=share.median,
        target=Target("ratio", BATCH_AT_MOST),
        spread={"ours": found["at once"].spread, "ratio": share.spread},
        ratio_of="in one call / one by one",
        note=f"one by one {found['one by one'].median:.3g} s; weights differ by {far:.1e} of "
        "their change; without consolidation, which goes over all edits again either way",
        missed="" if far <= DIFFERENCE_AT_MOST else f"the weights differ by {far:.1e}",
    )
    return Outcome((metric,))


def _go_to(sides: Mapping[str, _Ours | _Plain], position: int) -> None:
    for side in sides.values():
        side.go_to(position)


def _reset(*editors: DAFNetEditor) -> None:
    for editor in editors:
        editor.reset()


def _one_by_one(editor: DAFNetEditor, setting: Setting, count: int) -> None:
    for fact in setting.facts[:count]:
        editor.edit([fact])


def difference(one: DAFNetEditor, other: DAFNetEditor) -> float:
    """Largest relative difference of two editors' updates (Frobenius norm)."""
    states: list[Any] = [editor.snapshot().state for editor in (one, other)]
    pairs = zip(*(state.updates for state in states), strict=True)
    return max(
        float(torch.linalg.norm(a.weight - b.weight) / torch.linalg.norm(b.weight))
        for a, b in pairs
    )
