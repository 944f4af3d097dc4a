"""The made-up dump, and the measurement on it."""

from __future__ import annotations

import gzip
import json
import statistics
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from benchmarks.dafset import scale
from benchmarks.dafset.measuring import best_of, count_entities
from benchmarks.dafset.readers import READERS, write_plainly
from dafnet_plugin.dafset.graph import Drops, Reason
from dafnet_plugin.dafset.ingest import ingest
from dafnet_plugin.dafset.sources import open_source, read_source
from dafnet_plugin.dafset.synthetic import (
    MEAN,
    SyntheticConfig,
    dump_lines,
    write_dump,
    write_pageviews,
)
from dafnet_plugin.dafset.traffic import read_views
from dafnet_plugin.errors import ConfigError


def test_a_dump_depends_on_its_settings_alone(tmp_path: Path) -> None:
    short = list(dump_lines(SyntheticConfig(120)))
    ids = [json.loads(line)["id"] for line in short]
    assert ids == [f"Q{n}" for n in range(1, 121)]
    assert list(dump_lines(SyntheticConfig(120))) == short
    assert list(dump_lines(SyntheticConfig(120, seed=1))) != short
    packed = [write_dump(tmp_path / f"{n}.json.gz", SyntheticConfig(5)) for n in "ab"]
    assert packed[0].read_bytes() == packed[1].read_bytes()
    assert gzip.decompress(packed[0].read_bytes()).startswith(b'[\n{"type":"item"')


def test_an_entity_has_as_much_of_everything_as_wikidata_s_have_on_average() -> None:
    lines = list(dump_lines(SyntheticConfig(500)))
    found: dict[str, list[float]] = {name: [] for name in MEAN}
    for line in lines:
        entity = json.loads(line)
        statements = [claim for group in entity["claims"].values() for claim in group]
        found["bytes"].append(len(line))
        found["statements"].append(len(statements))
        found["labels"].append(len(entity["labels"]))
        found["descriptions"].append(len(entity["descriptions"]))
        found["aliases"].append(sum(map(len, dict(entity["aliases"]).values())))
        for statement in statements:
            kind = statement["mainsnak"]["datatype"]
            found["items among values"].append(kind == "wikibase-item")
            qualifiers = statement.get("qualifiers", {})
            found["qualifiers of a statement"].append(sum(map(len, qualifiers.values())))
    for name, values in found.items():
        assert statistics.mean(values) == pytest.approx(MEAN[name], rel=0.15), name


def test_it_has_the_oddities_of_a_real_one(tmp_path: Path) -> None:
    drops = Drops()
    path = write_dump(tmp_path / "d.json", SyntheticConfig(300))
    assert len(list(read_source(open_source(path), drops=drops))) == 300
    wanted = {Reason.DEPRECATED, Reason.SOMEVALUE, Reason.NOVALUE, Reason.NOT_BEST, Reason.ENDED}
    assert wanted | {Reason.NO_LABEL, Reason.NOT_AN_ITEM} == set(drops)


def test_pageviews_are_of_its_pages(tmp_path: Path) -> None:
    config = SyntheticConfig(60)
    path = write_pageviews(tmp_path / "pageviews.gz", config)
    titles = {title for title, _ in read_views(path)}
    dump = write_dump(tmp_path / "d.json", config)
    pages = {entity.page for entity in read_source(open_source(dump)) if entity.page}
    assert len(titles) == 20 and pages <= titles


def test_options_are_checked() -> None:
    with pytest.raises(ConfigError, match="entities: 0"):
        SyntheticConfig(0)
    with pytest.raises(ConfigError, match="changed: 2"):
        SyntheticConfig(1, changed=2)
    with pytest.raises(ConfigError, match="references: -1"):
        SyntheticConfig(1, references=-1)


@pytest.mark.parametrize("name", ["orjson", "ijson"])
def test_readers_agree(tmp_path: Path, name: str) -> None:
    pytest.importorskip(name)
    path = write_dump(tmp_path / "d.json", SyntheticConfig(40))
    assert list(READERS[name](path)) == list(READERS["this package"](path))


def test_the_plain_way_into_parquet_stores_the_same(tmp_path: Path) -> None:
    path = write_dump(tmp_path / "d.json", SyntheticConfig(40))
    store = ingest([path], tmp_path / "s")
    assert write_plainly(path, tmp_path / "plain") == 40
    found = pq.read_table(tmp_path / "plain" / "facts.parquet").to_pylist()
    assert found == pq.read_table(store.files("statements")[0]).to_pylist()


def test_memory_is_that_of_the_measured_process_alone(tmp_path: Path) -> None:
    held = b"x" * (800 * 2**20)
    dump = write_dump(tmp_path / "dump.json", SyntheticConfig(20))
    run = best_of(1, count_entities, "this package", dump, by="cpu_seconds")
    assert run["entities"] == 20
    assert run["peak_mib"] < 700 < len(held) / 2**20


def test_the_table(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    measured: list[str] = []

    def here(repeats: int, work: Any, *arguments: Any, by: str) -> dict[str, float]:
        measured.append(work.__name__)
        count = float(work(*arguments))
        rates = dict.fromkeys(("entities_per_cpu_second", "entities_per_second"), count)
        seconds = {"cpu_seconds": 1.0, "seconds": 1.0}
        peaks = {"peak_mib": 100.0, "peak_mib_of_a_worker": 0.0}
        return rates | seconds | peaks | {"entities": count}

    monkeypatch.setattr(scale, "best_of", here)
    monkeypatch.setattr(scale, "READERS", {n: READERS[n] for n in ("this package", "json")})
    options = ["--entities", "40", "--jobs", "1", "--repeats", "1"]
    folders = ["--out", str(tmp_path / "out"), "--work", str(tmp_path / "work")]
    assert scale.main([*options, *folders]) == 0
    table = (tmp_path / "out" / "scale.md").read_text()
    assert table in capsys.readouterr().out
    results = json.loads((tmp_path / "out" / "scale.json").read_text())
    assert results["lengths"]["10"]["entities"] == 10 and results["provenance"]["seed"] == 0
    assert "| json | 40 | 1.0 |" in table and "| 10 entities, plain | 10 | 100 |" in table
    assert "The full dump, about 115 million entities" in table
    assert "scale --entities 40 --seed 0 --jobs 1 --repeats 1" in table
    assert str(tmp_path) not in table + json.dumps(results), "a path of this machine"
    count = len(measured)
    assert scale.main([*options, *folders]) == 0 and len(measured) == count, "goes on"
    assert scale.main([*options, *folders, "--again"]) == 0 and len(measured) == 2 * count
