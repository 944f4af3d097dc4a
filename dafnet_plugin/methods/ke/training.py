"""Meta-training of KnowledgeEditor: DAFNet's trainer with another network and a constraint.

The edit shall hold, for its paraphrases too, *subject to* the KL of other predictions staying
below a margin (paper section 3.2). The constraint is relaxed with a Lagrange multiplier, which
rises by gradient ascent while the hypernetwork descends; the margin falls, by a factor, whenever
edits succeed.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict, replace
from typing import Any

from dafnet_plugin.cases import EditCase
from dafnet_plugin.editing.objective import Question
from dafnet_plugin.errors import DataError
from dafnet_plugin.methods.ke.checkpoint import KECheckpoint, load_checkpoint, save_checkpoint
from dafnet_plugin.methods.ke.hparams import KETrainingHparams
from dafnet_plugin.methods.ke.network import HypernetworkConfig, KnowledgeEditor
from dafnet_plugin.methods.ke.requests import request_rows
from dafnet_plugin.methods.neurons import model_width
from dafnet_plugin.tokens import Encoded
from dafnet_plugin.training.bank import CaseBank
from dafnet_plugin.training.questions import as_questions, draw_paraphrases, randint
from dafnet_plugin.training.trainer import DAFNetTrainer

MEMORY = 0.9
"""Share of the past in the running mean of success."""


class KETrainer(DAFNetTrainer):
    """Trains a KnowledgeEditor; see :class:`DAFNetTrainer` for arguments, resume and errors."""

    config: KETrainingHparams
    dafnet: KnowledgeEditor

    def __init__(
        self,
        config: KETrainingHparams,
        train_set: Any,
        val_set: Any = None,
        *,
        resume: bool = False,
    ) -> None:
        self._constraint: list[float] = []
        super().__init__(config, train_set, val_set, resume=resume)
        without = [bank.name for bank in self.banks if not any(bank.locality)]
        if without:
            raise DataError(
                f"source {without[0]!r}: no case has a locality probe; the constraint needs some"
            )

    # -- what differs from DAFNet ---------------------------------------------------------------

    def _new_network(self) -> KnowledgeEditor:
        """As the trainer's own."""
        network = KnowledgeEditor(
            [edit_module.shape for edit_module in self.modules],
            model_width(self.model),
            HypernetworkConfig(**asdict(self.config.hypernetwork)),
        )
        network = network.to(self.modules[0].weight.device)
        network.multiplier.fill_(self.config.constraint.multiplier)
        network.margin.fill_(self.config.constraint.margin)
        return network

    def _bank(self, name: str, cases: Sequence[EditCase]) -> CaseBank:
        """As the trainer's own; the requests' texts are one more signal."""
        found = super()._bank(name, cases)
        rows = request_rows(
            self.model,
            found.requests,
            pad_id=found.pad_id,
            batch_size=self.config.signal_batch_size,
        )
        return replace(found, signals=[*found.signals, rows])

    def _preserved(self, cases: Sequence[EditCase]) -> list[Encoded]:
        """As the trainer's own; the constraint looks at predictions only."""
        return []

    def _fix_statistics(self) -> None:
        """As the trainer's own: the size of a typical gradient."""
        self.dafnet.normalise_on(self.banks[0].signals)

    def _questions(self, bank: CaseBank, edited: list[int]) -> list[Question]:
        """As the trainer's own; other predictions weigh as the multiplier says."""
        config = self.config
        generality = draw_paraphrases(bank, edited, self.generator)
        more = [randint(len(bank), self.generator) for _ in range(config.constraint.others)]
        kept = bank.untouched(list(dict.fromkeys([*edited, *more])), edited)
        locality = [bank.locality[case][number] for case, number in kept]
        return as_questions(
            bank,
            ("reliability", [bank.requests[case] for case in edited], config.cedit, False),
            ("generality", generality, config.cgen, False),
            ("locality", locality, float(self.dafnet.multiplier), True),
        )

    def _observe(self, losses: dict[str, float]) -> None:
        """As the trainer's own; notes success and the constraint."""
        super()._observe(losses)
        if "locality" in losses:
            self._constraint.append(losses["locality"] / float(self.dafnet.multiplier))
        if "reliability" in losses:
            reached = math.exp(-losses["reliability"] / self.config.cedit)
            self.dafnet.success.mul_(MEMORY).add_((1 - MEMORY) * reached)

    def _step(self) -> dict[str, float]:
        """As the trainer's own; then one of ascent, and the margin."""
        section, network = self.config.constraint, self.dafnet
        self._constraint = []
        losses = super()._step()
        divergence = sum(self._constraint) / max(len(self._constraint), 1)
        broken_by = divergence - float(network.margin)
        # Never 0, or the constraint would no longer be looked at.
        network.multiplier.add_(section.multiplier_lr * broken_by).clamp_(min=1e-3)
        if float(network.success) >= section.success:
            network.margin.mul_(section.fall).clamp_(min=section.last_margin)
            network.success.zero_()  # to be reached anew before it falls again
        return losses | {
            "divergence": divergence,
            "multiplier": float(network.multiplier),
            "margin": float(network.margin),
        }

    def _optimiser_groups(self) -> list[dict[str, Any]]:
        """As the trainer's own."""
        rest = [p for name, p in self.dafnet.named_parameters() if name != "steps"]
        return [
            {"params": rest, "lr": self.config.lr},
            {"params": [self.dafnet.steps], "lr": self.config.lr_lr},
        ]

    def _write(self, training: dict[str, Any]) -> None:
        """As the trainer's own."""
        names = tuple(edit_module.name for edit_module in self.modules)
        save_checkpoint(KECheckpoint(self.dafnet, names, training), self.directory)

    def _written(self) -> Any:
        """As the trainer's own."""
        return load_checkpoint(self.directory)
