"""Capacity curves: what a wider base model changes."""

from __future__ import annotations

import re
from collections import defaultdict

from benchmarks.report.figures import Figure, Panel, Series
from benchmarks.report.model import Section, Study, slug
from benchmarks.report.style import COLOURS, DASHES, MARKERS, SOLID, Style

WIDTH = re.compile(r"(?P<family>.+?)-inner(?P<width>\d+)")
"""Names of base models that differ in the dimension of their keys alone."""


def capacity(study: Study) -> list[Figure]:
    """The final average against edits per key dimension, where a base model has several widths.

    A panel for each method, a line for each width: lines that coincide say that the score depends
    on edits per dimension alone, so that a larger model holds more edits in proportion.
    """
    families: dict[tuple[str, str], dict[int, Section]] = defaultdict(dict)
    for section in study.sections:
        if match := WIDTH.fullmatch(section.model):
            families[section.dataset, match["family"]][int(match["width"])] = section
    figures = []
    for (dataset, family), widths in families.items():
        labels = [
            label for label in study.entries if sum(label in s.labels for s in widths.values()) > 1
        ]
        panels = (_capacity_panel(label, dict(sorted(widths.items()))) for label in labels)
        found = tuple(panel for panel in panels if panel.series)
        if len(widths) > 1 and found:
            figures.append(
                Figure(
                    f"capacity-{slug(dataset)}_{slug(family)}",
                    f"Capacity: {dataset}, {family}, {len(widths)} widths",
                    "Final average against the number of edits for each dimension of the keys "
                    "(inputs of the edited layers). Where the lines of several widths coincide, "
                    "a wider model holds more edits in proportion.",
                    found,
                )
            )
    return figures


def _capacity_panel(label: str, widths: dict[int, Section]) -> Panel:
    series = []
    for index, (width, section) in enumerate(widths.items()):
        if label not in section.labels:
            continue
        found = {n: s for n in section.lengths if (s := section.groups[label, n].score("average"))}
        light, dark = COLOURS[index % len(COLOURS)]
        style = Style(
            key=f"w{width}",
            label=f"{width:,} dimensions",
            colour=light,
            dark=dark,
            marker=MARKERS[index % len(MARKERS)],
            filled=True,
            dashes=(SOLID, *DASHES)[index % (1 + len(DASHES))],
            focus=False,
        )
        if found:
            series.append(
                Series(
                    style,
                    tuple(n / width for n in found),
                    tuple(score.value for score in found.values()),
                    tuple(score.low for score in found.values()),
                    tuple(score.high for score in found.values()),
                )
            )
    ends = [x for one in series for x in one.x] or [1.0]
    ticks = tuple(10.0**k for k in range(-6, 4) if min(ends) / 2 <= 10.0**k <= max(ends) * 2)
    return Panel(label, "edits per key dimension", "average", tuple(series), ticks=ticks)
