"""What was measured, as data: metrics with their targets, curves, and the phases of the work."""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace
from typing import Any, Literal

from benchmarks.speed.timing import Sample

Of = Literal["ratio", "ours"]


@dataclass(frozen=True)
class Target:
    """What a metric is to be.

    Attributes:
        of: the ratio, or our own value.
        bound: it is to be at most, or with ``least`` at least, this.
    """

    of: Of
    bound: float
    least: bool = False

    def __str__(self) -> str:
        return f"{self.of} {'>=' if self.least else '<='} {self.bound:.4g}"

    def met(self, value: float | None) -> bool | None:
        """Whether a value is as it should be; None without a value."""
        if value is None:
            return None
        return value >= self.bound if self.least else value <= self.bound


@dataclass(frozen=True)
class Metric:
    """One line of the table.

    Attributes:
        name: key in ``speed.json``.
        title: in words.
        unit: of ``ours`` and ``reference_like``.
        ours: median.
        reference_like: median of the plain version; None where there is none, or it was not run.
        ratio: what ``ratio_of`` says, median over pairs.
        target: None for a number that is only told.
        spread: least and most of ``ours``, ``reference_like`` and ``ratio``, by name.
        ratio_of: ``reference-like / ours`` unless said otherwise.
        note: how it was measured, where that is not obvious.
        missed: why the target is not met although the number is as it should be; "" if it is.
        counted: it is the same on every machine, and in a smoke test as telling as ever.
    """

    name: str
    title: str
    unit: str
    ours: float
    reference_like: float | None = None
    ratio: float | None = None
    target: Target | None = None
    spread: dict[str, tuple[float, float]] | None = None
    ratio_of: str = "reference-like / ours"
    note: str = ""
    missed: str = ""
    counted: bool = False

    @property
    def met(self) -> bool | None:
        """Whether the target is met; None if there is none or nothing to judge by."""
        if self.target is None:
            return None
        met = self.target.met(self.ratio if self.target.of == "ratio" else self.ours)
        return met and not self.missed if met is not None else None

    def to_dict(self, smoke: bool = False) -> dict[str, Any]:
        """For ``speed.json``; of a smoke test, only what is counted is held to its target."""
        if smoke and not self.counted:
            return replace(self, target=None, missed="").to_dict()
        values = asdict(self)
        del values["name"]
        return values | {"target": str(self.target) if self.target else None, "met": self.met}


def compared(
    name: str,
    title: str,
    unit: str,
    ours: Sample,
    reference_like: Sample | None = None,
    target: Target | None = None,
    note: str = "",
) -> Metric:
    """A metric of which ours and, in pairs, the plain version were measured."""
    spread = {"ours": ours.spread}
    ratio = None
    if reference_like is not None:
        ratio = reference_like.over(ours)
        spread |= {"reference_like": reference_like.spread, "ratio": ratio.spread}
    return Metric(
        name,
        title,
        unit,
        ours.median,
        reference_like.median if reference_like else None,
        ratio.median if ratio else None,
        target,
        spread,
        note=note,
    )


@dataclass(frozen=True)
class Curve:
    """Points of a plot; ``low`` and ``high`` are the spread, None where there was one run."""

    label: str
    x: tuple[float, ...]
    y: tuple[float, ...]
    low: tuple[float | None, ...] = ()
    high: tuple[float | None, ...] = ()


def curve(label: str, points: dict[int, Sample]) -> Curve:
    """Medians with their spread."""
    lows, highs = zip(*(sample.spread for sample in points.values()))
    return Curve(label, tuple(points), tuple(s.median for s in points.values()), lows, highs)


@dataclass(frozen=True)
class Phase:
    """A part of the work beside what the machine could do.

    Attributes:
        seconds: measured, median.
        spread: least and most.
        bytes: that have to be moved at least: what the phase finds is read once, what it leaves
            is written once.
        operations: in floating point, of matrix products and solvers.
        floor: seconds below which this machine cannot do it: the longer of moving and computing.
        calls: operations on tensors, each of which takes some microseconds however small it is.
        most: the operations that most of the time is spent in, with their shares.
    """

    name: str
    seconds: float
    spread: tuple[float, float]
    bytes: int
    operations: int
    floor: float
    calls: int
    most: tuple[tuple[str, float], ...]

    @property
    def over_floor(self) -> float:
        """Measured over floor."""
        return self.seconds / self.floor


@dataclass(frozen=True)
class Outcome:
    """What one benchmark found.

    Attributes:
        curves: by plot.
    """

    metrics: tuple[Metric, ...] = ()
    curves: dict[str, tuple[Curve, ...]] | None = None
    phases: tuple[Phase, ...] = ()
    machine: dict[str, float] | None = None
