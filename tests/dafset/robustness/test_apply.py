"""Contexts and counter-samples in the samples of robust.json."""

from __future__ import annotations

import dataclasses

import pytest

from dafnet_plugin.dafset.robustness import ContextConfig, add_robustness
from dafnet_plugin.dafset.samples import Material, Meta, Sample, sample_from_json, sample_to_json
from dafnet_plugin.data.records import Place
from dafnet_plugin.errors import DataError

SAMPLE = Sample(
    "The voice of Ada is a",
    "soprano",
    "Ada",
    "tenor",
    "Ada sings as a",
    "The voice of Bo is a",
    "baritone",
    meta=Meta("r-0", "Q1", "P412", "Q2", "Q3", "robust", "train"),
)
MATERIAL = Material(
    about={"r-0": ("Ada was born in Rome",)},
    distracting={"r-0": ("The voice of Cy is a countertenor", "The voice of Bo is a baritone")},
    unrelated=("Mount Fuji lies in Japan",),
    exclusive={"r-0": (("Q9", "bass"), ("Q3", "tenor"))},
)


def test_samples_get_contexts_and_a_counter_sample() -> None:
    (made,) = add_robustness([SAMPLE], MATERIAL)
    assert made.meta is not None and len(made.prefix) == 6
    assert made.prefix == tuple(context.text for context in made.meta.contexts)
    assert {c.sentiment for c in made.meta.contexts} == {"positive", "negative", "neutral"}
    # Nothing that a probe asks for is read before it: Bo's voice is the locality probe.
    assert not any(
        word in text for text in made.prefix for word in ("soprano", " tenor", "baritone")
    )
    counter = made.meta.counter
    assert counter is not None
    assert (counter.prompt, counter.target_new, counter.object_id, counter.kind) == (
        SAMPLE.prompt,
        "bass",
        "Q9",
        "antonym",
    )
    assert sample_from_json(Place("robust.json", 0), sample_to_json(made)) == made
    assert dataclasses.replace(made, prefix=(), meta=SAMPLE.meta) == SAMPLE


def test_the_same_seed_gives_the_same_samples() -> None:
    config = ContextConfig(per_sample=9)
    first, again = (add_robustness([SAMPLE], MATERIAL, seed=3, config=config) for _ in range(2))
    assert first == again != add_robustness([SAMPLE], MATERIAL, seed=4, config=config)


def test_without_material_there_are_contexts_all_the_same() -> None:
    (made,) = add_robustness([SAMPLE], Material())
    assert made.meta is not None and len(made.prefix) == 6 and made.meta.counter is None
    assert {c.content for c in made.meta.contexts} == {"related", "unrelated"}


def test_a_sample_needs_its_origin() -> None:
    with pytest.raises(DataError, match="without 'dafset'"):
        add_robustness([dataclasses.replace(SAMPLE, meta=None)], MATERIAL)
