"""The page: figures drawn, tables made, put into the template."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from benchmarks.methods import repair_of
from benchmarks.report import (
    capacity,
    consistency,
    cost_tables,
    examples,
    figures,
    provenance,
    score_tables,
    summary,
)
from benchmarks.report.figures import Figure
from benchmarks.report.model import Section, Study
from benchmarks.report.plots import marker_path, panel_svg
from benchmarks.report.style import Style, inline_colours, palette, styles
from benchmarks.report.svg import inline, swatch, swatch_symbol
from benchmarks.report.view import Table, counted

TEMPLATES = Path(__file__).parent / "templates"
Shown = tuple[Figure, list[Markup], list[tuple[str, Markup, str]]]
"""A figure, its panels drawn, and its legend: labels, swatches, CSS classes."""


class Page:
    """Makes ``report.html`` of a study; ``figures`` are those it shows, for files of their own."""

    def __init__(self, study: Study) -> None:
        self.study = study
        self.styles = styles(study.entries)
        self.figures: list[Figure] = []
        self._symbols: dict[str, Markup] = {}
        self._swatches = {label: self._swatch(style) for label, style in self.styles.items()}

    def render(self) -> str:
        """The page as text."""
        environment = Environment(
            loader=FileSystemLoader(TEMPLATES),
            autoescape=True,
            undefined=StrictUndefined,
            trim_blocks=True,
            lstrip_blocks=True,
        )
        study = self.study
        names = provenance.run_names(study)
        shown = {
            "study": study,
            "lead": _lead(study),
            "styles": self.styles,
            "swatches": self._swatches,
            "colours": Markup("\n".join(_rules(self.styles))),
            "headlines": summary.headlines(study),
            "ahead": summary.ahead_table(study),
            "summary": summary.summary_table(study),
            "targets": summary.targets_table(study),
            "overview": self._show(figures.overview(study, self.styles)),
            "sections": [self._section(section, names) for section in study.sections],
            "unedited": score_tables.UNEDITED,
            "capacity": [self._show(figure) for figure in capacity.capacity(study)],
            "failures": provenance.failures_table(study),
            "runs": provenance.runs_table(study),
            "repairs": _repairs(study),
            "anchor": provenance.anchor,
        }
        template = environment.get_template("page.html.j2")
        return template.render(shown | {"symbols": list(self._symbols.values())})

    def _section(self, section: Section, names: Mapping[provenance.Run, str]) -> dict[str, Any]:
        curves = []
        for n in reversed(section.lengths):
            if n > 1 and (shown := self._show(figures.forgetting(section, self.styles, n))):
                curves.append((shown, score_tables.forgetting_table(section, n)))
        return {
            "slug": section.slug,
            "title": section.title,
            "dataset": section.dataset,
            "model": section.model,
            "main": score_tables.main_table(section),
            "scores": self._show(figures.scores(section, self.styles)),
            "forgetting": curves,
            "before_after": self._show(figures.before_after(section, self.styles)),
            "before_after_table": score_tables.before_after_table(section),
            "trade_off": self._show(figures.trade_off(section, self.styles)),
            "criteria": _by_length(section, score_tables.criteria_table),
            "consistency": _by_length(section, consistency.consistency_table),
            "swaps": _by_length(section, consistency.swaps_table),
            "cost": self._show(figures.cost(section, self.styles)),
            "cost_table": cost_tables.cost_table(section),
            "side_effects": _by_length(section, cost_tables.side_effects_table),
            "variants": score_tables.variants_table(section),
            "examples": examples.example_cases(section),
            "provenance": provenance.provenance_table(section, names),
        }

    def _show(self, figure: Figure) -> Shown | None:
        """A figure drawn; None if it has nothing to show."""
        if not figure.panels:
            return None
        self.figures.append(figure)
        name = f"f{len(self.figures)}"
        by_key = {style.key: style for style in figure.styles}
        drawn = [
            Markup(inline(panel_svg(panel), f"{name}-{n}", panel.summary, by_key, inline_colours()))
            for n, panel in enumerate(figure.panels)
        ]
        named = all(panel.kind == "pairs" for panel in figure.panels)
        legend = [(s.label, self._swatch(s), s.classes) for s in figure.styles if not named]
        return figure, drawn, legend

    def _swatch(self, style: Style) -> Markup:
        symbol = swatch_symbol(style, marker_path(style), inline_colours())
        self._symbols[style.key] = Markup(symbol)
        return Markup(swatch(style))


def _by_length(
    section: Section, table: Callable[[Section, Sequence[int]], Table | None]
) -> list[Table]:
    """A table of the longest sequences, and one of all others; none if nothing was measured."""
    *others, longest = section.lengths
    first, rest = table(section, [longest]), table(section, others[::-1]) if others else None
    if rest and first:
        rest = replace(rest, caption=f"{rest.caption}, shorter sequences")
    return [one for one in (first, rest) if one]


def _lead(study: Study) -> str:
    times = sorted(result.time for result in study.results if result.time)
    parts = [
        counted(len(study.entries), "method"),
        counted(len({section.dataset for section in study.sections}), "data set"),
        counted(len({section.model for section in study.sections}), "base model"),
        f"sequences of {_listed([f'{n:,}' for n in study.lengths])} edits",
    ]
    days = list(dict.fromkeys(time[:10] for time in times))
    when = f", computed {' to '.join(dict.fromkeys((days[0], days[-1])))}" if days else ""
    return ", ".join(parts) + when + "."


def _listed(words: Sequence[str]) -> str:
    return " and ".join([", ".join(words[:-1]), words[-1]] if len(words) > 1 else words)


def _rules(found: Mapping[str, Style]) -> Iterable[str]:
    """CSS: colours of methods, and what is dimmed when one is highlighted."""
    for scheme, index in (("light", 0), ("dark", 1)):
        values = "; ".join(f"{name}: {pair[index]}" for name, pair in palette().items())
        yield f"@media (prefers-color-scheme: {scheme}) {{ :root {{ {values} }} }}"
    for style in found.values():
        chosen = f'body:has(#highlight option[value="{style.key}"]:checked)'
        yield f"{chosen} svg .m:not(.{style.key}) {{ opacity: .12 }}"
        yield f"{chosen} .legend .m:not(.{style.key}) {{ opacity: .5 }}"
        yield f"{chosen} tr.{style.key} > * {{ background: var(--pick) }}"


def _repairs(study: Study) -> list[tuple[str, str]]:
    methods = dict.fromkeys(method for method, _ in study.entries.values())
    return [(method, words) for method in methods if (words := repair_of(method))]
