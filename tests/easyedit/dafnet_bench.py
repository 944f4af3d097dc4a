"""DAFNet through the EasyEdit of this process; only worker processes import this."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import easyeditor
import numpy as np

from dafnet_plugin import DAFNetHparams
from tests.easyedit import dafnet_setup as setup

ALG_DICT = sys.modules["easyeditor.util.alg_dict"].ALG_DICT
DS_DICT = sys.modules["easyeditor.util.alg_dict"].DS_DICT
ALG_TRAIN_DICT = sys.modules["easyeditor.util.alg_train_dict"].ALG_TRAIN_DICT
BatchEditor = sys.modules["easyeditor.editors.batch_editor"].BatchEditor


@dataclass(frozen=True)
class Bench:
    """One model family on disk, and editors of it."""

    family: str
    folder: Path

    @property
    def modules(self) -> list[str]:
        """Names of the edited modules."""
        return setup.MODULES[self.family]

    def settings(self, kind: str = "least_squares", **changes: Any) -> dict[str, Any]:
        """What stands in the YAML file."""
        return setup.settings(self.family, kind, model_name=str(self.folder), **changes)

    def hparams(self, kind: str = "least_squares", **changes: Any) -> DAFNetHparams:
        """Hyper-parameters read from a YAML file, and a checkpoint made for the occasion."""
        values = self.settings(kind, **changes)
        archive = Path(f"dafnet-{kind}")
        if not archive.exists():
            setup.write_checkpoint(archive, self.folder, values)
        values.setdefault("archive", str(archive))
        return DAFNetHparams.from_hparams(setup.write_yaml(Path("dafnet.yaml"), values))

    def editor(self, kind: str = "least_squares", **changes: Any) -> Any:
        """An editor with a model of its own, as a user makes one."""
        return easyeditor.BaseEditor.from_hparams(self.hparams(kind, **changes))

    def reference(self, groups: list[list[int]], kind: str = "least_squares") -> Any:
        """A model of its own, edited without an editor, one call a group of facts."""
        model, tokenizer = setup.load(self.folder)
        for group in groups:
            requests = [{"prompt": setup.PROMPTS[n], "target_new": setup.TARGETS[n]} for n in group]
            ALG_DICT["DAFNET"](model, tokenizer, requests, self.hparams(kind))
        return model


def facts(numbers: list[int]) -> dict[str, Any]:
    """The arguments of ``edit`` for some of the facts."""
    return {
        "prompts": [setup.PROMPTS[n] for n in numbers],
        "target_new": [setup.TARGETS[n] for n in numbers],
        "ground_truth": [setup.TRUTHS[n] for n in numbers],
        "subject": [setup.SUBJECTS[n] for n in numbers],
        "rephrase_prompts": [f"They say: {setup.PROMPTS[n]}" for n in numbers],
        "locality_inputs": {
            "other": {
                "prompt": ["Watts Humphrey attended the university of"] * len(numbers),
                "ground_truth": ["Michigan, not of Illinois"] * len(numbers),
            }
        },
    }


def scores(metrics: list[dict[str, Any]]) -> dict[str, Any]:
    """What EasyEdit measured, a number an edit."""

    def of(when: str, what: str) -> list[float]:
        return [float(np.mean(metric[when][what])) for metric in metrics]

    return {
        "pre": of("pre", "rewrite_acc"),
        "post": of("post", "rewrite_acc"),
        "rephrase": of("post", "rephrase_acc"),
        "locality": [float(np.mean(m["post"]["locality"]["other_acc"])) for m in metrics],
    }
