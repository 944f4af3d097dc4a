"""Hyper-parameters of CaliNet: ``hparams/CALINET/<model>.yaml``."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import ClassVar, Literal

from dafnet_plugin.methods.hparams import Activation, NeuronHparams
from dafnet_plugin.schema import not_positive


@dataclass
class CaliNetHparams(NeuronHparams):
    """Editing with CaliNet; no meta-training.

    Attributes:
        edit_modules: feed-forward modules that get slots; the paper takes the last ones.
        slots: calibration slots beside each of them: for each call with ``add``, in all with
            ``retrain``.
        sequential: a further call ``add``s slots of its own and leaves earlier ones as they are,
            or ``retrain``s the same slots on all facts so far.
        contexts: where the paraphrases of a fact are not known, its prompt is put into each of
            these in the place of ``{}``.
        paraphrase_path: edit cases (``.jsonl``) whose generality prompts are the paraphrases of
            their requests' prompts; null for none. A request may also bring ``paraphrases``.
        texts_per_step: paraphrases that one step looks at, at most.
        replay: of those, at most so many are of facts calibrated before.
        goal: negative log-likelihood (nats a token) at which training ends.
        locality: weight of the KL to the unedited model on remembered sentences. A departure: the
            paper trusts in the slots being few, and has none (0).
        locality_texts: sentences of one call that this is taken on.
    """

    alg_name: str = "CALINET"
    activation: Activation = "gelu"
    slots: int = 64
    sequential: Literal["add", "retrain"] = "add"
    contexts: list[str] = field(default_factory=lambda: ["{}"])
    paraphrase_path: str | None = None
    texts_per_step: int = 64
    replay: int = 0
    goal: float = 0.01
    locality: float = 0.0
    locality_texts: int = 32

    METHOD: ClassVar[str] = "CALINET"

    def problems(self) -> list[str]:
        """See :meth:`YamlConfig.problems`."""
        found = super().problems()
        found += not_positive(self, ["slots", "texts_per_step", "locality_texts"], "")
        found += [
            f"{name}: {getattr(self, name)}; allowed: 0 or more"
            for name in ("replay", "goal", "locality")
            if getattr(self, name) < 0
        ]
        if not self.contexts or any(context.count("{}") != 1 for context in self.contexts):
            found.append(f"contexts: {self.contexts}; allowed: texts with one {{}} each")
        if self.locality and self.memory_path is None and not self.memory_texts:
            found.append(f"locality: {self.locality}; needs memory_path or memory_texts")
        return found
