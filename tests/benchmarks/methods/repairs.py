"""What EasyEdit gets wrong in a sequence of edits, and that it is repaired."""

from __future__ import annotations

import traceback
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import torch

from tests.benchmarks.methods.driving import EASYEDIT, Driven
from tests.benchmarks.methods.trainings import TRAINED, trained


def error_of(action: Callable[[], object]) -> str | None:
    """The error an action ends in, None if it succeeds."""
    try:
        action()
    except RuntimeError as error:
        return str(error)
    return None


class Checks:
    """One check a fault, each run as EasyEdit is and repaired."""

    def __init__(self, family: str, folder: Path, work: Path) -> None:
        self.family, self.folder, self.work = family, folder, work

    def report(self) -> dict[str, Any]:
        """Check -> ``{"as is", "repaired"}``, or the traceback."""
        checks: dict[str, Callable[[bool], Any]] = {
            "SERAC": self.serac,
            "LoRA": partial(self.adapter_kept, "LoRA"),
            "MEND": self.mend,
        }
        if EASYEDIT.version == "git":
            checks |= {
                "DPO": partial(self.adapter_kept, "DPO"),
                "MELO": self.melo,
                "ULTRAEDIT": partial(self.normaliser, "ULTRAEDIT"),
                "MALMEN": partial(self.normaliser, "MALMEN"),
                "GRACE position": self.grace_position,
                "GRACE same key": self.grace_same_key,
                "WISE sequence": self.wise_sequence,
                "WISE shards": self.wise_shards,
                "WISE labels": self.wise_labels,
                "MEMIT-FE": partial(self.padding, "MEMIT-FE"),
                "PMET": partial(self.padding, "PMET"),
                "SimIE": partial(self.padding, "SimIE"),
            }
        found: dict[str, Any] = {}
        for name, check in checks.items():
            try:
                found[name] = {"as is": check(False), "repaired": check(True)}
            except Exception:
                found[name] = {"error": traceback.format_exc()}
        return found

    def driven(self, alg_name: str, repaired: bool, **changes: Any) -> Driven:
        """A method on a model of its own."""
        if alg_name in TRAINED:
            changes |= trained(alg_name, self.family, self.folder, self.work)
        return Driven(alg_name, self.family, self.folder, self.work, repaired=repaired, **changes)

    def serac(self, repaired: bool) -> Any:
        """Edits remembered after two, and the loss of the first."""
        method = self.driven("SERAC", repaired)
        base = method.loss(method.editor.model, 0)
        first = method.loss(method.edit(0), 0)
        model = method.edit(1)
        losses = {"base": base, "first": first, "after": method.loss(model, 0)}
        return {"remembered": len(model.cache_inputs), **losses}

    def adapter_kept(self, alg_name: str, repaired: bool) -> Any:
        """The loss of an edit before and after another one that trains for no step at all."""
        # A rate that teaches a random model one fact; that of the YAML file is for trained ones.
        method = self.driven(alg_name, repaired, lr=2e-2)
        base = method.loss(method.editor.model, 0)
        first = method.loss(method.edit(0), 0)
        method.hparams.num_steps = 0
        return {"base": base, "first": first, "after": method.loss(method.edit(1), 0)}

    def normaliser(self, alg_name: str, repaired: bool) -> Any:
        """Tokens that the statistics of an executor know after one edit and after two."""
        method = self.driven(alg_name, repaired)
        executor = method.editor.apply_algo.__self__

        def seen() -> float:
            parts = getattr(executor.alg, "lifelong_normalizer", None) or executor.alg.net
            found = next(iter(parts.values()))
            return float(getattr(found, "normalizer", found).n)

        counts = []
        for index in (0, 1):
            method.edit(index)
            counts.append(seen())
        method.restore()
        return {"counts": counts, "restored": seen()}

    def mend(self, repaired: bool) -> Any:
        """How far an edit moves the statistics of meta-training."""
        method = self.driven("MEND", repaired)
        alg = method.editor.apply_algo.__self__.alg
        means = [part.u_mean.clone() for part in alg.mend.values()]
        method.edit(0)
        moved = [(part.u_mean - old).norm().item() for part, old in zip(alg.mend.values(), means)]
        return {"moved": max(moved)}

    def grace_position(self, repaired: bool) -> Any:
        """The loss of an edit right after it, and after one whose prompt has another length."""
        method = self.driven("GRACE", repaired)
        base = method.loss(method.editor.model, 0)
        first = method.loss(method.edit(0), 0)
        return {"base": base, "first": first, "after": method.loss(method.edit(1), 0)}

    def grace_same_key(self, repaired: bool) -> Any:
        """The error of an edit that finds its key there already."""
        method = self.driven("GRACE", repaired)
        method.edit(0)
        return {"error": error_of(lambda: method.edit(0))}

    def melo(self, repaired: bool) -> Any:
        """The loss of an edit right after it and after another one, or the error of that."""
        method = self.driven("MELO", repaired)
        base = method.loss(method.editor.model, 0)
        first = method.loss(method.edit(0), 0)
        error = error_of(lambda: method.edit(1))
        after = None if error else method.loss(method.adapter._wrapped, 0)  # type: ignore[attr-defined]
        return {"base": base, "first": first, "after": after, "error": error}

    def wise_sequence(self, repaired: bool) -> Any:
        """Edits that WISE's side memory has seen after two."""
        method = self.driven("WISE", repaired, n_iter=10)
        model = method.edit(0, 1)
        return {"edits": method.adapter.found(model).editing_total_cnt}  # type: ignore[attr-defined]

    def wise_shards(self, repaired: bool) -> Any:
        """Asking a model with merged shards; ``F`` is what EasyEdit reads them with."""
        method = self.driven("WISE", True, save_freq=2, merge_freq=4, n_iter=10)
        if not repaired:
            EASYEDIT.module("models.wise.WISE").F = torch.nn.functional
        model = method.edit(0, 1, 2, 3, 4)
        return {"error": error_of(lambda: method.loss(model))}

    def wise_labels(self, repaired: bool) -> Any:
        """Labels of an edit whose unrelated prompt is a long one, and tokens of its answer."""
        method = self.driven("WISE", repaired)
        request = method.adapter.request(method.cases[0], ["The song at the end of the film " * 3])
        if repaired:
            request = method.adapter._with_short_bystander(  # type: ignore[attr-defined]
                method.editor.tok, request
            )
        tokens, _, _ = EASYEDIT.module("models.wise.utils").tokenize(
            [request], method.editor.tok, "cpu", context_templates=["{}"], hparams=method.hparams
        )
        text = method.texts(0)[0]
        labels = tokens["labels"][0] != -100
        return {"labels": labels.sum().item(), "answer": len(text.ids) - text.target_start}

    def padding(self, alg_name: str, repaired: bool) -> Any:
        """Where it pads, and the loss of an edit."""
        method = self.driven(alg_name, repaired)
        loss = method.loss(method.edit(0), 0)
        return {"side": method.editor.tok.padding_side, "loss": loss}
