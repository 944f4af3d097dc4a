"""Everything the page says, as plain data: ``analysis.json``."""

from __future__ import annotations

import statistics
from collections import Counter
from collections.abc import Mapping, Sequence
from itertools import chain
from pathlib import Path
from typing import Any

from dafnet_plugin.dafset.analyse.knowledge import (
    DOMAINS,
    OTHER,
    UNKNOWN,
    Knowledge,
    fold_classes,
)
from dafnet_plugin.dafset.analyse.measures import Measure, curve, identities, median
from dafnet_plugin.dafset.analyse.overlap import duplicates, overlap_table
from dafnet_plugin.dafset.analyse.sets import Fact, FactSet
from dafnet_plugin.dafset.relations import load_relations
from dafnet_plugin.dafset.robustness import BUCKETS, CONTENTS, SENTIMENTS, SentimentScorer
from dafnet_plugin.files import read_json

FORMAT = 1
EXAMPLES = 3
"""Samples shown of each file."""
TOO_FEW = 0.1
"""Where the classes of less than this share of the subjects are known, they would mislead."""


def summarise(
    folder: Path, sets: Sequence[FactSet], measures: Sequence[Measure], knowledge: Knowledge | None
) -> dict[str, Any]:
    """Put everything together.

    Args:
        folder: of the DAFSet; what its ``dataset.json`` says about its origin is taken over.
    """
    origin = folder / "dataset.json"
    return {
        "format": FORMAT,
        "name": folder.resolve().name,
        "origin": read_json(origin) if origin.is_file() else None,
        "sets": [_of_set(one) for one in sets],
        "measures": [_of_measure(one) for one in measures],
        "relations": _relations(sets),
        "domains": _domains(sets, knowledge),
        "contexts": _contexts(sets),
        "overlap": overlap_table(sets),
        "duplicates": duplicates(sets),
        "examples": {one.name: _examples(one) for one in sets if one.own},
    }


def _of_set(one: FactSet) -> dict[str, Any]:
    splits = Counter(fact.meta.split for fact in one.facts if fact.meta)
    words = [len(fact.prompt.split()) for fact in one.facts]
    return {
        "name": one.name,
        "own": one.own,
        "facts": len(one.facts),
        "subjects": len(one.subjects),
        "relations": len({fact.meta.relation for fact in one.facts if fact.meta}) or None,
        "splits": dict(sorted(splits.items())),
        "with_old_answer": sum(fact.true is not None for fact in one.facts),
        "changed": dict(Counter(f.meta.change for f in one.facts if f.meta and f.meta.change)),
        "hops": dict(
            sorted(Counter(f.meta.hops for f in one.facts if f.meta and f.meta.hops).items())
        ),
        "prompt_words": {"mean": statistics.fmean(words), "most": max(words)} if words else None,
    }


def _of_measure(one: Measure) -> dict[str, Any]:
    rising = one.name == "likelihood"
    series = []
    for name, values in one.values.items():
        asked = one.asked[name]
        quarters = statistics.quantiles(values, n=4) if len(values) > 1 else None
        series.append(
            {
                "set": name,
                "known": len(values),
                "asked": asked,
                "zeros": sum(value == 0 for value in values),
                "median": median(values),
                "quartiles": quarters and [quarters[0], quarters[2]],
                "curve": curve(values, rising=rising) if values else [],
            }
        )
    return {"name": one.name, "unit": one.unit, "basis": one.basis, "series": series}


def _relations(sets: Sequence[FactSet]) -> list[dict[str, Any]]:
    """Samples of each relation, by file; the most frequent relation first."""
    labels: dict[str, str] = {}
    counts: dict[str, Counter[str]] = {}
    for one in sets:
        for fact in one.facts:
            if one.own and fact.meta:
                relation = fact.meta.relation
                labels[relation] = fact.meta.relation_label or relation
                counts.setdefault(relation, Counter())[one.name] += 1
    ordered = sorted(counts, key=lambda relation: (-counts[relation].total(), relation))
    return [{"id": name, "label": labels[name], "counts": dict(counts[name])} for name in ordered]


def _domains(sets: Sequence[FactSet], knowledge: Knowledge | None) -> dict[str, Any]:
    """Subjects of each domain, by set; with a graph, domains are classes folded up.

    Unless the graph has the class of hardly any subject, as one made of labels alone.
    """
    counts = {} if knowledge is None else _classes(sets, knowledge)
    if any(1 - one[UNKNOWN] / max(1, one.total()) >= TOO_FEW for one in counts.values()):
        basis = f"classes of the graph, folded up to at most {DOMAINS}"
        return {"basis": basis, "sets": _largest(counts)}
    found = {
        one.name: Counter(
            (fact.meta.domain or UNKNOWN) if fact.meta else UNKNOWN
            for fact in one.subjects.values()
        )
        for one in sets
        if one.own
    }
    return {"basis": "fields of the relations", "sets": _largest(found)}


def _classes(sets: Sequence[FactSet], knowledge: Knowledge) -> dict[str, Counter[str]]:
    """Subjects of each class, folded up, by set."""
    known = identities(sets, knowledge)
    classes = knowledge.classes(known.values())
    above = knowledge.above(chain.from_iterable(classes.values()))
    folded = fold_classes(classes, above)
    labels = _class_labels() | knowledge.labels(set(folded.values()))
    return {
        one.name: Counter(
            labels.get(name, name)
            for key in one.subjects
            for name in [folded.get(known.get(key, ""), UNKNOWN)]
        )
        for one in sets
    }


def _class_labels() -> dict[str, str]:
    """Names of common classes, for graphs that have the ids of classes only."""
    types = reversed(list(load_relations().types.values()))  # of two the first counts
    return {kind.classes[0]: kind.label for kind in types if kind.classes}


def _largest(counts: Mapping[str, Counter[str]]) -> dict[str, dict[str, int]]:
    """The most frequent domains in one order for all sets, the rest together."""
    total: Counter[str] = Counter()
    for one in counts.values():
        total.update(one)
    named = [name for name, _ in total.most_common() if name not in (OTHER, UNKNOWN)]
    kept = named[: DOMAINS - 1] if len(named) > DOMAINS else named
    order = [*kept, *(name for name in (OTHER, UNKNOWN) if total[name] or len(named) > len(kept))]
    found = {}
    for name, one in counts.items():
        rest = sum(one[domain] for domain in named if domain not in kept)
        row = {domain: one[domain] + (rest if domain == OTHER else 0) for domain in order}
        found[name] = {domain: count for domain, count in row.items() if total[domain] or rest}
    return found


def _contexts(sets: Sequence[FactSet]) -> dict[str, Any] | None:
    """Length, content and sentiment of all contexts; None without any."""
    stored = [
        context for one in sets for fact in one.facts if fact.meta for context in fact.meta.contexts
    ]
    texts = [
        text for one in sets for fact in one.facts if fact.sample for text in fact.sample.prefix
    ]
    if not texts:
        return None
    scorer = SentimentScorer()
    agree = sum(scorer.label(context.text) == context.sentiment for context in stored)
    cells = Counter((context.length, context.content, context.sentiment) for context in stored)
    return {
        "contexts": len(texts),
        "distinct": len(set(texts)),
        "samples": sum(bool(f.sample and f.sample.prefix) for one in sets for f in one.facts),
        "words": dict(sorted(Counter(len(text.split()) for text in texts).items())),
        "scores": _histogram([scorer.score(text) for text in texts]),
        "described": len(stored),
        "sentiment_as_described": agree,
        "lengths": _in_order(Counter(context.length for context in stored), BUCKETS),
        "contents": _in_order(Counter(context.content for context in stored), CONTENTS),
        "sentiments": _in_order(Counter(context.sentiment for context in stored), SENTIMENTS),
        "cells": [
            [[cells[length, content, mood] for mood in SENTIMENTS] for content in CONTENTS]
            for length in BUCKETS
        ],
        "counters": dict(
            Counter(
                f.meta.counter.kind for one in sets for f in one.facts if f.meta and f.meta.counter
            )
        ),
    }


def _histogram(scores: Sequence[float], bins: int = 20) -> list[int]:
    """How many scores, from -1 to 1, fall into each of so many bins."""
    counts = [0] * bins
    for score in scores:
        counts[min(bins - 1, int((score + 1) / 2 * bins))] += 1
    return counts


def _in_order(counts: Counter[str], names: Any) -> dict[str, int]:
    return {name: counts[name] for name in [*names, *(n for n in counts if n not in names)]}


def _examples(one: FactSet) -> list[dict[str, Any]]:
    """A few samples, from the whole length of the file."""
    step = max(1, len(one.facts) // EXAMPLES)
    return [_example(fact) for fact in one.facts[::step][:EXAMPLES]]


def _example(fact: Fact) -> dict[str, Any]:
    sample, meta = fact.sample, fact.meta
    assert sample is not None
    return {
        "prompt": sample.prompt,
        "new": sample.target_new,
        "old": sample.ground_truth,
        "paraphrase": sample.rephrase_prompt,
        "locality": [sample.locality_prompt, sample.locality_ground_truth],
        "contexts": list(sample.prefix[:3]),
        "counter": meta.counter.target_new if meta and meta.counter else None,
        "known": {
            name: value
            for name in (
                "views",
                "degree",
                "frequency",
                "log_likelihood",
                "modified",
                "change",
                "hops",
            )
            if meta and (value := getattr(meta, name)) is not None
        },
    }
