"""Hyper-parameters of Transformer-Patcher: ``hparams/TPATCHER/<model>.yaml``."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from dafnet_plugin.methods.hparams import NeuronHparams
from dafnet_plugin.schema import not_positive


@dataclass
class TPatcherHparams(NeuronHparams):
    """Editing with Transformer-Patcher; no meta-training.

    Attributes:
        edit_modules: one feed-forward module; the paper takes that of the last block, where a
            patch changes what is said at its own token and nowhere else.
        activation: the paper takes the model's own. ``relu`` is a departure where that is GELU: a
            silent patch is then exactly silent, however many there are.
        steps: of one edit, at most; it ends as soon as every token of the target is right and
            every patch is silent on what is remembered.
        confidence: probability from which on a token counts as right (it has to be the likeliest
            one, too).
        activation_weight: ``a``, of the loss that lets a patch fire for its token.
        memory_weight: ``m``, of the losses that keep it silent on what is remembered.
        memory_threshold: ``beta``, what the input of a patch shall stay below for those.
        memory_margin: ``gamma``, the same for how far it exceeds its input for its own token.
        memory_top: remembered keys that a loss looks at, the most active ones.
    """

    alg_name: str = "TPATCHER"
    confidence: float = 0.5
    activation_weight: float = 1.0
    memory_weight: float = 10.0
    memory_threshold: float = -3.0
    memory_margin: float = -3.0
    memory_top: int = 1000

    METHOD: ClassVar[str] = "TPATCHER"

    def problems(self) -> list[str]:
        """See :meth:`YamlConfig.problems`."""
        found = super().problems() + not_positive(self, ["memory_top"], "")
        if len(self.edit_modules) > 1:
            found.append(f"edit_modules: {self.edit_modules}; allowed: one module")
        if not 0 <= self.confidence < 1:
            found.append(f"confidence: {self.confidence}; allowed: 0 or more, below 1")
        for name in ("activation_weight", "memory_weight"):
            if getattr(self, name) < 0:
                found.append(f"{name}: {getattr(self, name)}; allowed: 0 or more")
        for name in ("memory_threshold", "memory_margin"):
            if getattr(self, name) > 0:
                found.append(f"{name}: {getattr(self, name)}; allowed: 0 or less")
        return found
