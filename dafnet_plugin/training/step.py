"""One step of meta-training: edit, ask, and send the answer's gradient through the network once.

The updates are cut from the network's graph while the losses are taken: the losses are
back-propagated into the edited weights, chunk by chunk, and then the sum of those gradients is
back-propagated through the network in one pass. The gradients are those of the plain chain rule.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import torch
from torch import nn

from dafnet_plugin.editing.dafnet import SequenceState
from dafnet_plugin.editing.modules import EditModule
from dafnet_plugin.editing.objective import Question, losses_and_gradients
from dafnet_plugin.editing.signals import Signal
from dafnet_plugin.errors import NumericalError


def meta_step(
    model: nn.Module,
    modules: Sequence[EditModule],
    dafnet: Callable[[Sequence[Signal]], SequenceState],
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
    with autocast():
        state = dafnet(signals)
    parameters, changes = [], []
    for edit_module, update in zip(modules, state.updates, strict=True):
        parameters.append(edit_module.weight)
        changes.append(edit_module.stored(update.weight))
        if update.bias is not None and edit_module.bias is not None:
            parameters.append(edit_module.bias)
            changes.append(update.bias)
    try:
        losses, gradients = losses_and_gradients(model, parameters, changes, questions, autocast)
    except NumericalError as error:
        raise NumericalError(f"meta-training diverged: {error}") from error
    torch.autograd.backward(changes, gradients)
    return losses
