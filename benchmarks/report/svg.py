"""SVG documents of matplotlib, made fit to stand in a page: small, themed, named."""

from __future__ import annotations

import html
import re
from collections.abc import Mapping

from benchmarks.report.style import Style

_SERIES = re.compile(r'<g id="series:(?P<key>\w+):\w+">')
_TAG = re.compile(r"<[^>]*>")
_NUMBER = re.compile(r"-?\d+\.\d{3,}")
_REMOVED = re.compile(
    r"<metadata>.*?</metadata>|<style[^>]*>.*?</style>|<!--.*?-->|\s*xmlns(?::\w+)?=\"[^\"]*\"",
    re.DOTALL,
)


def inline(
    document: str, name: str, summary: str, styles: Mapping[str, Style], colours: Mapping[str, str]
) -> str:
    """An ``<svg>`` element for the page.

    Args:
        document: as matplotlib writes it, text as text.
        name: prefix of its ids, so that no two plots of a page share one.
        summary: what a screen reader says instead.
        styles: by :attr:`Style.key`, of the series named ``series:<key>:<part>``; each becomes a
            group of classes ``m`` and its key, with the method's name as a tooltip.
        colours: what replaces each colour, by its hexadecimal name.
    """
    text = _REMOVED.sub("", document[document.index("<svg") :])
    view = re.search(r'viewBox="([^"]*)"', text)
    body = text[text.index(">") + 1 :].strip().removesuffix("</svg>").replace("xlink:", "")
    body = _SERIES.sub(lambda match: _series(styles[match["key"]]), body)
    used = dict.fromkeys(re.findall(r'(?:url\(|href=")#([^")]*)', body))
    short = {long: f"{name}-{number}" for number, long in enumerate(used)}
    body = re.sub(r' id="([^"]*)"', lambda m: f' id="{short[m[1]]}"' if m[1] in short else "", body)
    body = re.sub(r'(url\(|href=")#([^")]*)', lambda m: f"{m[1]}#{short[m[2]]}", body)
    body = _TAG.sub(lambda match: _shortened(match[0], colours), body)
    body = re.sub(r"\s*\n\s*", "\n", body)
    while body != (without := re.sub(r"<g/>\n|<defs>\n</defs>\n|<g>\n</g>\n", "", body)):
        body = without
    label = html.escape(summary)
    return (
        f'<svg class="plot" viewBox="{view[1] if view else ""}" role="img" aria-label="{label}">'
        f"{body}</svg>"
    )


def _shortened(tag: str, colours: Mapping[str, str]) -> str:
    """A tag without what the page's style sheet says, two decimals, its colours replaced."""
    # Sizes only: the family is the page's.
    tag = re.sub(r"font: (bold |700 )?([\d.]+px) [^;\"]*", _font, tag)
    tag = re.sub(r"font-family: [^;\"]*;? ?|font-size: 10px; ?", "", tag)
    tag = re.sub(r' transform="rotate\(-?0 [^"]*"', "", tag)
    for colour, replacement in colours.items():
        tag = tag.replace(colour, replacement)
    return _NUMBER.sub(lambda match: f"{float(match[0]):.2f}".rstrip("0").rstrip("."), tag)


def _series(style: Style) -> str:
    return f'<g class="{style.classes}"><title>{html.escape(style.label)}</title>'


def _font(match: re.Match[str]) -> str:
    return f"font-size: {match[2]}" + ("; font-weight: bold" if match[1] else "")


def swatch_symbol(style: Style, marker: str, colours: Mapping[str, str]) -> str:
    """The line and marker of a method for legends; ``marker`` is its path."""
    colour = colours.get(style.colour, style.colour)
    fill = colour if style.filled else "var(--paper)"
    dashes = f' stroke-dasharray="{style.dashes}"' if style.dashes else ""
    size = 10 if style.focus else 8
    return (
        f'<g id="swatch-{style.key}">'
        f'<path d="M1 7H33" stroke="{colour}" stroke-width="{style.width}"{dashes}/>'
        f'<path d="{marker}" transform="translate(17 7) scale({size})" fill="{fill}" '
        f'stroke="{colour}" stroke-width="{1.2 / size:.3f}"/></g>'
    )


def swatch(style: Style) -> str:
    """Shows a :func:`swatch_symbol` that stands elsewhere in the page."""
    return (
        '<svg class="swatch" width="34" height="14" aria-hidden="true">'
        f'<use href="#swatch-{style.key}"/></svg>'
    )
