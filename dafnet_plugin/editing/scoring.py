"""Logits at the positions that count, and nowhere else."""

from __future__ import annotations

from typing import Any

from torch import Tensor, nn

from dafnet_plugin.tokens import TokenBatch


def scored_logits(model: Any, batch: TokenBatch) -> Tensor:
    """Return the logits [scored positions, vocabulary] of a batch, in float32.

    The language-model head sees only the hidden states at scored positions, so that memory grows
    with those and not with positions times vocabulary. Whatever the model does after its head
    (scaling, soft capping) still happens.
    """
    scored = batch.scored

    def keep_scored(_: nn.Module, args: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
        hidden = args[0]
        return (hidden[scored.to(hidden.device)][None], *args[1:])

    head = model.get_output_embeddings()
    hook = head.register_forward_pre_hook(keep_scored) if head is not None else None
    try:
        logits = model(
            input_ids=batch.input_ids, attention_mask=batch.attention_mask, use_cache=False
        ).logits
    finally:
        if hook is not None:
            hook.remove()
    logits = logits[0] if hook is not None else logits[scored.to(logits.device)]
    return logits.to(scored.device).float()


def scored_labels(batch: TokenBatch) -> Tensor:
    """Return the labels [scored positions] that belong to :func:`scored_logits`."""
    return batch.labels[batch.scored]
