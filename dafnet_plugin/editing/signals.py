"""Gradient signals: what each edited module reads, and how the loss wants its output to move."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from dafnet_plugin.editing.modules import (
    EditModule,
    by_position,
    evaluation_mode,
    frozen,
    model_device,
)
from dafnet_plugin.editing.scoring import scored_labels, scored_logits
from dafnet_plugin.errors import NumericalError
from dafnet_plugin.tokens import Encoded, TokenBatch, collate


@dataclass(frozen=True)
class Signal:
    """Gradient signal of a sequence of edits at one module, in float32.

    Attributes:
        x: [tokens, d_in], module input.
        delta: [tokens, d_out], gradient of the edit's loss (nats) at the module output.
        tokens_per_edit: [edits]; rows are grouped by edit, in order.
    """

    x: Tensor
    delta: Tensor
    tokens_per_edit: Tensor

    def select(self, edits: Tensor) -> Signal:
        """The signal of some edits [k], in the order given."""
        ends = self.tokens_per_edit.cumsum(0)
        lengths = self.tokens_per_edit[edits]
        offset = lengths.cumsum(0) - lengths
        base = (ends - self.tokens_per_edit)[edits] - offset
        total = int(lengths.sum())
        rows = torch.arange(total, device=lengths.device) + torch.repeat_interleave(
            base, lengths, output_size=total
        )
        return Signal(self.x[rows], self.delta[rows], lengths)

    def to(self, device: torch.device) -> Signal:
        """The signal on another device."""
        return Signal(self.x.to(device), self.delta.to(device), self.tokens_per_edit.to(device))


def concatenate(signals: Sequence[Signal]) -> Signal:
    """Join signals of one module along the sequence of edits."""
    return Signal(
        torch.cat([signal.x for signal in signals]),
        torch.cat([signal.delta for signal in signals]),
        torch.cat([signal.tokens_per_edit for signal in signals]),
    )


class _Tap:
    """Input of a module, and a zero added to its output whose gradient is the output's."""

    def __init__(self) -> None:
        self.x: Tensor | None = None
        self.zero: Tensor | None = None

    def __call__(self, module: nn.Module, inputs: tuple[Tensor, ...], output: Tensor) -> Tensor:
        self.x = inputs[0].detach()
        self.zero = torch.zeros_like(output, requires_grad=True)
        return output + self.zero


@contextmanager
def _tapped(modules: Sequence[EditModule]) -> Iterator[list[_Tap]]:
    taps = [_Tap() for _ in modules]
    hooks = [
        edit_module.module.register_forward_hook(tap)
        for edit_module, tap in zip(modules, taps, strict=True)
    ]
    try:
        yield taps
    finally:
        for hook in hooks:
            hook.remove()


def capture_batch(
    model: nn.Module, modules: Sequence[EditModule], batch: TokenBatch
) -> list[Signal]:
    """Take the gradient signals of one batch, an edit a row, in one forward and backward pass.

    No weight gradient is computed, and nothing below the first edited module is differentiated.
    The loss is the sum of the target tokens' negative log-likelihood. Rows whose input or
    gradient is zero throughout (padding, positions that cannot reach the target) are dropped.

    Raises:
        NumericalError: the loss or a gradient is not finite; names the module.
    """
    with frozen(model), evaluation_mode(model), torch.enable_grad(), _tapped(modules) as taps:
        logits = scored_logits(model, batch)  # [target tokens, vocabulary]
        loss = F.cross_entropy(logits, scored_labels(batch), reduction="sum")
        if not torch.isfinite(loss):
            raise NumericalError(f"the loss of an edit is {loss.item()}: no signal can be taken")
        zeros = [tap.zero for tap in taps]
        deltas = torch.autograd.grad(loss, [zero for zero in zeros if zero is not None])
    signals = []
    for edit_module, tap, delta in zip(modules, taps, deltas, strict=True):
        assert tap.x is not None  # the forward pass above went through every tap
        signals.append(_rows(edit_module, tap.x.float(), delta.float(), batch.attention_mask))
    return signals


def _rows(edit_module: EditModule, x: Tensor, delta: Tensor, mask: Tensor) -> Signal:
    x, delta = (by_position(edit_module.name, rows, mask) for rows in (x, delta))
    if not bool(torch.isfinite(delta).all() & torch.isfinite(x).all()):
        raise NumericalError(f"the gradient signal at {edit_module.name} is not finite")
    # Of a model that is spread over devices, each module has its own.
    kept = (x != 0).any(-1) & (delta != 0).any(-1) & mask.bool().to(x.device)  # [edits, length]
    return Signal(x[kept], delta[kept], kept.sum(1))


def capture(
    model: nn.Module,
    modules: Sequence[EditModule],
    encoded: Sequence[Encoded],
    *,
    pad_id: int,
    batch_size: int,
) -> list[Signal]:
    """Take the gradient signals of edits in batches of at most ``batch_size``.

    Returns:
        One signal a module, edits in the order of ``encoded``.
    """
    device = model_device(model)
    parts = [
        capture_batch(
            model, modules, collate(encoded[start : start + batch_size], pad_id).to(device)
        )
        for start in range(0, len(encoded), batch_size)
    ]
    return [concatenate(of_module) for of_module in zip(*parts, strict=True)]
