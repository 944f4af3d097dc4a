"""The figures, drawn from the plain data of ``analysis.json``."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from dafnet_plugin.dafset.analyse.drawing import Figure, Panel, percent
from dafnet_plugin.dafset.analyse.knowledge import UNKNOWN
from dafnet_plugin.dafset.analyse.style import INK, MOODS, MUTED, PAPER, Style
from dafnet_plugin.dafset.analyse.summary import TOO_FEW

Data = Mapping[str, Any]
ROW = 0.21
"""Inches of a row of bars."""
COLUMN = 17
"""Rows of bars in a panel, at most, where more of them can stand beside each other."""

_AXES = {
    "frequency": ("How often subjects are mentioned", "mentions in the corpus"),
    "degree": ("How connected subjects are", "statements in the graph"),
    "views": ("How much subjects are read about", "page views"),
    "likelihood": ("How likely a model finds true answers", "probability per token"),
}


def figures(data: Data, looks: Mapping[str, Style]) -> list[Figure]:
    """All figures that there are data for."""
    found = [measures(data, looks), domains(data, looks), relations(data, looks), contexts(data)]
    return [*(one for one in found if one is not None and one.panels), overlap(data, looks)]


def measures(data: Data, looks: Mapping[str, Style]) -> Figure:
    """Cumulative distributions on two logarithmic axes."""
    shown = {s["set"]: None for one in data["measures"] for s in one["series"] if s["curve"]}
    return Figure(
        "distributions",
        "Share of a set's subjects that have at least so many mentions, statements or page views "
        "(for likelihood: share of its facts that are at most so likely). Both axes are "
        "logarithmic; subjects with none count in the shares.",
        [_measure(one, looks) for one in data["measures"]],
        [looks[name] for name in shown],
    )


def _measure(one: Data, looks: Mapping[str, Style]) -> Panel:
    title, label = _AXES[one["name"]]

    def draw(axes: Any) -> None:
        axes.set_xscale("log")
        axes.set_yscale("log")
        axes.grid(True)
        for series in one["series"]:
            if series["curve"]:
                x, y = zip(*series["curve"], strict=True)
                where = "post" if one["name"] == "likelihood" else "pre"
                axes.step(x, y, where=where, **looks[series["set"]].line)
                if len(x) == 1:
                    axes.plot(x, y, "o", markersize=3, color=looks[series["set"]].colour)
        for axis in (axes.xaxis, axes.yaxis):
            _plain_ticks(axis)
        most = "most" if one["name"] == "likelihood" else "least"
        axes.set_xlabel(label)
        axes.set_ylabel(f"share with at {most} this")

    medians = ", ".join(
        f"{looks[s['set']].label} {s['median']:.3g}"
        for s in one["series"]
        if s["median"] is not None
    )
    return Panel(title, draw, f"{title}. Medians: {medians}.")


def _plain_ticks(axis: Any) -> None:
    """A few numbers a reader can read, instead of powers of ten."""
    from matplotlib.ticker import FuncFormatter, LogLocator, NullLocator

    low, high = axis.get_view_interval()
    narrow = low > 0 and high / low < 200
    axis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0) if narrow else (1.0,), numticks=9))
    axis.set_minor_locator(NullLocator())
    axis.set_major_formatter(FuncFormatter(lambda value, _: _tick(value)))


def _tick(value: float) -> str:
    for size, letter in ((1e9, "G"), (1e6, "M"), (1e3, "k")):
        if value >= size:
            return f"{value / size:g}{letter}"
    return f"{value:g}"


def domains(data: Data, looks: Mapping[str, Style]) -> Figure | None:
    """Share of subjects by domain: bars for the DAFSet, markers for the others."""
    panels, unknown = [], []
    for name, row in data["domains"]["sets"].items():
        known = {domain: count for domain, count in row.items() if domain != UNKNOWN}
        total = sum(known.values())
        share = total / max(1, sum(row.values()))
        if share < 1:
            unknown.append(f"{looks[name].label} {percent(1 - share)}")
        if total and share >= TOO_FEW:
            values = [count / total for count in known.values()]
            panels.append(_bars(looks[name].label, list(known), {looks[name].colour: values}))
    beside = f" Not known, and left out: {', '.join(unknown)}." if unknown else ""
    if not panels:
        return None
    caption = f"Share of subjects by domain ({data['domains']['basis']}).{beside}"
    return Figure("domains", caption, panels)


def relations(data: Data, looks: Mapping[str, Style]) -> Figure | None:
    """Samples by relation, stacked by file."""
    rows = data["relations"]
    if not rows:
        return None
    parts = [one["name"] for one in data["sets"] if one["own"]]
    names = [
        f"{row['label']} ({row['id']})" if row["label"] != row["id"] else row["id"] for row in rows
    ]
    total = sum(sum(row["counts"].values()) for row in rows)
    totals = [sum(row["counts"].values()) / total for row in rows]
    panels = []
    columns = -(-len(rows) // COLUMN)  # side by side at a desk, one below the other on a phone
    for start in range(0, len(rows), -(-len(rows) // columns)):
        part = slice(start, start + -(-len(rows) // columns))
        stacked = {
            looks[name].colour: [row["counts"].get(name, 0) / total for row in rows[part]]
            for name in parts
        }
        title = (
            f"Relations {start + 1} to {start + len(rows[part])}" if columns > 1 else "All files"
        )
        panels.append(_bars(title, names[part], stacked, most=max(totals)))
    caption = f"Share of the {total:,} samples by relation and file."
    return Figure("relations", caption, panels, [looks[part] for part in parts])


def _bars(
    title: str,
    names: Sequence[str],
    stacked: Mapping[str, Sequence[float]],
    *,
    most: float | None = None,
) -> Panel:
    """Horizontal bars, the first at the top, with their percentages."""
    totals = [sum(values) for values in zip(*stacked.values(), strict=True)]

    def draw(axes: Any) -> None:
        left = [0.0] * len(names)
        for colour, values in stacked.items():
            edge = {"edgecolor": PAPER, "linewidth": 0.5}
            axes.barh(range(len(names)), values, left=left, color=colour, height=0.72, **edge)
            left = [a + b for a, b in zip(left, values, strict=True)]
        for row, value in enumerate(totals):
            if not value:
                continue
            axes.text(value, row, f"  {value:.1%}", va="center", fontsize=7.5, color=MUTED)
        axes.set_yticks(range(len(names)), [_short(name) for name in names])
        axes.tick_params(axis="y", length=0)
        axes.set_xticks([])
        axes.set_xlim(0, (most or max(totals, default=0.0)) * 1.2 or 1.0)
        axes.set_ylim(len(names) - 0.4, -0.6)
        axes.spines["bottom"].set_visible(False)

    top = ", ".join(f"{name} {value:.0%}" for name, value in list(zip(names, totals))[:5])
    return Panel(title, draw, f"{title}: {top}.", 0.45 + ROW * max(4, len(names)))


def _short(name: str, most: int = 30) -> str:
    # A label is text, and "$" begins a formula in matplotlib.
    name = name if len(name) <= most else f"{name[: most - 1]}…"
    return name.replace("$", r"\$")


def contexts(data: Data) -> Figure | None:
    """Lengths, sentiments, and how the combinations are filled."""
    found = data["contexts"]
    if found is None:
        return None
    panels = [_lengths(found), _scores(found)]
    if found["described"]:
        panels.append(_cells(found))
    caption = (
        f"{found['contexts']:,} contexts of {found['samples']:,} samples, "
        f"{found['distinct']:,} of them different."
    )
    return Figure("contexts", caption, panels)


def _lengths(found: Data) -> Panel:
    words = {int(words): count for words, count in found["words"].items()}

    def draw(axes: Any) -> None:
        axes.bar(list(words), list(words.values()), width=0.8, color=MOODS["neutral"][0])
        for edge in (8.5, 16.5):
            axes.axvline(edge, color=INK, linewidth=0.7, linestyle=(0, (2, 2)))
        axes.set_xlabel("words")
        axes.set_ylabel("contexts")
        axes.grid(True, axis="y")

    summary = f"Contexts have {min(words)} to {max(words)} words."
    return Panel("Length", draw, summary)


def _scores(found: Data) -> Panel:
    counts = found["scores"]
    width = 2 / len(counts)
    middles = [-1 + width * (index + 0.5) for index in range(len(counts))]

    def draw(axes: Any) -> None:
        moods = ["negative" if x < -0.05 else "positive" if x > 0.1 else "neutral" for x in middles]
        colours = [MOODS[mood][0] for mood in moods]
        axes.bar(middles, counts, width=width * 0.85, color=colours)
        axes.set_xlabel("sentiment score (-1 negative, 1 positive)")
        axes.set_ylabel("contexts")
        axes.set_xlim(-1, 1)
        axes.set_xticks([-1, -0.5, 0, 0.5, 1])
        axes.grid(True, axis="y")

    shares = ", ".join(f"{count:,} {name}" for name, count in found["sentiments"].items())
    return Panel("Sentiment", draw, f"Contexts by sentiment: {shares}.")


def _cells(found: Data) -> Panel:
    names = {key: list(found[key]) for key in ("lengths", "contents", "sentiments")}
    rows = [[count for column in row for count in column] for row in found["cells"]]
    most = max(max(row) for row in rows) or 1

    def draw(axes: Any) -> None:
        for y, row in enumerate(rows):
            for x, count in enumerate(row):
                left, colour = x + 0.25 * (x // 3), MOODS[names["sentiments"][x % 3]][0]
                box = {"width": 0.94, "left": left - 0.47, "height": 0.9, "color": colour}
                axes.barh(y, alpha=0.1 + 0.35 * count / most, **box)
                axes.text(left, y, str(count), ha="center", va="center", fontsize=7.5)
        axes.set_yticks(range(3), names["lengths"][:3])
        places = [1 + 3.25 * index for index in range(3)]
        axes.set_xticks(places, names["contents"][:3])
        axes.tick_params(length=0)
        axes.invert_yaxis()
        axes.set_xlabel("in each: positive, negative, neutral")
        for side in ("left", "bottom"):
            axes.spines[side].set_visible(False)

    flat = [count for row in rows for count in row]
    summary = f"Each combination occurs {min(flat)} to {max(flat)} times."
    return Panel("Length, content and sentiment", draw, summary)


def overlap(data: Data, looks: Mapping[str, Style]) -> Figure:
    """Shared subjects, as a file only: the page has it as a table."""
    found = data["overlap"]
    names = [looks[name].label if name in looks else name for name in found["names"]]

    def draw(axes: Any) -> None:
        for y, row in enumerate(found["subjects"]):
            for x, share in enumerate(row):
                alpha = 0.06 + 0.6 * (share or 0.0)
                axes.barh(y, 0.96, left=x - 0.48, height=0.94, color="#0b62a4", alpha=alpha)
                axes.text(x, y, percent(share), ha="center", va="center", fontsize=7.5)
        axes.set_xticks(range(len(names)), names, rotation=40, ha="right")
        axes.set_yticks(range(len(names)), names)
        axes.tick_params(length=0)
        axes.invert_yaxis()
        for side in ("left", "bottom"):
            axes.spines[side].set_visible(False)

    panel = Panel("Shared subjects", draw, "", 0.9 + 0.34 * len(names), True)
    return Figure("overlap", "Share of the row's subjects that the column has, too.", [panel])
