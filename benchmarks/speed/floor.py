"""What the machine can do, and how far from it each phase of the work is.

The floor of a phase is what no way of writing it can be faster than on this machine: every tensor
that it finds is read once, every one that it leaves is written once, at the rate of a copy; and
its matrix products are computed at the rate of a large one. Whichever takes longer is the floor.
What lies between (results that could stay in the cache, element-wise work) costs nothing in it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch

from benchmarks.speed.context import Context
from benchmarks.speed.counting import Allocations, operations
from benchmarks.speed.result import Outcome, Phase
from benchmarks.speed.setting import SIGNAL_TEXTS, Setting
from benchmarks.speed.timing import Sample, Work, seconds, side_by_side
from benchmarks.speed.training_step import our_step
from dafnet_plugin.editing.fusion import FusionState, extend
from dafnet_plugin.editing.modules import frozen
from dafnet_plugin.editing.objective import losses_and_gradients
from dafnet_plugin.editing.signals import capture_batch
from dafnet_plugin.editing.weights import EditedWeights


@dataclass(frozen=True)
class Machine:
    """Rates: bytes moved a second by a copy, operations a second of a product of matrices."""

    bandwidth: float
    rate: float

    def floor(self, moved: int, computed: int) -> float:
        """Seconds that moving and computing take at least, one beside the other."""
        return max(moved / self.bandwidth, computed / self.rate)


def measure_machine(context: Context) -> Machine:
    """Of float32, the fastest of several."""
    numbers, rows = context.sizes.probe
    source, target = torch.ones(numbers), torch.zeros(numbers)
    square = torch.ones(rows, rows)
    found = side_by_side(
        {"copy": lambda: target.copy_(source), "product": lambda: square @ square},
        context.sizes.repeats,
    )
    copy, product = (found[name].spread[0] for name in ("copy", "product"))
    return Machine(2 * 4 * numbers / copy, 2 * rows**3 / product)


def floor(context: Context) -> Outcome:
    """Each phase of an edit and of a training step beside its floor."""
    machine = measure_machine(context)
    setting = Setting.make(context.sizes, context.seed)
    phases = tuple(
        measure_phase(name, work, machine, context.sizes.repeats)
        for name, work in works(setting).items()
    )
    rates = {"copy_gib_per_s": machine.bandwidth / 2**30, "matmul_gflop_per_s": machine.rate / 1e9}
    return Outcome(phases=phases, machine=rates)


def measure_phase(name: str, work: Work, machine: Machine, repeats: int) -> Phase:
    """Count a phase, then time it."""
    work()  # what is only done the first time does not count
    computed = operations(work)
    with Allocations() as allocations:
        kept = work()
        moved = allocations.read + allocations.written + allocations.live
    del kept
    calls = allocations.calls
    times = Sample(tuple(seconds(work) for _ in range(max(repeats, 1))))
    least = machine.floor(moved, computed)
    return Phase(
        name, times.median, times.spread, moved, computed, least, calls, most_of_the_time(work)
    )


def most_of_the_time(work: Work, count: int = 3) -> tuple[tuple[str, float], ...]:
    """The operations that a profile has most of the time in, with their shares of all operations.

    What Python does between operations is not in these shares.
    """
    with torch.profiler.profile(activities=[torch.profiler.ProfilerActivity.CPU]) as profile:
        work()
    spent = {event.key: event.self_cpu_time_total for event in profile.key_averages()}
    total = sum(spent.values()) or 1.0
    largest = sorted(spent.items(), key=lambda item: -item[1])[:count]
    return tuple((name.removeprefix("aten::"), time / total) for name, time in largest)


def works(setting: Setting) -> dict[str, Callable[[], object]]:
    """The phases; each returns what it leaves, so that this counts."""
    sizes, model, facts = setting.sizes, setting.model, setting.facts
    edits = sizes.steps[-1]
    past = sizes.positions[-2]
    found: dict[str, Callable[[], object]] = {}

    batch = setting.batch(facts[: min(SIGNAL_TEXTS, sizes.texts)])
    modules = setting.modules()
    found[f"signals of {len(batch.labels)} edits"] = lambda: capture_batch(model, modules, batch)

    @torch.no_grad()
    def fused(shipped: bool) -> Callable[[], object]:
        """A call of the networks and the fusion, with some edits before."""
        dafnet, mine = setting.dafnet(shipped=shipped), setting.modules(shipped=shipped)
        before = dafnet(setting.signals(facts[:past], mine, model))
        one = setting.signals(facts[past : past + 1], mine, model)
        return torch.no_grad()(lambda: dafnet(one, before))

    found[f"networks and fusion of 1 edit after {past}, published"] = fused(False)
    found[f"networks and fusion of 1 edit after {past}, shipped"] = fused(True)
    found["least squares of 1 edit in 1 module"] = _least_squares(setting)
    found["writing the weights after an edit"] = _writing(setting)

    step = our_step(setting, edits)
    found[f"training step of {edits} edits"] = step
    found[f"of which losses of {edits} edits and their gradients"] = _losses(setting, edits)
    text = setting.batch(facts[: sizes.texts])

    @torch.no_grad()
    def forward() -> object:
        return model(input_ids=text.input_ids, attention_mask=text.attention_mask).logits

    found[f"forward pass of {sizes.texts} texts"] = forward
    return found


def _least_squares(setting: Setting) -> Callable[[], object]:
    dafnet, modules = setting.dafnet(shipped=True), setting.modules(shipped=True)
    signal = setting.signals(setting.facts[:1], modules, setting.model)[0]
    d_in, d_out = dafnet.shapes[0]
    with torch.no_grad():
        state = FusionState(torch.zeros(d_in, d_out), None, dafnet.prior(0))
        changes = torch.randn(len(signal.x), d_out)
    return torch.no_grad()(lambda: extend(state, signal.x, changes, dafnet.fusion.chunk))


def _writing(setting: Setting) -> Callable[[], object]:
    dafnet = setting.dafnet(shipped=True)
    editor = setting.editor(dafnet, shipped=True)
    editor.edit(setting.facts[:1])
    weights, state = EditedWeights(editor.modules, False), editor.snapshot().state

    @torch.no_grad()
    def write() -> None:
        values = weights.values(state)
        weights.check_finite(values)
        weights.give(values)

    return write


def _losses(setting: Setting, edits: int) -> Callable[[], object]:
    modules, questions = setting.modules(), setting.questions(edits)
    parameters = [m.weight for m in modules]
    changes = [torch.full_like(p.detach(), 1e-4) for p in parameters]

    def losses() -> object:
        with frozen(setting.model):
            return losses_and_gradients(setting.model, parameters, changes, questions)

    return losses
