"""The analysis as a whole: page, figures, data."""

from __future__ import annotations

import json
import re
from html.parser import HTMLParser
from pathlib import Path

import pytest

from dafnet_plugin.dafset.analyse import write_analysis
from dafnet_plugin.dafset.analyse.drawing import percent
from dafnet_plugin.dafset.analyse.page import number, origin_rows
from dafnet_plugin.dafset.samples import write_samples
from dafnet_plugin.errors import DataError

from .conftest import sample

FIGURES = ("distributions", "domains", "relations", "contexts", "overlap")
VOID = {"meta", "br", "img", "link", "path", "use", "rect", "stop"}


class Checker(HTMLParser):
    """Notes open tags, ids and whatever would be loaded from elsewhere."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.ids: list[str] = []
        self.links: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        values = dict(attrs)
        self.ids += [values["id"] or ""] if "id" in values else []
        self.links += [v or "" for k, v in attrs if k in ("src", "href") and tag != "use"]
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.handle_starttag(tag, attrs)
        if tag not in VOID:
            self.open.pop()

    def handle_endtag(self, tag: str) -> None:
        if tag not in VOID:
            assert self.open.pop() == tag


def test_one_page_with_everything_and_a_file_for_each_figure(
    dafset: Path, others: dict[str, Path], tmp_path: Path
) -> None:
    page = write_analysis(dafset, tmp_path / "out", others)
    text = page.read_text(encoding="utf-8")
    checker = Checker()
    checker.feed(text)
    assert not checker.open and len(set(checker.ids)) == len(checker.ids)
    assert all(link.startswith("#") and link[1:] in checker.ids for link in checker.links)
    assert "http" not in re.sub(r"<details>.*?</details>", "", text, flags=re.DOTALL)
    for words in (
        "my-dafset",
        "40 samples",
        "No subject is shared with counterfact",
        "dump.json.gz",
    ):
        assert words in text
    assert "The median long-tail subject has 6.5 statements, the median popular one 404.5" in text
    for name in FIGURES:
        png = (page.parent / f"{name}.png").read_bytes()
        assert png.startswith(b"\x89PNG") and len(png) > 4000
    data = json.loads((page.parent / "analysis.json").read_text())
    assert {one["name"] for one in data["measures"]} == {
        "frequency",
        "degree",
        "views",
        "likelihood",
    }
    assert data["contexts"]["counters"] == {"exclusive": 10}


def test_same_input_same_bytes(dafset: Path, others: dict[str, Path], tmp_path: Path) -> None:
    first, again = (write_analysis(dafset, tmp_path / name, others) for name in ("a", "b"))
    for path in first.parent.iterdir():
        assert path.read_bytes() == (again.parent / path.name).read_bytes(), path.name


def test_labels_are_text(tmp_path: Path) -> None:
    folder = tmp_path / "<script>alert(1)"
    evil = '<img src=x onerror="alert(1)"> $\\frac{1}{0}$ {{ 7*7 }}'
    folder.mkdir()
    samples = [sample("popular", n, subject=f"{evil} {n}", relation_label=evil) for n in range(3)]
    write_samples(folder, [*samples, sample("robust", 1, target_new=evil, domain=evil)])
    page = write_analysis(folder, tmp_path / "out")
    text = page.read_text(encoding="utf-8")
    assert "<img" not in text and "<script" not in text and "&lt;img" in text
    assert "{{ 7*7 }}" in text, "labels are not templates"


def test_the_published_format_alone(samples: Path, tmp_path: Path) -> None:
    page = write_analysis(samples / "dafset", tmp_path, [])
    data = json.loads((tmp_path / "analysis.json").read_text())
    assert data["measures"] == [] and data["relations"] == [] and data["origin"] is None
    assert data["contexts"]["contexts"] == 2 and data["contexts"]["described"] == 0
    assert "do not say which relation" in page.read_text()


def test_what_should_not_be_there_is_shown(tmp_path: Path) -> None:
    folder = tmp_path / "bad"
    folder.mkdir()
    twice = sample("popular", 1)
    write_samples(
        folder,
        [
            *(twice, twice, sample("popular", 2, target_new="Oslo")),
            sample("popular", 3, rephrase_prompt="Ada popular 3 was born in."),
            sample("popular", 4, locality_prompt="The sister of Ada popular 4 is"),
            sample("robust", 1, meta=twice.meta),  # the same subject, in the other split below
        ],
    )
    records = json.loads((folder / "popular.json").read_text())
    records.append(records[0] | {"dafset": records[0]["dafset"] | {"split": "eval"}})
    (folder / "popular.json").write_text(json.dumps(records))
    text = write_analysis(folder, tmp_path / "out").read_text()
    found = json.loads((tmp_path / "out" / "analysis.json").read_text())["duplicates"]
    counts = {name: one["count"] for name, one in found.items()}
    assert counts == {
        "records": 1,
        "facts_in_a_file": 1,
        "facts_in_two_files": 0,
        "subjects_in_both_splits": 1,
        "facts_in_both_splits": 1,
        "targets_that_are_true": 1,
        "paraphrases_that_repeat_the_prompt": 1,
        "locality_probes_that_name_the_subject": 1,
    }
    assert "To be looked at: 1 records that are there twice" in text


def test_what_a_user_can_get_wrong(dafset: Path, others: dict[str, Path], tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"none of long_tail\.json"):
        write_analysis(tmp_path, tmp_path / "out")
    with pytest.raises(DataError, match=r"format 'zsr' is unknown \(did you mean 'zsre'\?\)"):
        write_analysis(dafset, tmp_path / "out", {"zsr": others["zsre"]})
    with pytest.raises(DataError, match="'popular' is given twice, or is a property"):
        write_analysis(dafset, tmp_path / "out", {"popular=zsre": others["zsre"]})
    odd = tmp_path / "odd.json"
    odd.write_text('[{"question": "?"}]')
    with pytest.raises(DataError, match=r"odd\.json: of no known format: .*'question'"):
        write_analysis(dafset, tmp_path / "out", [odd])
    with pytest.raises(DataError, match="no Parquet files"):
        write_analysis(dafset, tmp_path / "out", store=tmp_path)
    with pytest.raises(DataError, match=r"nowhere\.txt: no such file"):
        write_analysis(dafset, tmp_path / "out", corpus=tmp_path / "nowhere.txt")
    assert not (tmp_path / "out").exists()


def test_numbers_for_readers() -> None:
    shown = [number(value) for value in (None, 1234, 12.0, 0.01234, 0, 0.0)]
    assert shown == ["\N{EN DASH}", "1,234", "12", "0.0123", "0", "0"]
    shares = [percent(share) for share in (None, 0, 0.004, 0.5, 0.996, 1)]
    assert shares == ["\N{EN DASH}", "0", "<1 %", "50 %", ">99 %", "100 %"]
    rows = origin_rows({"a_b": {"c": [1, 2]}, "d": None, "e": list(range(200))})
    assert rows == [("a b: c", "1, 2"), ("d", "\N{EN DASH}"), ("e", "200 entries")]
