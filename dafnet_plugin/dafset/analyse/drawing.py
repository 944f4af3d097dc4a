"""Drawing with matplotlib: what a figure is, as a file and as a part of the page."""

from __future__ import annotations

import io
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dafnet_plugin.dafset.analyse.style import PAPER, SETTINGS, Style
from dafnet_plugin.dafset.analyse.svg import inline
from dafnet_plugin.dafset.extras import require
from dafnet_plugin.files import atomic_path

WIDTH, HEIGHT = 3.9, 2.9
"""Inches of a panel, small beside its text, so that a phone can show it."""


@dataclass(frozen=True)
class Panel:
    """One plot.

    Attributes:
        draw: onto axes of matplotlib.
        summary: what a screen reader says instead.
        height: in inches; ``wide``: of the width of two.
    """

    title: str
    draw: Callable[[Any], None]
    summary: str
    height: float = HEIGHT
    wide: bool = False

    @property
    def width(self) -> float:
        """In inches."""
        return WIDTH * (1.7 if self.wide else 1)


@dataclass(frozen=True)
class Figure:
    """Plots that belong together: a PNG file, and a place in the page.

    Attributes:
        styles: of its legend.
    """

    name: str
    caption: str
    panels: Sequence[Panel]
    styles: Sequence[Style] = ()


def save(figure: Figure, folder: Path) -> Path:
    """Write a figure with all its panels and its legend as ``<name>.png``."""
    with require("matplotlib", "report").rc_context(SETTINGS):
        from matplotlib.figure import Figure as Canvas
        from matplotlib.lines import Line2D

        columns = min(len(figure.panels), 3 if len(figure.panels) != 4 else 2)
        rows = -(-len(figure.panels) // columns)
        height = max(panel.height for panel in figure.panels) * rows
        width = max(panel.width for panel in figure.panels) * columns
        canvas = Canvas(
            figsize=(width, height + (0.3 if figure.styles else 0)), layout="constrained"
        )
        grid = canvas.subplots(rows, columns, squeeze=False).flat
        for axes, panel in zip(grid, figure.panels):
            axes.set_title(panel.title)
            panel.draw(axes)
        for axes in list(grid)[len(figure.panels) :]:
            axes.set_axis_off()
        if figure.styles:
            handles = [Line2D([], [], label=one.label, **one.line) for one in figure.styles]
            canvas.legend(handles=handles, loc="outside lower center", ncols=len(handles))
        with atomic_path(folder / f"{figure.name}.png") as path:
            canvas.savefig(path, format="png", dpi=160, metadata={"Software": None})
    return folder / f"{figure.name}.png"


def panel_svg(panel: Panel, name: str) -> str:
    """A panel as an element of the page, in the page's colours.

    Args:
        name: prefix of its ids, so that no two plots of a page share one.
    """
    with require("matplotlib", "report").rc_context(SETTINGS | {"figure.facecolor": PAPER}):
        from matplotlib.figure import Figure as Canvas

        canvas = Canvas(figsize=(panel.width, panel.height), layout="constrained")
        panel.draw(canvas.subplots())
        text = io.StringIO()
        canvas.savefig(text, format="svg", metadata={"Date": None}, transparent=True)
    return inline(text.getvalue(), name, panel.summary)


def percent(share: float | None) -> str:
    """A share for a reader: a little is not 0, and nearly all is not all."""
    if share is None:
        return "\N{EN DASH}"
    if share in (0, 1):
        return "0" if share == 0 else "100 %"
    return "<1 %" if share < 0.01 else ">99 %" if share > 0.99 else f"{100 * share:.0f} %"
