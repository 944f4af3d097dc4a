"""Hyper-parameters of KnowledgeEditor: ``hparams/KE`` and ``hparams/TRAINING/KE``."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, ClassVar, Literal

from dafnet_plugin.hparams import DAFNetTrainingHparams
from dafnet_plugin.methods.hparams import MethodHparams
from dafnet_plugin.schema import not_positive


@dataclass
class HypernetworkSection:
    """``hypernetwork:`` of training.

    Attributes:
        lstm_dim: width of each direction of the LSTM.
        summary_dim: width of what is made of its last states, and read by every matrix's gates.
        step: size of an update of a typical training edit before training (Frobenius norm). A
            departure: the paper's gradient is not normalised, and its largest step is 1.
        shift: ``scaled`` by the size of the gradient, a departure, so that an update vanishes when
            the model is right already; ``free`` as in the paper.
    """

    lstm_dim: int = 128
    summary_dim: int = 256
    step: float = 1.0
    shift: Literal["scaled", "free"] = "scaled"


@dataclass
class ConstraintSection:
    """``constraint:`` of training, the KL of other predictions under a Lagrange multiplier.

    Attributes:
        margin: the KL (nats a token) that is allowed at first, and ``last_margin`` in the end.
        fall: factor of the margin whenever edits succeed.
        success: mean probability of a target token from which on they do.
        multiplier: at first; it rises while the constraint is broken and falls while it holds.
        multiplier_lr: its step for each nat of difference.
        others: predictions of other cases that it is taken on at each edit, beside those the
            edited case comes with.
    """

    margin: float = 0.1
    last_margin: float = 0.001
    fall: float = 0.8
    success: float = 0.9
    multiplier: float = 1.0
    multiplier_lr: float = 0.1
    others: int = 8


@dataclass
class KEHparams(MethodHparams):
    """Editing with a trained KnowledgeEditor: ``hparams/KE/<model>.yaml``.

    Attributes:
        edit_modules: the linear modules it was trained for, in order.
        archive: directory that training wrote.
        signal_batch_size: edits per forward pass when gradients are taken.
    """

    alg_name: str = "KE"
    archive: str | None = None
    signal_batch_size: int = 8

    METHOD: ClassVar[str] = "KE"

    def problems(self) -> list[str]:
        """See :meth:`YamlConfig.problems`."""
        return super().problems() + not_positive(self, ["signal_batch_size"], "")


@dataclass
class KETrainingHparams(DAFNetTrainingHparams):
    """Meta-training: ``hparams/TRAINING/KE/<model>.yaml``; the trainer's keys are DAFNet's.

    There is no ``network``, ``fusion``, plain text or ``cloc`` here: the weight of the locality
    loss is the Lagrange multiplier of ``constraint``.

    Attributes:
        max_edits: requests that one update is for, 1 in the paper.
        accumulate_bs: edits of one optimiser step.
    """

    alg: str = "KE"
    alg_name: str = "KE"
    hypernetwork: HypernetworkSection = field(default_factory=HypernetworkSection)
    constraint: ConstraintSection = field(default_factory=ConstraintSection)
    max_edits: int = 1
    accumulate_bs: int = 8

    METHOD: ClassVar[str] = "KE"
    NOT_HERE: ClassVar[tuple[str, ...]] = (
        *("network", "fusion", "edit_bias", "cloc", "ctext"),
        *("text_path", "text_tokens", "curriculum", "curriculum_share", "increase_after"),
    )

    def problems(self) -> list[str]:
        """See :meth:`YamlConfig.problems`."""
        found = super().problems()
        found += [
            f"{name}: unknown key: KE has none" for name in self.NOT_HERE if name in self.given
        ]
        found += not_positive(
            self.hypernetwork, ["lstm_dim", "summary_dim", "step"], "hypernetwork."
        )
        section = self.constraint
        found += not_positive(
            section, ["margin", "last_margin", "multiplier", "multiplier_lr"], "constraint."
        )
        checks: list[tuple[str, Any, str, bool]] = [
            ("constraint.fall", section.fall, "above 0, below 1", 0 < section.fall < 1),
            ("constraint.success", section.success, "above 0, below 1", 0 < section.success < 1),
            ("constraint.others", section.others, "0 or more", section.others >= 0),
        ]
        if section.last_margin > section.margin:
            checks.append(
                ("constraint.last_margin", section.last_margin, f"up to {section.margin}", False)
            )
        return found + [
            f"{name}: {value}; allowed: {ok}" for name, value, ok, fits in checks if not fits
        ]
