"""How often pages are read."""

from __future__ import annotations

import bz2
import gzip
import json
from datetime import date
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from dafnet_plugin.dafset.graph import Drops, Entity, Reason
from dafnet_plugin.dafset.sources.http import Client
from dafnet_plugin.dafset.store import Store, write_store
from dafnet_plugin.dafset.traffic import TOP_PAGES, TopPages, add_views, read_views
from dafnet_plugin.errors import ConfigError, DataError

HOURLY = "de Paris 99 0\nen Main_Page 50 0\nen Paris 7 0\nen.m Paris 5 0\nen.b Paris 3 0\nen %s\n"
DAILY = "en.wikipedia Paris 22989 desktop 20 A12B8\nen.wikipedia New_York desktop 4 A4\n"
TOP = {
    "items": [
        {
            "project": "en.wikipedia",
            "articles": [{"article": "New_York", "views": 40}, {"article": "Paris", "views": 2}],
        },
        {"project": "de.wikipedia", "articles": [{"article": "Paris", "views": 1000}]},
    ]
}


@pytest.fixture
def store(tmp_path: Path) -> Store:
    pages = ["Paris", None, "New York", "Nowhere"]
    return write_store(tmp_path / "s", [Entity(f"Q{n}", page=p) for n, p in enumerate(pages, 1)])


def views(store: Store) -> list[int | None]:
    return [v for path in store.files("entities") for v in pq.read_table(path)["views"].to_pylist()]


def write(path: Path, text: str) -> Path:
    data = text.encode()
    packed = {".gz": gzip.compress, ".bz2": bz2.compress}.get(path.suffix)
    path.write_bytes(packed(data) if packed else data)
    return path


def test_formats(tmp_path: Path) -> None:
    drops = Drops()
    hourly = write(tmp_path / "pageviews-20240308-000000.gz", HOURLY % "broken")
    assert list(read_views(hourly, drops=drops)) == [("Main Page", 50), ("Paris", 7), ("Paris", 5)]
    assert drops == {Reason.BROKEN: 1}
    daily = write(tmp_path / "pageviews-20240308-user.bz2", DAILY)
    assert list(read_views(daily)) == [("Paris", 20), ("New York", 4)]
    top = write(tmp_path / "top.json", json.dumps(TOP))
    assert list(read_views(top)) == [("New York", 40), ("Paris", 2)]
    assert list(read_views(hourly, "de")) == [("Paris", 99)]


def test_views_are_added_up(store: Store, tmp_path: Path) -> None:
    files = [
        write(tmp_path / "a.gz", HOURLY % "x y z"),
        write(tmp_path / "b.bz2", DAILY),
        write(tmp_path / "c.json", json.dumps(TOP)),
    ]
    note = add_views(store, files)
    assert views(store) == [7 + 5 + 20 + 2, None, 44, 0]
    assert note["entities_with_views"] == 2 and note["pages"] == 3
    assert note["drops"] == {Reason.BROKEN: 1}
    again = Store(store.path)
    assert again.info["traffic"]["inputs"][0]["file"] == "a.gz"
    add_views(again, files[1:2])
    assert views(store) == [20, None, 4, 0], "a second call replaces the counts"
    assert [entity.page for entity in again.entities()] == ["Paris", None, "New York", "Nowhere"]


class Recorded(Client):
    def get(self, url: str, headers: Any = None) -> bytes:
        assert url.endswith("/top/en.wikipedia/all-access/2024/03/08")
        return json.dumps(TOP).encode()


def test_the_api_knows_a_thousand_pages(store: Store) -> None:
    top = TopPages(TOP_PAGES, [date(2024, 3, 8)], Recorded())
    note = add_views(store, [top])
    assert views(store) == [2, None, 40, None], "what it does not name is unknown, not zero"
    assert note["inputs"] == [{"url": TOP_PAGES, "days": ["2024-03-08"]}]


def test_wrong_files(store: Store, tmp_path: Path) -> None:
    before = views(store)
    cut = write(tmp_path / "cut.gz", HOURLY * 500)
    cut.write_bytes(cut.read_bytes()[:-20])
    bad = {
        write(tmp_path / "words.txt", "just words\n"): "no line of pageviews",
        write(tmp_path / "empty.txt", ""): "no line of pageviews",
        write(tmp_path / "reply.json", '{"items": 3}'): "no reply of the top-pages API",
        write(tmp_path / "half.json", '{"items": ['): "no reply of the top-pages API",
        cut: "end too early",
        tmp_path / "nowhere": "cannot be read",
    }
    for path, message in bad.items():
        with pytest.raises(DataError, match=message):
            add_views(store, [path])
    with pytest.raises(ConfigError, match="at least one file"):
        add_views(store, [])
    with pytest.raises(ConfigError, match=r"allowed: {project}"):
        add_views(store, [TopPages("https://x/{when}", [date(2024, 3, 8)])])
    assert views(store) == before and "traffic" not in Store(store.path).info
