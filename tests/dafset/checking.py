"""What is true of every DAFSet, checked against the graph without any of the code that built it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from dafnet_plugin.dafset.relations import RelationTable, prompt_of
from dafnet_plugin.dafset.samples import Meta, Sample, read_samples

State = Mapping[str, Any]


def rows_of(store: Path, table: str) -> list[dict[str, Any]]:
    import pyarrow.parquet as pq

    files = sorted((store / table).glob("*.parquet"))
    return [row for file in files for row in pq.read_table(file).to_pylist()]


def check_dafset(
    folder: Path, store: Path, table: RelationTable, true_targets: Iterable[str]
) -> list[Sample]:
    """Check all samples of a folder; returns them."""
    parts = read_samples(folder)
    samples = [sample for part in parts.values() for sample in part]
    statements = rows_of(store, "statements")
    current = [row for row in statements if row["current"]]
    edited = {meta_of(sample).subject_id for sample in samples}
    pairs = Counter((meta_of(s).subject_id, meta_of(s).relation) for s in samples)
    assert set(pairs.values()) == {1}, "a pair of subject and relation occurs twice"
    _check_splits(samples)
    for name, part in parts.items():
        for sample in part:
            assert meta_of(sample).property == name
            _check_object(sample, statements, name in set(true_targets))
            _check_texts(sample, table)
            _check_locality(sample, current, edited, table)
    return samples


def meta_of(sample: Sample) -> Meta:
    assert sample.meta is not None
    return sample.meta


def _check_splits(samples: Iterable[Sample]) -> None:
    split: dict[str, str] = {}
    asked: dict[str, str] = {}
    for sample in samples:
        meta = meta_of(sample)
        assert split.setdefault(sample.subject.casefold(), meta.split) == meta.split
        assert asked.setdefault(meta.locality[0], meta.split) == meta.split


def _check_object(sample: Sample, statements: list[dict[str, Any]], is_true: bool) -> None:
    meta = meta_of(sample)
    own = [r for r in statements
           if (r["subject"], r["relation"]) == (meta.subject_id, meta.relation)]  # fmt: skip
    now = {row["object"] for row in own if row["current"]}
    assert now == {meta.true_object_id}, "the fact has one true object"
    if is_true:
        assert meta.object_id == meta.true_object_id and meta.hops is None
        return
    assert meta.object_id not in {row["object"] for row in own}, "it is or was true"
    assert sample.ground_truth and sample.target_new.casefold() != sample.ground_truth.casefold()
    used = {row["object"] for row in statements if row["relation"] == meta.relation}
    assert meta.object_id in used, "not an object that the relation has anywhere"
    classes = [
        {r["object"] for r in statements if r["subject"] == name and r["relation"] == "P31"}
        for name in (meta.object_id, meta.true_object_id)
    ]
    assert not all(classes) or classes[0] & classes[1], "of another class than the true object"
    if meta.hops is not None:
        edges = [(r["subject"], r["object"]) for r in statements
                 if r["current"] and r["relation"] != "P31"]  # fmt: skip
        assert meta.hops >= 1 and meta.object_id in _within(edges, meta.true_object_id, meta.hops)


def _check_texts(sample: Sample, table: RelationTable) -> None:
    meta = meta_of(sample)
    prompts = {prompt_of(p, sample.subject) for p in table[meta.relation].patterns}
    assert sample.prompt in prompts and sample.rephrase_prompt in prompts
    assert sample.prompt != sample.rephrase_prompt
    assert sample.target_new.casefold() not in sample.subject.casefold()
    for context in sample.prefix:
        assert sample.target_new.casefold() not in context.casefold(), "the context says it"


def _check_locality(
    sample: Sample, current: list[dict[str, Any]], edited: set[str], table: RelationTable
) -> None:
    meta = meta_of(sample)
    subject, relation, answer = meta.locality
    own = [row["object"] for row in current
           if (row["subject"], row["relation"]) == (subject, relation)]  # fmt: skip
    assert own == [answer], "the probe's answer is not the one that is true"
    assert relation in (meta.relation, *table[meta.relation].near)
    assert subject not in edited and subject not in (meta.object_id, meta.true_object_id)
    assert answer not in (meta.object_id, meta.subject_id)
    edges = [(row["subject"], row["object"]) for row in current]
    step = {end for start, end in edges if start == subject}
    assert meta.subject_id not in step | {end for start, end in edges if start in step}
    assert (meta.subject_id, subject) not in edges


def _within(edges: Iterable[tuple[str, str]], start: str | None, steps: int) -> set[str | None]:
    near: dict[Any, set[str]] = {}
    for one, other in edges:
        near.setdefault(one, set()).add(other)
        near.setdefault(other, set()).add(one)
    found: set[Any] = {start}
    for _ in range(steps):
        found |= {end for name in found for end in near.get(name, ())}
    return found
