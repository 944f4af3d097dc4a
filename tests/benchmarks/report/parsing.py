"""What a browser would find in the page: its tables, links and ids."""

from __future__ import annotations

from dataclasses import dataclass, field
from html.parser import HTMLParser
from typing import Any

VOID = {"meta", "input", "br", "hr", "img", "link", "use", "path"}


@dataclass
class ParsedCell:
    tag: str
    attributes: dict[str, str]
    text: str = ""
    bold: str = ""
    small: str = ""

    @property
    def classes(self) -> set[str]:
        return set(self.attributes.get("class", "").split())

    @property
    def span(self) -> int:
        return int(self.attributes.get("colspan", 1))


@dataclass
class ParsedTable:
    caption: str = ""
    rows: list[list[ParsedCell]] = field(default_factory=list)

    def cells(self, head: str) -> list[ParsedCell]:
        """Cells of the first row with this head."""
        return next(row[1:] for row in self.rows if row and row[0].text == head)


class Page(HTMLParser):
    """Parses a page; ``sr`` text (for screen readers) and small print are kept apart."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tables: list[ParsedTable] = []
        self.ids: list[str] = []
        self.links: list[str] = []
        self.tags: list[tuple[str, dict[str, str]]] = []
        self.text = ""
        self._open: list[tuple[str, dict[str, str]]] = []
        self._cell: ParsedCell | None = None
        self.feed(text)

    def table(self, caption: str) -> ParsedTable:
        return next(table for table in self.tables if table.caption == caption)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, Any]]) -> None:
        attributes = {name: value or "" for name, value in attrs}
        self.tags.append((tag, attributes))
        self.ids += [attributes["id"]] if "id" in attributes else []
        self.links += [attributes[name] for name in ("src", "href") if name in attributes]
        if tag not in VOID:
            self._open.append((tag, attributes))
        if tag == "table":
            self.tables.append(ParsedTable())
        elif tag == "tr":
            self.tables[-1].rows.append([])
        elif tag in ("td", "th"):
            self._cell = ParsedCell(tag, attributes)
            self.tables[-1].rows[-1].append(self._cell)

    def handle_endtag(self, tag: str) -> None:
        while self._open and self._open.pop()[0] != tag:
            pass
        if tag in ("td", "th"):
            self._cell = None

    def handle_data(self, data: str) -> None:
        tags = [tag for tag, _ in self._open]
        if {"style", "script"} & set(tags):
            return
        self.text += data
        if "caption" in tags:
            self.tables[-1].caption += data.strip()
        if self._cell is None or any(
            "sr" in attributes.get("class", "").split() for _, attributes in self._open
        ):
            return
        if "small" in tags:
            self._cell.small += data
        elif data != "≈":
            self._cell.text = (self._cell.text + data).strip()
            self._cell.bold += data if "b" in tags else ""
