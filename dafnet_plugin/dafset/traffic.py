"""How often pages are read: Wikimedia's pageview files, and replies of the top-pages API.

Counts are summed over all files given, and put into the column ``views`` of a store's entities
by the title of their page. Redirects between pages are not followed: views of a redirect are
not counted for the page it leads to.
"""

from __future__ import annotations

import json
import tempfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path
from typing import Any

from dafnet_plugin.dafset.extras import missing, require
from dafnet_plugin.dafset.graph import Drops, Reason
from dafnet_plugin.dafset.sources.files import file_provenance, open_stream
from dafnet_plugin.dafset.sources.http import Client
from dafnet_plugin.dafset.store import ENTITIES, INFO, Store, write_table
from dafnet_plugin.errors import ConfigError, DataError
from dafnet_plugin.files import write_json

try:
    import pyarrow as pa
    import pyarrow.parquet as pq
except ImportError as error:
    raise missing("pyarrow", error=error) from error

MEMORY = "400MB"
_BATCH = 200_000
TOP_PAGES = (
    "https://wikimedia.org/api/rest_v1/metrics/pageviews/top/"
    "{project}/all-access/{year}/{month:02d}/{day:02d}"
)
"""Wikimedia's URL, to be configured; nothing is asked unless it is given."""

Views = tuple[str, int]


@dataclass(frozen=True)
class TopPages:
    """The thousand pages that were read most, on some days, from an API.

    Attributes:
        url: with ``{project}``, ``{year}``, ``{month}``, ``{day}``, such as ``TOP_PAGES``.
        days: to be added up.
        client: how it is asked.
    """

    url: str
    days: Sequence[date]
    client: Client = field(default_factory=Client)

    def read(self, language: str) -> Iterator[Views]:
        """Title and views of each page of each day.

        Raises:
            ConfigError: the URL has a place for something else.
            DataError: the service does not answer, or not with pages.
        """
        for day in self.days:
            try:
                url = self.url.format(
                    project=f"{language}.wikipedia", year=day.year, month=day.month, day=day.day
                )
            except (KeyError, IndexError, ValueError) as error:
                raise ConfigError(
                    f"URL {self.url!r}: {error}; allowed: {{project}}, {{year}}, {{month}}, {{day}}"
                ) from error
            yield from _top_pages(url, self.client.get(url), language)


def read_views(
    path: str | Path, language: str = "en", drops: Drops | None = None
) -> Iterator[Views]:
    """Title and views from a file, which is told by its content.

    Read are hourly pageview files (``en Paris 12 0``; ``en.m`` is the mobile site), daily ones
    (``en.wikipedia Paris 681 desktop 12 A3B9``), and replies of the top-pages API. A title occurs
    once for each way it was accessed.

    Args:
        path: of a plain, gzip or bzip2 file.
        language: of the Wikipedia; other projects are passed over.
        drops: is added to.

    Raises:
        DataError: the file is unreadable, ends too early, or is none of these.
    """
    drops = Drops() if drops is None else drops
    with open_stream(path) as file:
        head = file.read(64).lstrip()[:1]
    if head == b"{":
        with open_stream(path) as file:
            text = file.read()
        yield from _top_pages(str(path), text, language)
        return
    # A file cut in half would make half of the alphabet unpopular, so it is an error.
    wanted = (f"{language} ", f"{language}.m ", f"{language}.wikipedia ")
    starts = tuple(start.encode() for start in wanted)
    read = broken = 0
    with open_stream(path) as file:
        for line in file:
            if not line.startswith(starts):
                read += line.count(b" ") >= 3
                continue
            found = _line(line)
            if found is None:
                broken += 1
                drops[Reason.BROKEN] += 1
            else:
                read += 1
                yield found
    if not read:
        raise DataError(
            f"{path}: no line of pageviews ({broken} unreadable); allowed: lines such as "
            f"'{language} Paris 12 0', or a reply of the top-pages API"
        )


def _line(line: bytes) -> Views | None:
    try:
        fields = line.decode().split()
    except UnicodeDecodeError:
        return None
    if len(fields) == 4:
        count = fields[2]  # hourly: project, title, views, bytes
    elif len(fields) in (5, 6):
        count = fields[-2]  # daily: project, title, (page id,) access, views, views by hour
    else:
        return None
    return (fields[1].replace("_", " "), int(count)) if count.isdecimal() else None


def _top_pages(name: str, text: bytes, language: str) -> Iterator[Views]:
    try:
        items = json.loads(text)["items"]
        for item in items:
            if item["project"].removesuffix(".org") == f"{language}.wikipedia":
                for page in item["articles"]:
                    yield str(page["article"]).replace("_", " "), int(page["views"])
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise DataError(
            f"{name}: no reply of the top-pages API: {type(error).__name__}: {error}; allowed: "
            "'items' with 'project' and 'articles'"
        ) from error


def add_views(
    store: Store,
    inputs: Iterable[str | Path | TopPages],
    *,
    language: str | None = None,
) -> Mapping[str, Any]:
    """Write how often its page was read to every entity of a store.

    With pageview files, a page that is in none of them was read by nobody, which is 0; with the
    API alone, which knows a thousand pages, it is unknown, which is null. So is what has no page.
    Calling it again replaces the counts.

    Args:
        store: is changed; a file is either as before or complete.
        inputs: pageview files and replies, or :class:`TopPages`.
        language: of the Wikipedia; None: that of the store.

    Returns:
        what was noted in ``store.json`` under ``"traffic"``: inputs, pages, views, drops.

    Raises:
        ConfigError, DataError: as :func:`read_views`; the store is as it was.
    """
    inputs = list(inputs)
    if not inputs:
        raise ConfigError("pageviews: no input; allowed: at least one file")
    language = language or (store.info.get("plan") or {}).get("language") or "en"
    drops = Drops()
    everything = any(not isinstance(item, TopPages) and not _is_reply(item) for item in inputs)
    with (
        tempfile.TemporaryDirectory(prefix="dafset-views-") as folder,
        require("duckdb").connect(f"{folder}/views.duckdb") as database,
    ):
        database.execute(f"SET memory_limit='{MEMORY}'")
        database.execute("CREATE TABLE counts (page VARCHAR, views BIGINT)")
        for item in inputs:
            rows = (
                item.read(language)
                if isinstance(item, TopPages)
                else read_views(item, language, drops)
            )
            for batch in _batches(rows):
                database.register("batch", batch)
                database.execute("INSERT INTO counts SELECT page, sum(views) FROM batch GROUP BY 1")
                database.unregister("batch")
        database.execute("CREATE TABLE views AS SELECT page, sum(views) v FROM counts GROUP BY 1")
        ((pages, total),) = database.execute(
            "SELECT count(*), sum(v)::BIGINT FROM views"
        ).fetchall()
        found = sum(_set_views(path, database, everything) for path in store.files("entities"))
    note = {
        "inputs": [_describe(item) for item in inputs],
        "language": language,
        "pages": pages,
        "views": total or 0,
        "entities_with_views": found,
        "drops": drops.as_dict(),
    }
    write_json(store.path / INFO, {**store.info, "traffic": note})
    return note


def _batches(rows: Iterator[Views]) -> Iterator[pa.Table]:
    pages: list[str] = []
    counts: list[int] = []
    for page, count in rows:
        pages.append(page)
        counts.append(count)
        if len(pages) == _BATCH:
            yield pa.table({"page": pages, "views": counts})
            pages, counts = [], []
    if pages:
        yield pa.table({"page": pages, "views": counts})


def _set_views(path: Path, database: Any, everything: bool) -> int:
    """Fill the column of a file; returns how many entities have views."""
    table = pq.read_table(path, schema=ENTITIES)
    database.register("pages", pa.table({"page": table["page"], "row": range(table.num_rows)}))
    rows = database.execute(
        "SELECT views.v::BIGINT FROM pages LEFT JOIN views USING (page) ORDER BY row"
    ).fetchall()
    database.unregister("pages")
    nobody = 0 if everything else None
    counts = [
        None if page is None else (nobody if views is None else views)
        for (views,), page in zip(rows, table["page"].to_pylist())
    ]
    place = ENTITIES.get_field_index("views")
    write_table(
        path, table.set_column(place, ENTITIES.field("views"), pa.array(counts, pa.int64()))
    )
    return sum(1 for count in counts if count)


def _is_reply(path: str | Path) -> bool:
    with open_stream(path) as file:
        return file.read(64).lstrip()[:1] == b"{"


def _describe(item: str | Path | TopPages) -> dict[str, Any]:
    if isinstance(item, TopPages):
        return {"url": item.url, "days": [day.isoformat() for day in item.days]}
    return file_provenance(item)
