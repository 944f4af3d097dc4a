"""The data card and ``dataset.json``."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from dafnet_plugin.dafset.card import counts_of, data_card, provenance
from dafnet_plugin.dafset.config import BuildConfig
from dafnet_plugin.dafset.longtail import MEASURES
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
LONG_TAIL = {"combine": "mean", "quantile": 0.3, "pool": 9}
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


@pytest.mark.parametrize(
    ("property", "selection", "said"),
    [
        ("popular", {"popular_by": "views"}, "about much-read subjects"),
        ("popular", {"popular_by": "degree"},
         "about well connected subjects; how much they are read is not known"),
        ("long_tail", {"long_tail": LONG_TAIL | {"by": ["degree"]}}, "weakly connected"),
        ("long_tail", {"long_tail": LONG_TAIL | {"by": list(MEASURES)}},
         "rarely mentioned, weakly connected, unlikely to a model"),
        ("recent", {"recent": {"since": 0, "until": 9}}, "of entities modified lately"),
        ("recent", {"recent": "no times", "recent_changes": {"new": 1}},
         "what changed since an earlier state"),
        ("recent", {"recent": "no times"}, "no times and no earlier state are known"),
    ],
)  # fmt: skip
def test_the_card_claims_only_what_was_measured(
    property: str, selection: dict[str, Any], said: str
) -> None:
    made = record() | {"selection": {"facts": 5} | selection}
    card = data_card(made, TABLE, [make_sample(property)])
    (line,) = (line for line in card.splitlines() if line.startswith(f"| `{property}.json` |"))
    assert line.split(" | ")[1] == said


def test_the_card_says_what_is_true_and_what_is_not() -> None:
    meta = make_sample("recent").meta
    assert meta is not None
    true = make_sample(meta=replace(meta, object_id=meta.true_object_id or ""))
    samples = [true, make_sample("recent"), make_sample("robust")]
    read = BuildConfig.from_dict({"sources": ["dump.json"], "previous": "old.json"})
    card = data_card(provenance(read, TABLE, INFO, SELECTION, samples), TABLE, samples)
    lines = {line.split(" | ")[0]: line for line in card.splitlines() if line.startswith("| `")}
    assert lines["| `recent.json`"].endswith(
        "| what is true (1), something plausible and false (1) |"
    )
    assert lines["| `robust.json`"].endswith("| something plausible and false |")
    assert lines["| `popular.json`"].endswith("| nothing |")


def test_the_card_says_where_ids_are_made_of_labels() -> None:
    plan = {"sources": [{"kind": "triples", "files": [{"file": "P36.jsonl"}]}]}
    with_triples = record() | {"source": {"plan": plan}}
    assert "are made of labels" in data_card(with_triples, TABLE, [make_sample()])
    assert "are made of labels" not in data_card(record(), TABLE, [make_sample()])


def test_the_card() -> None:
    sample = make_sample(target_new="<script>alert(1)</script>", subject="a|b [x](y) Arland")
    card = data_card(record(), TABLE, [sample])
    assert "<script>" not in card and "&lt;script&gt;" in card and "<i>" not in card
    assert "modified from 1970-01-01 to 1970-01-02" in card and "state of 2026-11-20" in card
    assert "https://example.org/sparql" in card and "broken line 1" in card
    for line in card.splitlines():
        if line.startswith("| robust |"):
            assert line.replace(r"\|", "").count("|") == 7, "a label makes no cell"
