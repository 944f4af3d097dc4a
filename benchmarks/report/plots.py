"""Drawing of figures with matplotlib: files for papers, and panels for the page."""

from __future__ import annotations

import importlib.util
import io
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from benchmarks.report.figures import Figure, Panel, Series
from benchmarks.report.style import GRID, INK, PAPER, Style
from dafnet_plugin.errors import DataError
from dafnet_plugin.files import atomic_path

PANEL = (3.8, 2.8)
"""Inches of one panel, small beside its text, so that four in a row and a phone can show it."""
_MARGINS = {"left": 0.64, "bare": 0.4, "right": 0.12, "top": 0.3, "bottom": 0.52}  # inches
_SETTINGS = {
    "svg.fonttype": "none",
    "svg.hashsalt": "report",
    "font.family": "DejaVu Sans",
    "font.size": 10,
    "axes.titlesize": 11,
    "axes.titleweight": "bold",
    "axes.edgecolor": INK,
    "axes.labelcolor": INK,
    "axes.facecolor": PAPER,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.linewidth": 0.8,
    "figure.facecolor": PAPER,
    "text.color": INK,
    "xtick.color": INK,
    "ytick.color": INK,
    "xtick.minor.visible": False,
    "grid.color": GRID,
    "grid.linewidth": 0.6,
    "legend.frameon": False,
}
_SCORE_LIMITS = (-0.03, 1.04)


def need_libraries() -> None:
    """Say what to install if a library that only the report needs is absent.

    Raises:
        DataError: one is.
    """
    for name in ("matplotlib", "jinja2"):
        if importlib.util.find_spec(name) is None:
            raise DataError(
                f"the report needs {name}, which is not installed; "
                "pip install 'dafnet-plugin[report]', or this library alone"
            )


def save(figure: Figure, folder: Path) -> None:
    """Write a figure with all its panels and a legend as ``<name>.png`` and ``<name>.svg``."""
    with _settings():
        canvas = _canvas(figure)
        canvas.draw_without_rendering()
        canvas.set_layout_engine("none")  # what was laid out once need not be again for each file
        for suffix, metadata in (("png", {"Software": None}), ("svg", {"Date": None})):
            with atomic_path(folder / f"{figure.name}.{suffix}") as path:
                canvas.savefig(path, format=suffix, dpi=160, metadata=metadata)


def _canvas(figure: Figure) -> Any:
    from matplotlib.figure import Figure as Canvas
    from matplotlib.layout_engine import ConstrainedLayoutEngine

    panels = figure.panels
    columns = min(len(panels), 2 if len(panels) == 4 else 3)
    rows = [panels[start : start + columns] for start in range(0, len(panels), columns)]
    heights = [max(map(_height, row)) for row in rows]
    named = all(panel.kind == "pairs" for panel in panels)
    across = 2 * max(columns, 2)  # names in one row of the legend
    legend_rows = 0 if named else -(-len(figure.styles) // across)
    canvas = Canvas(
        figsize=(PANEL[0] * max(columns, 1.5), sum(heights) + 0.2 * legend_rows + 0.1),
        layout=ConstrainedLayoutEngine(w_pad=0.1, h_pad=0.1),
    )
    axes = canvas.subplots(len(rows), columns, squeeze=False, height_ratios=heights)
    for place, panel in zip(axes.flat, panels):
        _draw(place, panel)
    for place in axes.flat[len(panels) :]:
        place.set_axis_off()
    if legend_rows:
        canvas.legend(
            handles=[_handle(style) for style in figure.styles],
            loc="outside lower center",
            ncols=min(len(figure.styles), across),
        )
    return canvas


def panel_svg(panel: Panel) -> str:
    """One panel as an SVG document, without legend."""
    from matplotlib.figure import Figure as Canvas

    width, height = PANEL[0], _height(panel)
    with _settings():
        canvas = Canvas(figsize=(width, height))
        _draw(canvas.subplots(), panel)
        if panel.kind == "pairs":  # as wide as the names on its axis leave it
            canvas.set_layout_engine("constrained")
        else:
            canvas.subplots_adjust(
                left=_MARGINS["left" if panel.ylabel else "bare"] / width,
                right=1 - _MARGINS["right"] / width,
                top=1 - _MARGINS["top"] / height,
                bottom=_MARGINS["bottom"] / height,
            )
        text = io.StringIO()
        canvas.savefig(text, format="svg", metadata={"Date": None})
    return text.getvalue()


def marker_path(style: Style) -> str:
    """The outline of a method's marker, about 1 unit wide around 0, 0, as SVG path data."""
    from matplotlib.markers import MarkerStyle

    marker = MarkerStyle(style.marker)
    path = marker.get_path().transformed(marker.get_transform())
    parts = []
    for points, code in path.iter_segments(curves=False):
        letter = {1: "M", 2: "L", 79: "Z"}[int(code)]
        numbers = "" if letter == "Z" else " ".join(f"{n:.3f}" for n in (points[0], -points[1]))
        parts.append(letter + numbers)
    return "".join(parts)


@contextmanager
def _settings() -> Iterator[None]:
    import matplotlib

    with matplotlib.rc_context():
        matplotlib.rcdefaults()  # a user's own matplotlibrc must not change the report
        matplotlib.rcParams.update(_SETTINGS)
        yield


def _height(panel: Panel) -> float:
    return (
        max(PANEL[1] * 0.6, 0.9 + 0.22 * len(panel.series)) if panel.kind == "pairs" else PANEL[1]
    )


def _draw(axes: Any, panel: Panel) -> None:
    axes.set_title(panel.title, loc="left")
    axes.set_xlabel(panel.xlabel)
    axes.set_ylabel(panel.ylabel)
    axes.grid(axis="x" if panel.kind == "pairs" else "both")
    axes.set_axisbelow(True)
    _scale(axes, panel)
    for series in panel.series:
        {"lines": _lines, "scatter": _scatter, "pairs": _pair}[panel.kind](axes, panel, series)
    if panel.kind == "pairs":
        axes.set_yticks(
            [series.y[0] for series in panel.series],
            [series.style.label for series in panel.series],
        )
        axes.set_ylim(-0.7, len(panel.series) - 0.3)
        axes.tick_params(axis="y", length=0)
        for text, series in zip(axes.get_yticklabels(), panel.series):
            text.set_fontweight("bold" if series.style.focus else "normal")
    else:
        _y_scale(axes, panel)


def _scale(axes: Any, panel: Panel) -> None:
    if panel.x_scale == "score":
        axes.set_xlim(*_SCORE_LIMITS)
        if panel.kind == "scatter":
            _equal_averages(axes)
        return
    axes.set_xscale("log")
    axes.set_xticks(
        [_x(panel, tick) for tick in panel.ticks], [f"{tick:,g}" for tick in panel.ticks]
    )
    axes.minorticks_off()
    ends = [_x(panel, x) for series in panel.series for x in series.x]
    if ends and min(ends) < max(ends):
        room = (max(ends) / min(ends)) ** 0.06
        axes.set_xlim(min(ends) / room, max(ends) * room)


def _x(panel: Panel, value: float) -> float:
    return value + 1 if panel.x_scale == "followed" else value  # a logarithm has no zero


def _y_scale(axes: Any, panel: Panel) -> None:
    if panel.y_scale == "score":
        axes.set_ylim(*_SCORE_LIMITS)
        return
    from matplotlib.ticker import FuncFormatter, LogLocator, MaxNLocator, NullLocator

    known = [y for series in panel.series for y in series.y if y]
    spread = max(known) / min(known)
    if spread > 10:
        axes.set_yscale("log")
        # Powers of ten alone would leave a short axis bare.
        axes.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5) if spread < 100 else (1,)))
        axes.yaxis.set_minor_locator(NullLocator())
    else:
        axes.set_ylim(0, 1.08 * max(known))
        axes.yaxis.set_major_locator(MaxNLocator(5))
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,.4g}"))


def _equal_averages(axes: Any) -> None:
    for average in (0.2, 0.4, 0.6, 0.8):
        # average = (2 learnt + locality) / 3
        axes.plot((0, 1), (1.5 * average, 1.5 * average - 0.5), color=GRID, linewidth=0.8, zorder=0)


def _lines(axes: Any, panel: Panel, series: Series) -> None:
    style = series.style
    x = [_x(panel, value) for value in series.x]
    (line,) = axes.plot(x, [_number(y) for y in series.y], **_look(style))
    line.set_gid(f"series:{style.key}:line")
    bars = [
        (at, low, high)
        for at, low, high in zip(x, series.low, series.high)
        if low is not None and high is not None
    ]
    if bars:
        at, low, high = zip(*bars)
        drawn = axes.vlines(at, low, high, color=style.colour, linewidth=0.9, zorder=2)
        drawn.set_gid(f"series:{style.key}:bars")


def _scatter(axes: Any, panel: Panel, series: Series) -> None:
    style = series.style
    (point,) = axes.plot(series.x, series.y, **_look(style), clip_on=False)
    point.set_linestyle("none")
    point.set_markersize(9 if style.focus else 6.5)
    point.set_gid(f"series:{style.key}:point")


def _pair(axes: Any, panel: Panel, series: Series) -> None:
    style = series.style
    look = {"color": style.colour, "zorder": 3}
    (line,) = axes.plot(series.x, series.y, linewidth=style.width, **look)
    line.set_gid(f"series:{style.key}:line")
    for x, y, face, name in zip(series.x, series.y, (PAPER, style.colour), ("first", "last")):
        (point,) = axes.plot(
            [x], [y], marker="o", markersize=5.5, markerfacecolor=face, clip_on=False, **look
        )
        point.set_gid(f"series:{style.key}:{name}")


def _look(style: Style) -> dict[str, Any]:
    numbers = tuple(float(number) for number in style.dashes.split())
    return {
        "color": style.colour,
        "linewidth": style.width,
        "linestyle": (0, numbers) if numbers else "-",
        "marker": style.marker,
        "markersize": 6 if style.focus else 4.5,
        "markerfacecolor": style.colour if style.filled else PAPER,
        "markeredgewidth": 1,
        "zorder": 4 if style.focus else 3,
    }


def _handle(style: Style) -> Any:
    from matplotlib.lines import Line2D

    return Line2D([], [], label=style.label, **_look(style))


def _number(value: float | None) -> float:
    return float("nan") if value is None else value
