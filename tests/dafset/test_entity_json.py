"""Entity JSON in files, and from an API whose answers are recorded here."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest

from dafnet_plugin.dafset.graph import Drops, Reason
from dafnet_plugin.dafset.sources import open_source, open_sources, read_source
from dafnet_plugin.dafset.sources.dump import DumpSource
from dafnet_plugin.dafset.sources.entity_json import ApiSource, EntityJsonSource
from dafnet_plugin.dafset.sources.http import Client
from dafnet_plugin.dafset.sources.options import ReadOptions
from dafnet_plugin.errors import ConfigError, DataError
from tests.dafset.wikidata import item

URL = "https://wiki.example/w/api.php"


class Recorded(Client):
    """A client that answers from a table, and notes what it was asked."""

    def __init__(self, answer: Any) -> None:
        super().__init__()
        self.answer, self.asked = answer, list[str]()

    def get(self, url: str, headers: Any = None) -> bytes:
        self.asked.append(url)
        answer = self.answer(url) if callable(self.answer) else self.answer
        return answer if isinstance(answer, bytes) else json.dumps(answer).encode()


def write(path: Path, data: Any) -> Path:
    path.write_text(data if isinstance(data, str) else json.dumps(data), encoding="utf-8")
    return path


def ids(source: Any, drops: Drops | None = None) -> list[str]:
    return [entity.id for entity in read_source(source, drops=drops)]


def test_real_replies(data_dir: Path) -> None:
    folder, drops = data_dir / "wikidata", Drops()
    (source,) = open_sources([*sorted(folder.glob("wb*.json")), folder / "Q22.json"])
    assert isinstance(source, EntityJsonSource)
    found = {entity.id: entity for entity in read_source(source, drops=drops)}
    assert set(found) == {"Q1", "Q22", "Q42", "Q1040", "Q131261"}
    assert found["Q1040"].redirected_from == ("Q32063953",)
    assert found["Q22"].page == "Scotland"
    spouse = [s for s in found["Q42"].statements if s.relation == "P26"]
    assert [(s.start, s.end, s.current) for s in spouse] == [("1991-11-25", "2001-05-11", False)]
    assert drops[Reason.MISSING] == drops[Reason.NO_ITEM_ENTITY] == 1


def test_layouts(tmp_path: Path) -> None:
    for data in (
        {"entities": {"Q1": item(1), "Q2": item(2)}, "success": 1},
        [item(1), item(2)],
        json.dumps({"success": 1, "entities": {"Q1": item(1), "Q2": item(2)}}, indent=2),
    ):
        path = write(tmp_path / "reply.json", data)
        assert ids(EntityJsonSource([path])) == ["Q1", "Q2"]
    for data in (item(1), json.dumps(item(1), indent=2), json.dumps(item(1)) + "\n"):
        source = open_source(write(tmp_path / "one.json", data))
        assert isinstance(source, EntityJsonSource) and ids(source) == ["Q1"]
    two = json.dumps(item(1)) + "\n" + json.dumps(item(2))
    assert isinstance(open_source(write(tmp_path / "lines.json", two)), DumpSource)
    assert ids(EntityJsonSource([write(tmp_path / "none.json", {"entities": []})])) == []


def test_what_was_asked_for_is_a_redirect(tmp_path: Path) -> None:
    path = write(tmp_path / "data.json", {"entities": {"Q9": item(1)}})
    (entity,) = read_source(EntityJsonSource([path]))
    assert (entity.id, entity.redirected_from) == ("Q1", ("Q9",))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('{"entities": {"Q1": ', "not entity JSON"),
        ('{"entities": {"Q1": 7}}', ""),
        ('{"entities": 7}', "not entity JSON"),
        ('{"batchcomplete": true}', "an object with the keys 'batchcomplete'; allowed: 'entities'"),
        ('{"error": {"code": "no-such-entity", "info": "no"}}', "error: no-such-entity: no"),
        ('{"error": "x"}', "error: x"),
    ],
)
def test_malformed_files(tmp_path: Path, text: str, message: str) -> None:
    path, drops = write(tmp_path / "bad.json", text), Drops()
    if not message:
        assert ids(EntityJsonSource([path]), drops) == [] and drops == {Reason.MALFORMED: 1}
        return
    with pytest.raises(DataError) as caught:
        ids(EntityJsonSource([path]))
    assert message in str(caught.value) and str(path) in str(caught.value)


def test_a_file_that_is_too_long(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("dafnet_plugin.dafset.sources.entity_json.MAX_FILE", 10)
    with pytest.raises(DataError, match="more than 10 bytes of entity JSON"):
        ids(EntityJsonSource([write(tmp_path / "long.json", item(1))]))


def test_the_api_is_asked_for_fifty_at_a_time() -> None:
    def answer(url: str) -> Any:
        wanted = parse_qs(urlsplit(url).query)["ids"][0].split("|")
        return {"entities": {one: item(int(one[1:])) for one in wanted}}

    client = Recorded(answer)
    source = ApiSource(URL, [f"Q{n}" for n in range(1, 121)] + ["Q1"], client)
    assert ids(source) == [f"Q{n}" for n in range(1, 121)]
    assert len(client.asked) == 3
    query = parse_qs(urlsplit(client.asked[0]).query)
    assert query["action"] == ["wbgetentities"] and query["maxlag"] == ["5"]
    assert query["languages"] == ["en|mul"] and query["sitefilter"] == ["enwiki"]
    assert all(url.startswith(URL + "?") for url in client.asked)
    assert [c.number for c in source.chunks(ReadOptions(), done={0, 1})] == [2]
    assert len(client.asked) == 4, "chunks that are done are not asked for again"
    assert source.provenance()["url"] == URL


def test_special_entity_data_is_asked_an_item_at_a_time() -> None:
    client = Recorded(lambda url: {"entities": {url[-7:-5]: item(int(url[-6]))}})
    source = ApiSource("https://wiki.example/Special:EntityData/{id}.json", ["Q4", "Q7"], client)
    assert ids(source) == ["Q4", "Q7"]
    assert client.asked[1] == "https://wiki.example/Special:EntityData/Q7.json"


def test_errors_of_the_api() -> None:
    reply = {"error": {"code": "no-such-entity", "info": "Could not find"}}
    with pytest.raises(DataError, match="no-such-entity: Could not find"):
        ids(ApiSource(URL, ["Q1"], Recorded(reply)))
    with pytest.raises(DataError, match="not entity JSON"):
        ids(ApiSource(URL, ["Q1"], Recorded(b"<html>busy</html>")))
    with pytest.raises(DataError, match="ids of the API: 'Q1&action=delete'"):
        ApiSource(URL, ["Q1&action=delete"])
    with pytest.raises(ConfigError, match="URL 'file:///etc/passwd'"):
        ApiSource("file:///etc/passwd", ["Q1"])
