"""The page: one HTML file with figures and tables, for a desk and for a phone."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from dafnet_plugin.dafset.analyse.drawing import Figure, panel_svg, percent
from dafnet_plugin.dafset.analyse.findings import MAY_BE, MUST_BE_NONE, findings
from dafnet_plugin.dafset.analyse.style import Style, palette, readable
from dafnet_plugin.dafset.extras import require

Data = Mapping[str, Any]
_WORDS = {
    "frequency": "mentions",
    "degree": "statements",
    "views": "views",
    "likelihood": "likelihood",
}


def render(data: Data, drawn: Sequence[Figure], looks: Mapping[str, Style]) -> str:
    """The page as text; whatever comes from data is escaped."""
    jinja, markup = require("jinja2", "report"), require("markupsafe", "report").Markup
    environment = jinja.Environment(
        loader=jinja.PackageLoader(__package__, "templates"),
        autoescape=True,
        undefined=jinja.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {"percent": percent, "readable": readable, "number": number}
    shown = {}
    for figure in drawn:
        panels = [
            (panel.title, markup(panel_svg(panel, f"{figure.name}-{index}")))
            for index, panel in enumerate(figure.panels)
            if figure.name != "overlap"  # the page has it as a table
        ]
        shown[figure.name] = (figure, panels)
    text: str = environment.get_template("page.html.j2").render(
        data=data,
        findings=findings(data),
        shown=shown,
        looks=looks,
        overview=overview(data),
        checks=[(words, data["duplicates"][key], True) for key, words in MUST_BE_NONE.items()]
        + [(words, data["duplicates"][key], False) for key, words in MAY_BE.items()],
        origin=origin_rows(data["origin"]),
        colours=markup("\n".join(_colours(looks))),
    )
    return text


def overview(data: Data) -> dict[str, Any]:
    """The table of all sets: a row each, the medians of what was measured last."""
    measured = [one["name"] for one in data["measures"]]
    rows = []
    for one in data["sets"]:
        medians = []
        for measure in data["measures"]:
            series = next(s for s in measure["series"] if s["set"] == one["name"])
            partial = series["known"] < series["asked"]
            note = f"{percent(series['known'] / max(1, series['asked']))} known" if partial else ""
            medians.append((number(series["median"]), note if series["known"] else ""))
        rows.append((one, medians))
    return {"heads": [_WORDS[name] for name in measured], "rows": rows}


def number(value: float | int | None) -> str:
    """A number for a reader; a dash for what is not known."""
    if value is None:
        return "\N{EN DASH}"
    if isinstance(value, int) or (value == int(value) and abs(value) >= 1):
        return f"{int(value):,}"
    return f"{value:.3g}"


def origin_rows(origin: Any, prefix: str = "") -> list[tuple[str, str]]:
    """What ``dataset.json`` says, flat: long lists by their length."""
    if not isinstance(origin, Mapping):
        return []
    rows: list[tuple[str, str]] = []
    for key, value in origin.items():
        name = f"{prefix}{str(key).replace('_', ' ')}"
        if isinstance(value, Mapping) and len(prefix) < 60:
            rows += origin_rows(value, f"{name}: ")
        elif isinstance(value, list):
            short = ", ".join(map(str, value))
            text = short if len(short) < 160 else f"{len(value)} entries"
            rows.append((name, text))
        else:
            rows.append((name, "\N{EN DASH}" if value is None else str(value)))
    return rows


def _colours(looks: Mapping[str, Style]) -> list[str]:
    rules = []
    for scheme, index in (("light", 0), ("dark", 1)):
        values = "; ".join(f"{name}: {pair[index]}" for name, pair in palette().items())
        rules.append(f"@media (prefers-color-scheme: {scheme}) {{ :root {{ {values} }} }}")
    for look in looks.values():
        edge = "dashed" if look.dashes else "solid"
        rules.append(f".{look.key} {{ border-top: 3px {edge} var(--{look.colour[1:]}) }}")
    return rules
