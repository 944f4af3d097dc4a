"""A method at work: an editor, the cases, and the base weights to come back to."""

from __future__ import annotations

import os
import platform
import subprocess
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from benchmarks.config import ROOT
from benchmarks.jobs import CellJob
from benchmarks.methods import USES_MOMENTS, build_hparams, request_of
from benchmarks.scoring import KINDS, Scorer, Scores, mean_scores
from benchmarks.statistics import statistics_path, write_second_moments
from dafnet_plugin.cases import EditCase, read_cases
from dafnet_plugin.easyedit import register
from dafnet_plugin.easyedit.compat import EasyEdit
from dafnet_plugin.files import read_jsonl


@dataclass
class Bench:
    """An editor and what it takes to score it.

    Attributes:
        base: the weights of the unedited model, by name.
        seed: set before each sequence, so that a sequence does not depend on those before it.
    """

    alg_name: str
    editor: Any
    hparams: Any
    cases: list[EditCase]
    scorer: Scorer
    base: dict[str, Tensor]
    seed: int
    versions: dict[str, str]
    machine: dict[str, Any]

    @classmethod
    def build(cls, job: CellJob) -> Bench:
        """Load the model through EasyEdit and take stock of it."""
        if job.threads:
            torch.set_num_threads(job.threads)
        easyedit = register()
        hparams = build_hparams(easyedit, job.alg_name, job.hparams, job.overrides)
        editor = easyedit.base_editor.from_hparams(hparams)
        editor.model.eval()
        if job.alg_name in USES_MOMENTS and getattr(hparams, "mom2_adjustment", True):
            _provide_moments(easyedit, editor, job.texts, job.result["seed"])
        cases = read_cases(job.cases)
        bench = cls(
            alg_name=job.alg_name,
            editor=editor,
            hparams=hparams,
            cases=cases,
            scorer=Scorer(editor.model, editor.tok, cases),
            base={name: value.detach().clone() for name, value in _weights(editor.model)},
            seed=job.result["seed"],
            versions=_versions(easyedit),
            machine=_machine(editor.model),
        )
        if job.sequences:
            # The first edit of a process loads archives and inverts matrices; it is not timed.
            bench.edit(job.sequences[0].cases[0])
            bench.restore()
        return bench

    def run(
        self, indices: Sequence[int], progress: Callable[[int], object] = lambda _: None
    ) -> dict[str, float | None]:
        """Edit cases one after another, and score.

        Returns:
            the fields of :class:`benchmarks.results.Result` that say how it went. The model has
            its base weights again, whatever happened.
        """
        torch.manual_seed(self.seed)
        immediate: list[Scores] = []
        seconds = 0.0
        try:
            for index in indices:
                start = time.perf_counter()
                model = self.edit(index)
                seconds += time.perf_counter() - start
                immediate += self.scorer.score(model, [index])
                progress(1)
            final = mean_scores(self.scorer.score(model, indices))
        finally:
            self.restore()
        before = mean_scores(immediate)
        return {
            **{f"immediate_{kind}": getattr(before, kind) for kind in KINDS},
            **{f"final_{kind}": getattr(final, kind) for kind in KINDS},
            "retention": _ratio(final.reliability, before.reliability),
            "seconds_per_edit": seconds / len(indices),
        }

    def edit(self, index: int) -> Any:
        """Edit one case on top of what was edited before; returns the edited model."""
        model, _ = self.editor.apply_algo(
            self.editor.model,
            self.editor.tok,
            [request_of(self.cases[index], self.alg_name)],
            self.hparams,
            copy=False,
            return_orig_weights=True,
            keep_original_weight=False,
        )
        return model

    @torch.no_grad()
    def restore(self) -> None:
        """Put the base weights back, bit by bit."""
        for name, value in _weights(self.editor.model):
            value.copy_(self.base[name])


def _weights(model: Any) -> list[tuple[str, Tensor]]:
    return [*model.named_parameters(), *model.named_buffers()]


def _ratio(final: float | None, immediate: float | None) -> float | None:
    return None if final is None or not immediate else final / immediate


def _provide_moments(easyedit: EasyEdit, editor: Any, texts: str, seed: int) -> None:
    """Write the second moments that the method will look for, where they are missing."""
    hparams = editor.hparams
    statements = [f"{r['prompt']} {r['answer']}" for r in read_jsonl(texts)]
    for layer in hparams.layers:
        module = hparams.rewrite_module_tmp.format(layer)
        path = statistics_path(
            hparams.stats_dir,
            editor.model.config._name_or_path,
            module,
            dataset=hparams.mom2_dataset,
            samples=hparams.mom2_n_samples,
            dtype=hparams.mom2_dtype,
            version=easyedit.version,
        )
        if not path.is_file():
            write_second_moments(
                path,
                editor.model,
                editor.tok,
                module,
                statements,
                samples=hparams.mom2_n_samples,
                seed=seed,
            )


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
