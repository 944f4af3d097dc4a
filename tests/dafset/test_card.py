"""The data card and ``dataset.json``."""

from __future__ import annotations

from typing import Any

from dafnet_plugin.dafset.card import counts_of, data_card, provenance
from dafnet_plugin.dafset.config import BuildConfig
from dafnet_plugin.dafset.relations import load_relations
from tests.dafset.test_samples import make_sample

TABLE = load_relations()
INFO: dict[str, Any] = {
    "format": 1,
    "complete": True,
    "counts": {"entities": 3},
    "drops": {"broken line": 1},
    "plan": {
        "as_of": "2026-11-20",
        "sources": [
            {"kind": "dump", "files": [{"file": "/me/<i>dump</i>.json", "size": 9}]},
            {"kind": "sparql", "endpoint": "https://example.org/sparql", "retrieved": "today"},
        ],
    },
}  # fmt: skip
SELECTION = {"facts": 5, "recent": {"since": 0, "until": 86_400}, "popular": "the 2 most viewed"}


def record(**config: Any) -> dict[str, Any]:
    settings = {"sources": ["/home/me/dump.json"], "model": "/home/me/model", "memory": "1GB"}
    read = BuildConfig.from_dict(settings | config)
    return provenance(read, TABLE, INFO, SELECTION, [make_sample()])


def test_no_path_of_a_machine_and_nothing_of_the_machine() -> None:
    made = record()
    assert made["config"]["sources"] == ["dump.json"] and made["config"]["model"] == "model"
    assert "memory" not in made["config"] and "/home" not in str(made)
    assert "retrieved" not in str(made["source"]) and "complete" not in made["source"]


def test_another_machine_gives_the_same_record() -> None:
    assert record() == record(engine="spark", threads=8, memory="4GB", jobs=3, device="cuda")


def test_counts() -> None:
    counts = counts_of([make_sample(), make_sample("recent")])
    assert counts["total"] == 2 and counts["by_relation"] == {"P36": 2}
    assert counts["by_property"]["recent"] == {"train": 1, "eval": 0}


def test_the_card() -> None:
    sample = make_sample(target_new="<script>alert(1)</script>", subject="a|b [x](y) Arland")
    card = data_card(record(), TABLE, [sample])
    assert "<script>" not in card and "&lt;script&gt;" in card and "<i>" not in card
    assert "modified from 1970-01-01 to 1970-01-02" in card and "state of 2026-11-20" in card
    assert "https://example.org/sparql" in card and "broken line 1" in card
    for line in card.splitlines():
        if line.startswith("| robust |"):
            assert line.replace(r"\|", "").count("|") == 7, "a label makes no cell"
