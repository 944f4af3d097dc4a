"""Plots of what was measured, in the style of the report."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal

from benchmarks.report.figures import Figure, Panel, Series
from benchmarks.report.model import FOCUS
from benchmarks.report.plots import need_libraries, save
from benchmarks.report.style import Style, styles
from benchmarks.speed.edits import PLAIN, PUBLISHED, SHIPPED, TIME

OURS = "ours"


def write_figures(curves: Mapping[str, Sequence[Mapping[str, Any]]], folder: Path) -> list[str]:
    """Write each plot that there are curves for as PNG and SVG; returns their names.

    Raises:
        DataError: the library that draws them is not installed.
    """
    found = figures(curves)
    if found:
        need_libraries()
    for figure in found:
        save(figure, folder)
    return [figure.name for figure in found]


def figures(curves: Mapping[str, Sequence[Mapping[str, Any]]]) -> list[Figure]:
    """The plots that there are curves for."""
    looks = looks_of_all()
    panels = {
        "edit-time": [_panel("Time of an edit", "place of the edit in the sequence", "ms",
                             curves.get(TIME, ()), looks, 1000)],
        "step-time": [_panel("Time of a training step", "edits of the step", "s",
                             [*curves.get("step_time", ()), *curves.get("long_step", ())], looks)],
        "step-memory": [
            _panel("Memory of a training step", "edits of the step", "MiB",
                   curves.get("memory_edits", ()), looks),
            _panel("Memory of a training step, 10 edits", "million parameters of the model", "MiB",
                   curves.get("memory_model", ()), looks),
        ],
    }  # fmt: skip
    return [
        Figure(name, some[0].title, "", tuple(panel for panel in some if panel.series))
        for name, some in panels.items()
        if any(panel.series for panel in some)
    ]


def looks_of_all() -> dict[str, Style]:
    """How each side is drawn: ours as published as what stands for DAFNet in the report."""
    found = styles({FOCUS: (FOCUS, ""), SHIPPED: (FOCUS, "shipped"), PLAIN: (PLAIN, "")})
    focus = found.pop(FOCUS)
    return found | {name: replace(focus, label=name) for name in (OURS, PUBLISHED)}


def _panel(
    title: str,
    xlabel: str,
    ylabel: Literal["ms", "s", "MiB"],
    curves: Sequence[Mapping[str, Any]],
    looks: Mapping[str, Style],
    factor: float = 1.0,
) -> Panel:
    joined: dict[str, list[tuple[float, float, float | None, float | None]]] = {}
    for curve in curves:
        count = len(curve["x"])
        bounds = [curve[end] or [None] * count for end in ("low", "high")]
        joined.setdefault(curve["label"], []).extend(zip(curve["x"], curve["y"], *bounds))
    series = []
    for label, points in joined.items():
        x, *ys = zip(*points)
        y, low, high = ([None if v is None else v * factor for v in values] for values in ys)
        series.append(Series(looks[label], tuple(x), tuple(y), tuple(low), tuple(high)))
    ticks = tuple(sorted({x for one in series for x in one.x}))
    return Panel(title, xlabel, ylabel, tuple(series), y_scale="amount", ticks=ticks)
