"""What meta-training asks of the model after a sequence of edits."""

from __future__ import annotations

from collections.abc import Sequence

import torch

from dafnet_plugin.editing.objective import Question
from dafnet_plugin.hparams import DAFNetTrainingHparams
from dafnet_plugin.tokens import Encoded
from dafnet_plugin.training.bank import CaseBank

PROBES = 128
"""Of one batch."""
TEXTS = 8
"""Of plain text in a step."""


def draw_questions(
    config: DAFNetTrainingHparams,
    bank: CaseBank,
    edited: Sequence[int],
    text: Sequence[Encoded],
    generator: torch.Generator,
) -> list[Question]:
    """Questions on some of the edited cases, and on text that edits shall leave alone.

    Args:
        edited: cases of the sequence, in order.
        text: see ``text_path``; drawn from where ``ctext`` asks for it.
    """
    # Any place of the sequence may be asked about: late edits have the longest past.
    chosen = torch.randperm(len(edited), generator=generator)[: config.loss_cases]
    cases = [edited[place] for place in chosen.tolist()]
    generality = draw_paraphrases(bank, cases, generator)
    locality = [bank.locality[case][n] for case, n in bank.untouched(cases, edited)]
    plain = [text[randint(len(text), generator)] for _ in range(TEXTS)] if config.ctext else []
    return as_questions(
        bank,
        ("reliability", [bank.requests[case] for case in cases], config.cedit, False),
        ("generality", generality, config.cgen, False),
        ("locality", locality, config.cloc, True),
        ("text", plain, config.ctext, True),
    )


def draw_paraphrases(
    bank: CaseBank, cases: Sequence[int], generator: torch.Generator
) -> list[Encoded]:
    """One of the generality probes of each case that has any."""
    return [
        texts[randint(len(texts), generator)] for case in cases if (texts := bank.generality[case])
    ]


def as_questions(
    bank: CaseBank, *kinds: tuple[str, Sequence[Encoded], float, bool]
) -> list[Question]:
    """Questions in batches.

    Args:
        kinds: name, texts, weight (of 0: not asked), and whether the unedited model is what
            answers are compared with.
    """
    return [
        Question(name, batch, weight, compares)
        for name, texts, weight, compares in kinds
        if weight
        for batch in bank.batches(texts, PROBES)
    ]


def randint(high: int, generator: torch.Generator) -> int:
    """A whole number from 0 to below ``high``."""
    return int(torch.randint(high, (), generator=generator))
