"""One look for each method, the same in every plot, legend and table, light and dark."""

from __future__ import annotations

from dataclasses import dataclass

from benchmarks.report.model import FOCUS

INK = "#24292f"
GRID = "#d5d9de"
PAPER = "#ffffff"
FOCUS_COLOUR = ("#c2410c", "#ff9b57")
# Pairs (on white, on the page's dark ground), each at least 3:1 against it. Neighbours differ
# in lightness as well as in hue, so that they stay apart for colour-blind readers; markers and
# dashes tell apart what colours do not.
COLOURS = (
    ("#0b62a4", "#5db4f0"),
    ("#108070", "#3fd6b8"),
    ("#8e2f7c", "#ea8fd6"),
    ("#7a6400", "#e3c84a"),
    ("#4b3fb5", "#a8a0ff"),
    ("#5f6b76", "#b4bfca"),
    ("#b03a5b", "#ff9cb4"),
    ("#4c7a12", "#a5d65a"),
)
MARKERS = ("s", "^", "D", "v", "P", "X", "<", ">", "p", "h", "d")
SOLID = ""
DASHES = ("5 2", "1.5 1.5", "6 2 1.5 2", "3 1", "8 2", "1 3")

INLINE = {INK: "currentColor", GRID: "var(--grid)", PAPER: "var(--paper)"}
"""Colours of plot files, and what stands for them in the page."""


@dataclass(frozen=True)
class Style:
    """How a method is drawn.

    Colour and marker are the method's; a variant other than the first has dashes and a hollow
    marker.

    Attributes:
        key: CSS class.
        colour: on white; ``dark``: on a dark ground.
        marker: as matplotlib names it; ``filled`` or hollow.
        dashes: lengths on and off, as SVG has them; empty for a solid line.
        focus: whether it is emphasised.
    """

    key: str
    label: str
    colour: str
    dark: str
    marker: str
    filled: bool
    dashes: str
    focus: bool

    @property
    def classes(self) -> str:
        """CSS classes in plots and legends; ``m`` is what highlighting another method dims."""
        return f"m {self.key}" if self.key.startswith("m") else self.key

    @property
    def width(self) -> float:
        """Of lines, in points."""
        return 2.6 if self.focus else 1.2


def styles(entries: dict[str, tuple[str, str]]) -> dict[str, Style]:
    """A style for each label, given method and variant of each."""
    methods = list(dict.fromkeys(method for method, _ in entries.values()))
    others = [method for method in methods if method != FOCUS]
    seen: dict[str, int] = {}
    found = {}
    for number, (label, (method, _)) in enumerate(entries.items()):
        index = others.index(method) if method in others else 0
        colour, dark = FOCUS_COLOUR if method == FOCUS else COLOURS[index % len(COLOURS)]
        variant = seen[method] = seen.get(method, -1) + 1
        found[label] = Style(
            key=f"m{number}",
            label=label,
            colour=colour,
            dark=dark,
            marker="o" if method == FOCUS else MARKERS[index % len(MARKERS)],
            filled=variant == 0,
            dashes=SOLID if variant == 0 else DASHES[(variant - 1) % len(DASHES)],
            focus=label == FOCUS,
        )
    return found


def palette() -> dict[str, tuple[str, str]]:
    """CSS variables of all colours of methods: name to (light, dark)."""
    return {f"--{light[1:]}": (light, dark) for light, dark in (FOCUS_COLOUR, *COLOURS)}


def inline_colours() -> dict[str, str]:
    """What replaces each colour of a plot file where the plot stands in the page."""
    return INLINE | {light: f"var({name})" for name, (light, _) in palette().items()}
