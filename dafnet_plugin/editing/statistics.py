"""Second moments of the keys that edits shall leave alone."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import torch
from torch import Tensor, nn

from dafnet_plugin.editing.modules import EditModule, by_position, evaluation_mode, reading
from dafnet_plugin.editing.scoring import scored_logits
from dafnet_plugin.tokens import TokenBatch


@torch.no_grad()
def key_moments(
    model: nn.Module, modules: Sequence[EditModule], batches: Iterable[TokenBatch]
) -> list[Tensor]:
    """Mean of ``x x^T`` over the scored positions of some text, for each module's input x.

    Only positions that predict a target count: those are the predictions to be preserved. For
    plain text that is every position, for statements those that predict the answer.

    Returns:
        one [d_in, d_in] float32 matrix a module.
    """
    sums = [
        torch.zeros(m.d_in, m.d_in, dtype=torch.float32, device=m.weight.device) for m in modules
    ]
    tokens = 0
    for batch in batches:
        tokens += int(batch.scored.sum())

        def count(number: int, x: Tensor, mask: Tensor = batch.scored) -> None:
            read = by_position(modules[number].name, x, mask)
            rows = read[mask.to(read.device)].float()  # [tokens, d_in]
            sums[number].addmm_(rows.T, rows)

        with evaluation_mode(model), reading(modules, count):
            scored_logits(model, batch)  # of no use, but at other positions they cost memory too
    return [total / max(tokens, 1) for total in sums]
