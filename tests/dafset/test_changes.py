"""What changed between two stores."""

from __future__ import annotations

from pathlib import Path

import pytest

from dafnet_plugin.dafset.changes import Change, compare_stores, read_changes
from dafnet_plugin.dafset.graph import Entity, Statement
from dafnet_plugin.dafset.ingest import ingest
from dafnet_plugin.dafset.store import write_store
from dafnet_plugin.dafset.synthetic import SyntheticConfig, write_dump
from dafnet_plugin.errors import DataError


def s(relation: str, target: int, **more: object) -> Statement:
    return Statement(relation, f"Q{target}", **more)  # type: ignore[arg-type]


def test_kinds_of_change(tmp_path: Path) -> None:
    others = [Entity(f"Q{n}") for n in range(20, 30)]
    old = write_store(
        tmp_path / "old",
        [
            Entity("Q1", statements=(s("P6", 20), s("P36", 21), s("P47", 22), s("P47", 23))),
            Entity("Q2", statements=(s("P6", 24), s("P17", 50), s("P36", 51))),
            Entity("Q3", statements=(s("P6", 20),)),
            *others,
        ],
    )
    new = write_store(
        tmp_path / "new",
        [
            Entity(
                "Q1",
                statements=(
                    s("P6", 25),
                    s("P6", 20, end="2024-03", current=False),
                    s("P36", 21),
                    s("P47", 23),
                    s("P47", 26),
                    s("P47", 9),
                    s("P37", 27),
                ),
            ),
            Entity("Q2", statements=(s("P17", 28), s("P36", 29))),
            Entity("Q4", statements=(s("P6", 20),)),
            *others[:-1],
            Entity("Q29", redirected_from=("Q51",)),
        ],
    )
    out = tmp_path / "changes.parquet"
    counts = compare_stores(old, new, out)
    assert list(read_changes(out)) == [
        Change("new", "Q1", "P37", None, "Q27", False, False, False),
        Change("changed", "Q1", "P47", "Q22", "Q9", False, False, False),
        Change("new", "Q1", "P47", None, "Q26", False, False, False),
        Change("changed", "Q1", "P6", "Q20", "Q25", False, False, True),
        Change("changed", "Q2", "P17", "Q50", "Q28", False, True, False),
        Change("removed", "Q2", "P6", "Q24", None, False, False, False),
        Change("new", "Q4", "P6", None, "Q20", True, False, False),
    ]
    assert counts == {"new": 3, "changed": 3, "removed": 1, "vanished subjects": 1}
    assert compare_stores(new, new, out) == dict.fromkeys(counts, 0)
    assert list(read_changes(out)) == []


def test_two_dumps(tmp_path: Path) -> None:
    stores = [
        ingest(
            [write_dump(tmp_path / f"{n}.json", SyntheticConfig(100, changed=share, references=0))],
            tmp_path / f"s{n}",
        )
        for n, share in enumerate((0.0, 0.2))
    ]
    out = tmp_path / "c.parquet"
    counts = compare_stores(*stores, out)
    assert counts["changed"] > 30 and counts["vanished subjects"] == 0
    first = out.read_bytes()
    compare_stores(*stores, out)
    assert out.read_bytes() == first, "same stores, same bytes"


def test_stores_that_cannot_be_compared(tmp_path: Path) -> None:
    one = write_store(tmp_path / "1", [Entity("Q1")], {"plan": {"language": "en"}})
    two = write_store(tmp_path / "2", [Entity("Q1")], {"plan": {"language": "de"}})
    with pytest.raises(DataError, match=r"language 'en'.* with 'de'"):
        compare_stores(one, two, tmp_path / "c.parquet")


def test_files_that_are_no_changes(tmp_path: Path) -> None:
    (tmp_path / "text").write_text("no")
    with pytest.raises(DataError, match="not a Parquet file of changes"):
        list(read_changes(tmp_path / "text"))
    store = write_store(tmp_path / "s", [Entity("Q1")])
    with pytest.raises(DataError, match="has the columns id, label"):
        list(read_changes(store.files("entities")[0]))
