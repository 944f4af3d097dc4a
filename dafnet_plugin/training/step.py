"""One step of meta-training: edit, ask, and send the answer's gradient through the network once.

The updates are cut from the network's graph while the losses are taken: the losses are
back-propagated into the edited weights, chunk by chunk, and then the sum of those gradients is
back-propagated through the network in one pass. The gradients are those of the plain chain rule.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from dafnet_plugin.editing.dafnet import DAFNet
from dafnet_plugin.editing.modules import EditModule, frozen, swapped_weights
from dafnet_plugin.editing.scoring import scored_labels, scored_logits
from dafnet_plugin.editing.signals import Signal
from dafnet_plugin.errors import NumericalError
from dafnet_plugin.tokens import TokenBatch
from dafnet_plugin.training.losses import locality_kl, target_nll


@dataclass(frozen=True)
class Question:
    """A batch of probes with what it contributes to the loss.

    Attributes:
        name: ``reliability``, ``generality``, ``locality`` or ``text``.
        batch: the probes.
        weight: factor of this loss; batches of one name share it in proportion to their tokens.
        compares: the loss is the KL to the unedited model, else the targets' NLL.
    """

    name: str
    batch: TokenBatch
    weight: float
    compares: bool


def meta_step(
    model: nn.Module,
    modules: Sequence[EditModule],
    dafnet: DAFNet,
    signals: Sequence[Signal],
    questions: Sequence[Question],
    *,
    autocast: Callable[[], AbstractContextManager[Any]] = nullcontext,
) -> dict[str, float]:
    """Accumulate the gradient of the weighted losses in DAFNet's parameters.

    Args:
        signals: one a module, the edits of one sequence.
        autocast: context in which the base model runs.

    Returns:
        the weighted loss of each name, and ``total``, in nats.

    Raises:
        NumericalError: a loss or a gradient is not finite; no gradient is left behind.
    """
    state = dafnet(signals)
    updates = state.updates
    parameters, changes = [], []
    for edit_module, update in zip(modules, updates, strict=True):
        parameters.append(edit_module.weight)
        changes.append(edit_module.stored(update.weight))
        if update.bias is not None and edit_module.bias is not None:
            parameters.append(edit_module.bias)
            changes.append(update.bias)
    losses, gradients = _losses(model, parameters, changes, questions, autocast)
    if not all(map(torch.isfinite, [torch.tensor(list(losses.values())).sum()])) or not all(
        bool(torch.isfinite(gradient).all()) for gradient in gradients
    ):
        raise NumericalError(f"meta-training diverged: losses {losses}")
    torch.autograd.backward(changes, gradients)
    return losses


def _losses(
    model: nn.Module,
    parameters: list[nn.Parameter],
    changes: list[Tensor],
    questions: Sequence[Question],
    autocast: Callable[[], AbstractContextManager[Any]],
) -> tuple[dict[str, float], list[Tensor]]:
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
        if question.compares:
            with torch.no_grad(), autocast():
                before = scored_logits(model, question.batch)
        with _differentiable(model, parameters), swapped_weights(parameters, edited):
            with autocast():
                after = scored_logits(model, question.batch)
            loss = share * (
                locality_kl(before, after)
                if before is not None
                else target_nll(after, scored_labels(question.batch))
            )
            for total, gradient in zip(gradients, torch.autograd.grad(loss, parameters)):
                total += gradient
        losses[question.name] += loss.item()
    losses["total"] = sum(losses.values())
    return losses, gradients


@contextmanager
def _differentiable(model: nn.Module, parameters: Sequence[nn.Parameter]) -> Iterator[None]:
    """Gradients for these parameters of the model and no others."""
    with frozen(model):
        for parameter in parameters:
            parameter.requires_grad_(True)
        yield
