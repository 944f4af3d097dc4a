"""Contexts and counter-samples put into the samples of ``robust.json``."""

from __future__ import annotations

import dataclasses
import logging
from collections.abc import Iterable, Sequence
from typing import Any

from dafnet_plugin.dafset.robustness.context import Context, ContextConfig, Subject
from dafnet_plugin.dafset.robustness.counters import Value, opposite
from dafnet_plugin.dafset.robustness.generator import GeneratedSource
from dafnet_plugin.dafset.robustness.maker import ContextMaker
from dafnet_plugin.dafset.samples import Context as StoredContext
from dafnet_plugin.dafset.samples import Counter, Material, Sample
from dafnet_plugin.errors import DataError

logger = logging.getLogger(__name__)


def add_robustness(
    samples: Sequence[Sample],
    material: Material,
    *,
    seed: int = 0,
    config: ContextConfig | None = None,
    corpus: Iterable[str] = (),
    generated: GeneratedSource | None = None,
) -> list[Sample]:
    """Give samples their contexts and their counter-samples.

    Args:
        samples: with their origin (``meta``).
        material: true sentences from the graph, and values that exclude the new answer.
        seed: the same seed and inputs give the same samples.
        config: how many contexts, and what from.
        corpus: passages of plain text to take contexts from, too.
        generated: a language model that writes contexts.

    Returns:
        the samples with ``prefix``, ``meta.contexts`` and ``meta.counter``. A sample for which
        no context could be made, or no opposite value found, is returned without.

    Raises:
        DataError: a sample without its origin.
        NumericalError: the language model yields NaN.
    """
    maker = ContextMaker(
        config, seed=seed, unrelated=material.unrelated, corpus=corpus, generated=generated
    )
    subjects = [_subject(sample, material) for sample in samples]
    if generated:
        generated.prepare([(one, cell) for one in subjects for cell in maker.plan(one)])
    made = []
    for sample, subject in zip(samples, subjects, strict=True):
        contexts = maker.contexts(subject)
        counter = _counter(sample, material, seed)
        made.append(_with(sample, contexts, counter))
    if maker.missing:
        worst = ", ".join(f"{cell} ({n})" for cell, n in maker.missing.most_common(3))
        logger.info("contexts: %d could not be made as planned: %s", maker.missing.total(), worst)
    return made


def _subject(sample: Sample, material: Material) -> Subject:
    if sample.meta is None:
        raise DataError(f"sample {sample.prompt!r}: without 'dafset', its contexts have no key")
    truth = (sample.ground_truth,) if sample.ground_truth else ()
    return Subject(
        key=sample.meta.id,
        name=sample.subject,
        # What the probes ask for must not be read in the context.
        avoid=(sample.target_new, *truth, sample.locality_ground_truth),
        related=material.about.get(sample.meta.id, ()),
        distracting=material.distracting.get(sample.meta.id, ()),
    )


def _counter(sample: Sample, material: Material, seed: int) -> Counter | None:
    assert sample.meta is not None
    values = [Value(*pair) for pair in material.exclusive.get(sample.meta.id, ())]
    avoid = [sample.ground_truth] if sample.ground_truth else []
    meta = sample.meta
    found = opposite(meta.id, meta.relation, sample.target_new, values, avoid=avoid, seed=seed)
    if found is None:
        return None
    return Counter(sample.prompt, found.value.label, found.value.id, found.kind)


def _with(sample: Sample, contexts: Sequence[Context], counter: Counter | None) -> Sample:
    meta: Any = sample.meta
    stored = tuple(StoredContext(context.text, *context.cell) for context in contexts)
    return dataclasses.replace(
        sample,
        prefix=tuple(context.text for context in contexts),
        meta=dataclasses.replace(meta, contexts=stored, counter=counter),
    )
