"""SVG documents of matplotlib, made fit to stand in a page: small, themed, with ids of its own."""

from __future__ import annotations

import html
import re

from dafnet_plugin.dafset.analyse.style import inline_colours

_REMOVED = re.compile(
    r"<metadata>.*?</metadata>|<style[^>]*>.*?</style>|<!--.*?-->|\s*xmlns(?::\w+)?=\"[^\"]*\"",
    re.DOTALL,
)
_TAG = re.compile(r"<[^>]*>")
_NUMBER = re.compile(r"-?\d+\.\d{3,}")


def inline(document: str, name: str, summary: str) -> str:
    """An ``<svg>`` element for the page.

    Args:
        document: as matplotlib writes it, text as text.
        name: prefix of its ids.
        summary: what a screen reader says instead.
    """
    text = _REMOVED.sub("", document[document.index("<svg") :])
    view = re.search(r'viewBox="([^"]*)"', text)
    body = text[text.index(">") + 1 :].strip().removesuffix("</svg>").replace("xlink:", "")
    used = dict.fromkeys(re.findall(r'(?:url\(|href=")#([^")]*)', body))
    short = {long: f"{name}-{number}" for number, long in enumerate(used)}
    body = re.sub(r' id="([^"]*)"', lambda m: f' id="{short[m[1]]}"' if m[1] in short else "", body)
    body = re.sub(r'(url\(|href=")#([^")]*)', lambda m: f"{m[1]}#{short[m[2]]}", body)
    body = _TAG.sub(lambda match: _themed(match[0]), body)
    body = re.sub(r"\s*\n\s*", "\n", body)
    box = view[1] if view else ""
    width = float(box.split()[2]) * 96 / 72 if box else 0.0
    return (
        f'<svg class="plot" viewBox="{box}" style="max-width:{width:.0f}px" role="img" '
        f'aria-label="{html.escape(summary)}">{body}</svg>'
    )


def _themed(tag: str) -> str:
    """A tag in the page's colours and type, with two decimals."""
    tag = re.sub(r"font: (?:bold |700 )?([\d.]+px) [^;\"]*", r"font-size: \1", tag)
    for colour, replacement in inline_colours().items():
        tag = tag.replace(colour, replacement)
    if tag.startswith("<text") and "fill:" not in tag:
        tag = tag.replace("<text", '<text fill="currentColor"', 1)
    return _NUMBER.sub(lambda match: f"{float(match[0]):.2f}".rstrip("0").rstrip("."), tag)
