"""What the plots show: series of numbers, not yet drawn."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Literal

from benchmarks.report.model import DIGITS, Group, Section, Study, mean
from benchmarks.report.style import Style

Styles = Mapping[str, Style]
NAMES = {
    "reliability": "Reliability",
    "generality": "Generality",
    "locality": "Locality",
    "average": "Average",
}


@dataclass(frozen=True)
class Series:
    """Points of one method; ``low`` and ``high`` bound the 95 % interval of y, if any."""

    style: Style
    x: tuple[float, ...]
    y: tuple[float | None, ...]
    low: tuple[float | None, ...] = ()
    high: tuple[float | None, ...] = ()


@dataclass(frozen=True)
class Panel:
    """One pair of axes.

    Attributes:
        kind: ``lines`` through the points of a series, ``scatter`` of single points, or
            ``pairs``: from ``x[0]`` (hollow) to ``x[1]`` (filled), a row for each series.
        x_scale: ``log``, ``score`` (0 to 1) or ``followed`` (logarithmic, but with a zero).
        y_scale: ``score``, or ``amount``: from zero, logarithmic if amounts differ tenfold.
        ticks: where the x axis has its numbers; for ``log`` and ``followed``.
    """

    title: str
    xlabel: str
    ylabel: str
    series: tuple[Series, ...]
    kind: Literal["lines", "scatter", "pairs"] = "lines"
    x_scale: Literal["log", "score", "followed"] = "log"
    y_scale: Literal["amount", "score"] = "score"
    ticks: tuple[float, ...] = ()

    @property
    def summary(self) -> str:
        """The plot in words, for those who cannot see it."""
        parts = []
        for series in self.series:
            known = [(x, y) for x, y in zip(series.x, series.y) if y is not None]
            if self.kind == "pairs":
                parts.append(f"{series.style.label} {_short(series.x[0])} to {_short(series.x[1])}")
            elif self.kind == "scatter":
                parts.append(f"{series.style.label} {_short(known[0][0])}, {_short(known[0][1])}")
            else:
                x, y = known[-1]
                parts.append(f"{series.style.label} {_short(y)} at {_short(x)}")
        what = {"pairs": "", "scatter": "x, y: ", "lines": "At the right end: "}[self.kind]
        if self.kind == "pairs":
            return f"{self.title}. {self.xlabel}, first to last: {'; '.join(parts)}."
        ylabel = f"{self.ylabel[:1].upper()}{self.ylabel[1:]} against" if self.ylabel else "Against"
        return f"{self.title}. {ylabel} {self.xlabel}. {what}{'; '.join(parts)}."


@dataclass(frozen=True)
class Figure:
    """Panels that belong together, with one legend.

    Attributes:
        name: of its files, and its anchor in the page.
        failed, not_run: methods, with the lengths, that nothing could be drawn of.
    """

    name: str
    title: str
    caption: str
    panels: tuple[Panel, ...]
    failed: tuple[str, ...] = ()
    not_run: tuple[str, ...] = ()

    @property
    def styles(self) -> list[Style]:
        """For the legend."""
        found = {series.style.key: series.style for p in self.panels for series in p.series}
        return list(found.values())


def overview(study: Study, styles: Styles) -> Figure:
    """The final average against the number of edits, a panel for each section."""
    return Figure(
        "overview",
        "Average after the last edit, by number of edits",
        "Mean of final reliability, generality and locality. Bars: 95 % intervals.",
        tuple(
            panel
            for section in study.sections
            if (panel := _by_length(section, styles, "average", section.title, "average")).series
        ),
    )


def scores(section: Section, styles: Styles) -> Figure:
    """Each final score against the number of edits."""
    panels = (_by_length(section, styles, name, NAMES[name], "") for name in NAMES)
    return Figure(
        f"{section.slug}-scores",
        "Scores after the last edit, by number of edits",
        "Every edit of a sequence scored after the last one. Bars: 95 % intervals.",
        tuple(panel for panel in panels if panel.series),
        *_missing(section, section.lengths),
    )


def forgetting(section: Section, styles: Styles, num_edits: int) -> Figure:
    """The score of an edit against how many edits followed it."""
    panels = []
    for name in ("reliability", "generality", "locality"):
        series = []
        for label in section.labels:
            points = curve(section.groups[label, num_edits]).items()
            known = [(x, y[name]) for x, y in points if y[name] is not None]
            if known:
                series.append(Series(styles[label], *map(tuple, zip(*known))))
        if series:
            ticks = tuple(10**k for k in range(7) if 10**k <= max(s.x[-1] for s in series))
            panels.append(
                Panel(
                    NAMES[name],
                    "edits made since",
                    "",
                    tuple(series),
                    x_scale="followed",
                    ticks=(0, *ticks),
                )
            )
    return Figure(
        f"{section.slug}-forgetting-{num_edits}",
        f"Forgetting over {num_edits:,} edits",
        "How well an edit still holds after so many others; 0 is right after it was made. "
        "Each point is the mean over the edits that so many followed.",
        tuple(panels),
        *_missing(section, (num_edits,)),
    )


def curve(group: Group) -> dict[int, dict[str, float | None]]:
    """The forgetting curve of a group: scores by the number of edits that followed.

    Sequences count by the number of edits that each of their points averages.
    """
    points: dict[int, list[dict[str, float | None]]] = defaultdict(list)
    for result in group.ok if group.shown else ():
        for point in result.forgetting:
            points[int(point["followed"] or 0)].append(point)
    found: dict[int, dict[str, float | None]] = {}
    for followed, some in sorted(points.items()):
        found[followed] = {"edits": sum(point["edits"] or 0 for point in some)}
        for name in ("reliability", "generality", "locality"):
            known = [(p["edits"] or 0, v) for p in some if (v := p.get(name)) is not None]
            weight = sum(edits for edits, _ in known)
            total = sum(edits * value for edits, value in known)
            found[followed][name] = total / weight if weight else None
    return found


def before_after(section: Section, styles: Styles) -> Figure:
    """Average right after each edit, and at the end; no panel for single edits: it is the same."""
    panels = []
    for n in section.lengths:
        pairs = []
        for label in section.labels:
            first = section.groups[label, n].score("average", "immediate")
            last = section.groups[label, n].score("average")
            if n > 1 and first and last:
                pairs.append((first.value, last.value, styles[label]))
        pairs.sort(key=lambda pair: pair[1])
        series = tuple(
            Series(style, (first, last), (row, row))
            for row, (first, last, style) in enumerate(pairs)
        )
        if series:
            panels.append(
                Panel(f"{n:,} edits", "average", "", series, kind="pairs", x_scale="score")
            )
    return Figure(
        f"{section.slug}-immediate-final",
        "Right after each edit, and at the end",
        "Hollow: mean of reliability, generality and locality right after each edit. Filled: of "
        "the same edits after the last one. The line between them is what was lost.",
        tuple(panels),
        *_missing(section, [n for n in section.lengths if n > 1]),
    )


def trade_off(section: Section, styles: Styles) -> Figure:
    """What was learnt against what was left alone."""
    panels = []
    for n in section.lengths:
        series = []
        for label in section.labels:
            group = section.groups[label, n]
            found = [group.score(name) for name in ("reliability", "generality")]
            learnt = mean([score.value for score in found if score])
            locality = group.score("locality")
            if learnt is not None and locality:
                series.append(Series(styles[label], (locality.value,), (learnt,)))
        if series:
            title = f"{n:,} edit{'s' if n > 1 else ''}"
            panels.append(
                Panel(
                    title,
                    "locality",
                    "reliability and generality",
                    tuple(series),
                    kind="scatter",
                    x_scale="score",
                )
            )
    return Figure(
        f"{section.slug}-trade-off",
        "What was learnt against what was left alone",
        "Final locality against the mean of final reliability and generality; the upper right "
        "corner is ideal. Along each thin line the average of the table is the same.",
        tuple(panels),
        *_missing(section, section.lengths),
    )


def cost(section: Section, styles: Styles) -> Figure:
    """Time and memory against the number of edits."""
    panels = []
    for name, title, unit in (
        ("seconds_per_edit", "Time", "seconds per edit"),
        ("peak_memory_mb", "Memory", "peak while editing, MiB"),
    ):
        series = []
        for label in section.labels:
            values = tuple(section.groups[label, n].mean(name) for n in section.lengths)
            if any(values):
                series.append(Series(styles[label], section.lengths, values))
        if series:
            panels.append(
                Panel(title, "edits", unit, tuple(series), y_scale="amount", ticks=section.lengths)
            )
    return Figure(
        f"{section.slug}-cost",
        "Time and memory, by number of edits",
        "Seconds per edit by the wall clock, without scoring; memory of the process or of the "
        "accelerator. Amounts that differ more than tenfold are on a logarithmic axis.",
        tuple(panels),
        *_missing(section, section.lengths),
    )


def _by_length(section: Section, styles: Styles, name: str, title: str, ylabel: str) -> Panel:
    series = []
    for label in section.labels:
        found = [section.groups[label, n].score(name) for n in section.lengths]
        if any(found):
            series.append(
                Series(
                    styles[label],
                    section.lengths,
                    tuple(score.value if score else None for score in found),
                    tuple(score.low if score else None for score in found),
                    tuple(score.high if score else None for score in found),
                )
            )
    return Panel(title, "edits", ylabel, tuple(series), ticks=section.lengths)


def _missing(section: Section, lengths: Iterable[int]) -> Iterator[tuple[str, ...]]:
    """The methods that failed, and those that were not run, by length."""
    for status in ("failed", "missing"):
        of_length = {
            n: [label for label in section.labels if section.groups[label, n].status == status]
            for n in lengths
        }
        yield tuple(f"{', '.join(labels)} at {n:,}" for n, labels in of_length.items() if labels)


def _short(value: float) -> str:
    return f"{value:,.{DIGITS}g}" if abs(value) < 1000 else f"{value:,.0f}"
