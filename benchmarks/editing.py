"""A method at work: an editor, the cases, and the base weights to come back to."""

from __future__ import annotations

import os
import platform
import random
import subprocess
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from benchmarks.config import ROOT
from benchmarks.jobs import CellJob
from benchmarks.jobs import Sequence as EditSequence
from benchmarks.methods import Adapter, build_hparams, get_adapter
from benchmarks.resources import MIB, Meter, growth
from benchmarks.results import Details
from benchmarks.scoring import Course, Examples, Scorer
from benchmarks.side_effects import SideEffects, weight_change
from dafnet_plugin.cases import EditCase, read_cases
from dafnet_plugin.easyedit import register
from dafnet_plugin.easyedit.compat import EasyEdit
from dafnet_plugin.errors import EasyEditError
from dafnet_plugin.files import read_jsonl

SIDE_EFFECT_SEQUENCES = 10
"""Of each length so many sequences are read for side effects: with one edit that takes longer
than the edit."""
EXAMPLE_CASES = 3
"""Edits of the first sequence of each length that the model is asked about in words."""


@dataclass
class Bench:
    """An editor and what it takes to score it.

    Attributes:
        bystanders: prompts about nothing that is edited, for methods that keep one in place.
        base: the weights of the unedited model, by name; ``own`` the objects that hold them.
        config_hash: of the lines this is for.
        seed: set before each sequence, so that a sequence does not depend on those before it.
    """

    adapter: Adapter
    editor: Any
    hparams: Any
    cases: list[EditCase]
    bystanders: list[str]
    scorer: Scorer
    side_effects: SideEffects | None
    base: dict[str, Tensor]
    own: dict[str, Tensor]
    config_hash: str
    seed: int
    versions: dict[str, str]
    machine: dict[str, Any]

    @classmethod
    def build(cls, job: CellJob) -> Bench:
        """Load the model through EasyEdit and take stock of it."""
        if job.threads:
            torch.set_num_threads(job.threads)
        seed = job.result["seed"]
        easyedit = register()
        hparams = build_hparams(easyedit, job.alg_name, job.hparams, job.overrides)
        editor = easyedit.base_editor.from_hparams(hparams)
        editor.model.eval()
        adapter = get_adapter(job.alg_name, repaired=job.repaired, **job.options)
        texts = [" ".join(pair) for pair in _pairs(job.texts)]
        adapter.prepare(easyedit, editor, hparams, texts, seed)
        cases = read_cases(job.cases)
        own = dict(_weights(editor.model))
        bench = cls(
            adapter=adapter,
            editor=editor,
            hparams=hparams,
            cases=cases,
            # Not those the side effects are read from: a method must not learn to keep these.
            bystanders=[case.request.prompt for case in read_cases(job.train_cases)],
            scorer=Scorer(
                editor.model,
                editor.tok,
                cases,
                indices=[index for sequence in job.sequences for index in sequence.cases],
                ask=adapter.scored_logits,
            ),
            side_effects=_side_effects(job.bystanders, editor, adapter, seed),
            base={name: value.detach().clone() for name, value in own.items()},
            own=own,
            config_hash=job.result.get("config_hash", ""),
            seed=seed,
            versions=_versions(easyedit),
            machine=_machine(editor.model),
        )
        if job.sequences:
            # The first edit of a process loads archives and inverts matrices; it is not timed.
            bench.edit(job.sequences[0].cases[0])
            bench.restore()
        return bench

    def run(
        self, sequence: EditSequence, progress: Callable[[int], object] = lambda _: None
    ) -> tuple[dict[str, Any], Details]:
        """Edit cases one after another, and score.

        Returns:
            the fields of :class:`benchmarks.results.Result` that say how it went, and what
            stands beside them. The model has its base weights again, whatever happened.
        """
        self.scorer.prepare(self.editor.model, sequence.cases)
        course = Course(self.scorer, sequence.cases)
        examples = self._examples(sequence)
        meter = Meter(self.editor.model.device)
        memory = meter.memory()
        self._seed()
        try:
            for position, index in enumerate(sequence.cases):
                request = self.request(index)
                with meter.running():
                    model = self.adapter.edit(self.editor, [request], self.hparams)
                course.edited(model)
                examples.edited(model, position)
                progress(1)
            said = examples.finished(model)
            fields = course.fields() | self._side_effects(model, sequence)
        finally:
            self.restore()
        fields |= {
            "seconds_per_edit": float(np.mean(meter.seconds)),
            "seconds_growth": growth(meter.seconds),
            "memory_mb": memory / MIB,
            "peak_memory_mb": None if meter.peak is None else meter.peak / MIB,
        }
        ids = [self.cases[index].case_id for index in sequence.cases]
        return fields, Details(self.config_hash, course.details(ids, meter.seconds), said)

    def request(self, index: int) -> dict[str, Any]:
        """A case's request in EasyEdit's fields."""
        return self.adapter.request(self.cases[index], self.bystanders)

    def edit(self, index: int) -> Any:
        """Edit one case on top of what was edited before; returns the edited model."""
        return self.adapter.edit(self.editor, [self.request(index)], self.hparams)

    @torch.no_grad()
    def restore(self) -> None:
        """Put the base weights back, bit by bit.

        Raises:
            EasyEditError: the method has left the model with other weights than it had.
        """
        self.adapter.restore(self.editor)
        found = dict(_weights(self.editor.model))
        if found.keys() != self.base.keys():
            names = sorted(found.keys() ^ self.base.keys())
            raise EasyEditError(
                f"{self.adapter.alg_name}: restoring left weights that were not there, or took "
                f"some away: {', '.join(names[:4])}"
            )
        for name, value in found.items():
            value.copy_(self.base[name])
        self.editor.model.eval()

    def _examples(self, sequence: EditSequence) -> Examples:
        first = sequence.cases[:EXAMPLE_CASES] if sequence.number == 0 else []
        cases = [self.cases[index] for index in first]
        return Examples(self.editor.model, self.editor.tok, self.adapter, cases)

    def _side_effects(self, model: Any, sequence: EditSequence) -> dict[str, Any]:
        """What is read off the edited model at the end."""
        stored = self.adapter.stored_bytes(model, self.base)
        fields: dict[str, Any] = {
            "stored_mb": None if stored is None else stored / MIB,
            "weight_change": weight_change(dict(_weights(model)), self.own, self.base),
        }
        if self.side_effects is not None and sequence.number < SIDE_EFFECT_SEQUENCES:
            fields |= self.side_effects.compare(model)
        return fields

    def _seed(self) -> None:
        random.seed(self.seed)
        np.random.seed(self.seed)
        torch.manual_seed(self.seed)


def _weights(model: Any) -> list[tuple[str, Tensor]]:
    return [*model.named_parameters(), *model.named_buffers()]


def _pairs(path: str | Path) -> list[tuple[str, str]]:
    return [(record["prompt"], record["answer"]) for record in read_jsonl(path)]


def _side_effects(path: str | None, editor: Any, adapter: Adapter, seed: int) -> SideEffects | None:
    sentences = _pairs(path) if path else []
    if not sentences:
        return None
    return SideEffects(editor.model, editor.tok, sentences, adapter, seed=seed)


def _versions(easyedit: EasyEdit) -> dict[str, str]:
    import transformers

    import dafnet_plugin

    found = {
        "python": platform.python_version(),
        "torch": torch.__version__,
        "transformers": transformers.__version__,
        "easyeditor": f"{easyedit.version} {easyedit.package_version or 'unknown'}",
        "dafnet_plugin": dafnet_plugin.__version__,
    }
    try:
        commit = subprocess.run(
            ["git", "describe", "--always", "--dirty", "--abbrev=12"],
            cwd=ROOT, capture_output=True, text=True, timeout=10, check=True,
        ).stdout.strip()  # fmt: skip
    except (OSError, subprocess.SubprocessError):
        return found  # installed from an archive
    return found | {"commit": commit}


def _machine(model: Any) -> dict[str, Any]:
    return {
        "device": str(model.device),
        "cpus": os.cpu_count(),
        "threads": torch.get_num_threads(),
        "platform": f"{platform.system()} {platform.machine()}",
    }
