"""Where a trial is run: one method, one model, the facts it is scored on."""

from __future__ import annotations

import random
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import yaml

from benchmarks.config import BenchmarkConfig, MethodConfig
from benchmarks.grid import Setting
from benchmarks.jobs import CellJob, TrainingJob, digest
from benchmarks.methods import read_yaml
from benchmarks.preparation import Ready
from benchmarks.scoring import KINDS, mean_scores
from benchmarks.tuning.space import Settings, applied
from dafnet_plugin.files import read_json, sha256

TUNING_CASES, TRAINING_CASES = "cases-tuning.jsonl", "cases-train.jsonl"

Lengths = Sequence[tuple[int, int]]
"""Pairs of (edits of a sequence, how many such sequences)."""


def settings_for(settings: Settings, section: str) -> dict[str, Any]:
    """What a trial sets in the YAML file for ``editing``, or in that for ``training``."""
    return {**settings.get("both", {}), **settings.get(section, {})}


class Arena:
    """Runs trials of one method, one after another, in this process.

    Args:
        facts: files and base model of the setting.
        folder: has :data:`TUNING_CASES` and :data:`TRAINING_CASES`; takes all else.
        training_seconds: of a meta-training.

    Attributes:
        versions: of what computes the scores.
    """

    def __init__(
        self,
        config: BenchmarkConfig,
        entry: MethodConfig,
        setting: Setting,
        facts: Ready,
        folder: Path,
        lengths: Lengths,
        training_seconds: float,
    ) -> None:
        from dafnet_plugin.easyedit import register

        self.config, self.entry, self.setting = config, entry, setting
        self.facts, self.folder, self.lengths = facts, folder, lengths
        self._seconds = training_seconds
        self._files = {"editing": entry.hparams_path(setting.model)}
        if training := entry.training_path(setting.model):
            self._files["training"] = training
        easyedit = register()
        self.versions = {"easyeditor": f"{easyedit.version} {easyedit.package_version}"}
        for package in ("torch", "transformers", "dafnet_plugin"):
            self.versions[package] = __import__(package).__version__

    @property
    def hashes(self) -> list[str]:
        """Of all that a trial depends on beside its settings."""
        model = self.facts.hashes["model"]
        cases = [sha256(self.folder / name) for name in (TUNING_CASES, TRAINING_CASES)]
        files = [sha256(path) for path in self._files.values()]
        return [model, *cases, *files, self.versions["easyeditor"]]

    def check(self, settings: Settings) -> None:
        """Refuse settings that the YAML files have no keys for.

        Raises:
            ConfigError: names key and file.
        """
        for section in self._files:
            self._values(settings, section)

    def run(self, number: int, settings: Settings) -> dict[str, Any]:
        """Meta-train if the method does, edit and score.

        Returns:
            the fields of :class:`benchmarks.tuning.trials.Trial` that say how it went.
        """
        place = self.folder / f"trial-{number}"
        try:
            archive, trained = self._train(settings, place)
            scores = self._scores(self._write(settings, "editing", place), archive)
        finally:
            shutil.rmtree(place, ignore_errors=True)
        averages = [
            np.mean([value for value in found.values() if value is not None])
            for found in scores.values()
        ]
        return {"score": float(np.mean(averages)), "scores": scores, "training_seconds": trained}

    def _scores(self, hparams: Path, archive: str | None) -> dict[str, dict[str, float | None]]:
        """By number of edits: means over the sequences of that length, after the last edit."""
        from benchmarks.editing import Bench

        bench = Bench.build(self._cell_job(hparams, archive))
        cases = iter(range(len(bench.cases)))
        scores: dict[str, dict[str, float | None]] = {}
        for edits, count in self.lengths:
            found = []
            for _ in range(count):
                indices = [next(cases) for _ in range(edits)]
                bench.scorer.prepare(bench.editor.model, indices)
                _seed(self.setting.seed)
                for index in indices:
                    model = bench.edit(index)
                found += bench.scorer.score(model, indices, portability=False)
                bench.restore()
            means = mean_scores(found)
            scores[str(edits)] = {kind: getattr(means, kind) for kind in KINDS}
        return scores

    def _train(self, settings: Settings, place: Path) -> tuple[str | None, float | None]:
        """The archive, and how long it took to train; None for a method without.

        Trials that differ in the settings for editing only share one archive.
        """
        if "training" not in self._files:
            return None, None
        from benchmarks.meta_training import archive_of, train

        inputs = digest(settings_for(settings, "training"))
        job = TrainingJob(
            alg_name=self.entry.name,
            label=self.entry.label,
            hparams=str(self._write(settings, "training", place)),
            model=self.facts.model,
            cases=str(self.folder / TRAINING_CASES),
            texts=self.facts.texts,
            folder=str(self.folder / f"training-{inputs}"),
            device=self.config.device,
            threads=self.config.threads,
            inputs=inputs,
            seed=self.setting.seed,
            seconds=self._seconds,
        )
        if archive_of(job) is None:
            train(job)
        return archive_of(job), read_json(job.record)["seconds"]

    def _cell_job(self, hparams: Path, archive: str | None) -> CellJob:
        overrides: dict[str, Any] = {
            "model_name": self.facts.model,
            "tokenizer_name": self.facts.model,
            "device": self.config.device,
            "results_dir": str(self.folder),
            "stats_dir": str(self.folder / "stats"),
        }
        if archive is not None:
            overrides["archive"] = archive
        return CellJob(
            alg_name=self.entry.name,
            label=self.entry.label,
            hparams=str(hparams),
            model=self.facts.model,
            cases=str(self.folder / TUNING_CASES),
            train_cases=str(self.folder / TRAINING_CASES),
            texts=self.facts.texts,
            bystanders=None,
            lines="",
            details="",
            threads=self.config.threads,
            result={"seed": self.setting.seed},
            overrides=overrides,
            repaired=self.entry.repaired,
            options=self.entry.options,
        )

    def _values(self, settings: Settings, section: str) -> dict[str, Any]:
        path = self._files[section]
        return applied(read_yaml(path), settings_for(settings, section), str(path))

    def _write(self, settings: Settings, section: str, place: Path) -> Path:
        """The YAML file of a trial, in a folder of the method's name as in ``hparams``."""
        values, source = self._values(settings, section), self._files[section]
        path = place / section / self.entry.name / source.name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(yaml.safe_dump(values, sort_keys=False), encoding="utf-8")
        inside = values.get("base_method")  # whose file SimIE reads besides
        if section == "editing" and isinstance(inside, str):
            target = place / section / inside / source.name
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(source.parents[1] / inside / source.name, target)
        return path


def _seed(seed: int) -> None:
    import torch

    random.seed(seed)
    np.random.seed(seed)
    torch.manual_seed(seed)
