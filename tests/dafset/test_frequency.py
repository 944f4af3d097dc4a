"""Mentions of entities in text."""

from __future__ import annotations

import bz2
import gzip
import json
from pathlib import Path

import pytest

pytest.importorskip("ahocorasick")

from dafnet_plugin.dafset.frequency import Mentions, count_mentions, read_texts
from dafnet_plugin.errors import DataError

NAMES = {
    "Q60": ["New York City", "NYC", "New York"],
    "Q1384": ["New York"],
    "Q84": ["London"],
    "Q1": ["I"],
    "Q2": ["1984"],
    "Q3": ["Zoë  Ärger"],
}


def test_names_are_counted_as_words() -> None:
    mentions = Mentions(NAMES)
    counts = mentions.count("London, Londonderry and Old London; london is no name. (London)")
    assert counts == {"London": 3}


def test_the_longest_name_counts() -> None:
    mentions = Mentions(NAMES)
    counts = mentions.count("New York City is larger than New York, say New Yorkers in NYC.")
    assert counts == {"New York City": 1, "New York": 1, "NYC": 1}
    entities = mentions.by_entity(counts)
    assert entities == {"Q60": 3, "Q1384": 1, "Q84": 0, "Q1": 0, "Q2": 0, "Q3": 0}


def test_a_name_in_a_longer_word_does_not_hide_a_shorter_one() -> None:
    mentions = Mentions({"Q1": ["Ann"], "Q2": ["Ann Arb"]})
    assert mentions.count("Ann Arbor") == {"Ann": 1}


def test_short_names_and_numbers_do_not_count() -> None:
    assert not Mentions(NAMES).count("I read 1984.")


def test_the_same_name_in_other_characters() -> None:
    assert Mentions(NAMES).count("Zoe\u0308 A\u0308rger") == {"Zoë Ärger": 1}


def test_no_names() -> None:
    assert not Mentions({}).count("London") and Mentions({}).by_entity({}) == {}


def test_corpora_of_every_kind(tmp_path: Path) -> None:
    text = "London.\n\nNYC and London.\n"
    (tmp_path / "a.txt").write_text(text)
    with gzip.open(tmp_path / "b.txt.gz", "wt") as file:
        file.write(text)
    with bz2.open(tmp_path / "c.jsonl.bz2", "wt") as file:
        file.write(json.dumps({"text": "London\nNYC", "id": 1}) + "\n")
    files = sorted(tmp_path.iterdir())
    counts = count_mentions(Mentions(NAMES), files, tmp_path / "work")
    assert counts["Q84"] == 5 and counts["Q60"] == 3


def test_counting_goes_on_with_the_next_file(tmp_path: Path) -> None:
    first, second = tmp_path / "a.txt", tmp_path / "b.jsonl"
    first.write_text("London\n")
    second.write_text('{"text": "London"}\n{"text": \n')
    mentions, work = Mentions(NAMES), tmp_path / "work"
    with pytest.raises(DataError, match=r"b\.jsonl: line 2, column \d+: not JSON"):
        count_mentions(mentions, [first, second], work)
    (kept,) = work.iterdir()
    kept.write_text('{"London": 100}')  # so that one sees that it is not read again
    second.write_text('{"text": "London"}\n')
    assert count_mentions(mentions, [first, second], work)["Q84"] == 101
    first.write_text("London, London\n")
    assert count_mentions(mentions, [first, second], work)["Q84"] == 3, "it has changed"


def test_bad_corpora(tmp_path: Path) -> None:
    def read(name: str, content: bytes) -> None:
        (tmp_path / name).write_bytes(content)
        list(read_texts(tmp_path / name))

    with pytest.raises(DataError, match=r"a\.pdf: not a text corpus; allowed: \.txt, \.jsonl"):
        read("a.pdf", b"")
    with pytest.raises(DataError, match=r"b\.txt\.gz: after line \d+: cannot be read on"):
        read("b.txt.gz", gzip.compress(b"London\n" * 9)[:-9])
    with pytest.raises(DataError, match=r"c\.txt\.gz: after line 0: cannot be read on"):
        read("c.txt.gz", b"London")
    with pytest.raises(DataError, match=r"d\.txt: after line 0: cannot be read on"):
        read("d.txt", b"\xff\xfe")
    with pytest.raises(DataError, match=r"e\.jsonl: line 1: field 'text' is 3; allowed: text"):
        read("e.jsonl", b'{"text": 3}\n')
    with pytest.raises(DataError, match=r"nowhere\.txt: no such file"):
        count_mentions(Mentions(NAMES), [tmp_path / "nowhere.txt"], tmp_path)
