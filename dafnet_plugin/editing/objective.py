"""What is asked of an edited model, and the gradient of the answer's loss in the weight changes."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.attention import SDPBackend, sdpa_kernel

from dafnet_plugin.editing.losses import locality_kl, target_nll
from dafnet_plugin.editing.modules import evaluation_mode, frozen, swapped_weights
from dafnet_plugin.editing.scoring import scored_labels, scored_logits
from dafnet_plugin.errors import NumericalError
from dafnet_plugin.tokens import TokenBatch

SHORT = 64
"""Tokens of a text up to which CPUs do attention faster the plain way than in one fused kernel."""

Within = Callable[[], AbstractContextManager[None]]


@dataclass(frozen=True)
class Question:
    """A batch of probes with what it contributes to the loss.

    Attributes:
        name: ``reliability``, ``generality``, ``locality`` or ``text``.
        batch: the probes.
        weight: factor of this loss; batches of one name share it in proportion to their tokens.
        compares: the loss is the KL to the unedited model, else the targets' NLL.
        within: context in which the edited model answers.
    """

    name: str
    batch: TokenBatch
    weight: float
    compares: bool
    within: Within = nullcontext


def losses_and_gradients(
    model: nn.Module,
    parameters: list[nn.Parameter],
    changes: list[Tensor],
    questions: Sequence[Question],
    autocast: Callable[[], AbstractContextManager[Any]] = nullcontext,
) -> tuple[dict[str, float], list[Tensor]]:
    """Losses of the model with its weights changed, and their gradient in the changes.

    Args:
        model: dropout is off meanwhile, whatever its mode.
        parameters: the edited parameters; they hold the unedited weights.
        changes: one for each parameter, in its shape.
        autocast: context in which the model runs.

    Returns:
        the weighted loss of each name, and ``total``, in nats; the gradient of the total.

    Raises:
        NumericalError: a loss or a gradient is not finite.
    """
    tokens: dict[str, int] = {}
    for question in questions:
        tokens[question.name] = tokens.get(question.name, 0) + int(question.batch.scored.sum())
    losses = dict.fromkeys(tokens, 0.0)
    gradients = [torch.zeros_like(change) for change in changes]
    edited = [
        (parameter.detach() + change.detach()).to(parameter.dtype)
        for parameter, change in zip(parameters, changes, strict=True)
    ]
    for question in questions:
        share = question.weight * int(question.batch.scored.sum()) / tokens[question.name]
        before = None
        with evaluation_mode(model):
            if question.compares:
                with torch.no_grad(), autocast(), _attention(question.batch):
                    before = scored_logits(model, question.batch)
            with _differentiable(model, parameters), swapped_weights(parameters, edited):
                with autocast(), _attention(question.batch), question.within():
                    after = scored_logits(model, question.batch)
                loss = (
                    locality_kl(before, after)
                    if before is not None
                    else target_nll(after, scored_labels(question.batch))
                )
                found = torch.autograd.grad(loss, parameters)
        # Scaled only here, in the changes' dtype: small shares would underflow in float16.
        for total, gradient in zip(gradients, found, strict=True):
            total.add_(gradient, alpha=share)
        losses[question.name] += share * loss.item()
    losses["total"] = sum(losses.values())
    if not math.isfinite(losses["total"]) or not all(
        bool(torch.isfinite(gradient).all()) for gradient in gradients
    ):
        raise NumericalError(f"losses or their gradients are not finite: {losses}")
    return losses, gradients


def _attention(batch: TokenBatch) -> AbstractContextManager[None]:
    """Where the kernel for scaled dot-product attention is chosen."""
    ids = batch.input_ids
    if ids.device.type == "cpu" and ids.shape[1] <= SHORT:
        return sdpa_kernel(SDPBackend.MATH)
    return nullcontext()


@contextmanager
def _differentiable(model: nn.Module, parameters: Sequence[nn.Parameter]) -> Iterator[None]:
    """Gradients for these parameters of the model and no others."""
    with torch.enable_grad(), frozen(model):
        for parameter in parameters:
            parameter.requires_grad_(True)
        yield
