"""One look for each data set, the same in every plot, legend and table, light and dark."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

INK, GRID, PAPER, MUTED = "#24292f", "#d5d9de", "#ffffff", "#57606a"
# Pairs (on white, on the page's dark ground), each at least 3:1 against it. Neighbours differ in
# lightness as well as in hue; dashes tell apart what colours do not.
OWN = {
    "long_tail": ("#8e2f7c", "#ea8fd6"),
    "popular": ("#c2410c", "#ff9b57"),
    "recent": ("#108070", "#3fd6b8"),
    "robust": ("#0b62a4", "#5db4f0"),
}
OTHERS = (("#5f6b76", "#b4bfca"), ("#7a6400", "#e3c84a"), ("#4b3fb5", "#a8a0ff"))
DASHES = ("5 2", "1.5 1.5", "6 2 1.5 2")
MOODS = {"positive": OWN["recent"], "neutral": OTHERS[0], "negative": OWN["popular"]}
"""Colours of sentiments."""

SETTINGS = {
    "svg.fonttype": "none",
    "svg.hashsalt": "dafset",
    "font.family": "DejaVu Sans",
    "font.size": 9,
    "axes.titlesize": 10,
    "axes.titleweight": "bold",
    "axes.titlelocation": "left",
    "axes.edgecolor": INK,
    "axes.labelcolor": INK,
    "axes.facecolor": PAPER,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.linewidth": 0.8,
    "axes.axisbelow": True,
    "figure.facecolor": PAPER,
    "text.color": INK,
    "xtick.color": INK,
    "ytick.color": INK,
    "xtick.minor.visible": False,
    "ytick.minor.visible": False,
    "grid.color": GRID,
    "grid.linewidth": 0.6,
    "legend.frameon": False,
    "legend.fontsize": 9,
}
"""Of matplotlib, for all figures."""


@dataclass(frozen=True, slots=True)
class Style:
    """How a data set is drawn.

    Attributes:
        label: what a reader sees; ``key``: CSS class.
        colour: on white; ``dark``: on a dark ground.
        dashes: lengths on and off, as SVG has them; empty for a solid line.
    """

    key: str
    label: str
    colour: str
    dark: str
    dashes: str = ""

    @property
    def line(self) -> dict[str, Any]:
        """Arguments for matplotlib's lines."""
        dashes = tuple(map(float, self.dashes.split()))
        style = (0, dashes) if dashes else "-"
        return {"color": self.colour, "linestyle": style, "linewidth": 1.3 if dashes else 1.9}


def styles(names: Sequence[str]) -> dict[str, Style]:
    """A style for each set: those of DAFSet solid, others dashed."""
    found: dict[str, Style] = {}
    others = 0
    for number, name in enumerate(names):
        if name in OWN:
            found[name] = Style(f"s{number}", readable(name), *OWN[name])
        else:
            pair = OTHERS[others % len(OTHERS)]
            found[name] = Style(f"s{number}", name, *pair, DASHES[others % len(DASHES)])
            others += 1
    return found


def readable(name: str) -> str:
    """``long_tail`` as a reader expects it."""
    return {"long_tail": "long-tail"}.get(name, name)


def palette() -> dict[str, tuple[str, str]]:
    """CSS variables of all colours: name to (light, dark)."""
    return {f"--{light[1:]}": (light, dark) for light, dark in (*OWN.values(), *OTHERS)}


def inline_colours() -> dict[str, str]:
    """What replaces each colour of a plot file where the plot stands in the page."""
    fixed = {INK: "currentColor", GRID: "var(--grid)", PAPER: "var(--paper)", MUTED: "var(--muted)"}
    return fixed | {light: f"var({name})" for name, (light, _) in palette().items()}
