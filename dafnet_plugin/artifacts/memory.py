"""The edit memory as named tensors: what has to be there to go on editing as if never stopped."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any, TypeVar

import torch
from torch import Tensor

from dafnet_plugin.editing.dafnet import SequenceState
from dafnet_plugin.editing.editor import DAFNetEditor
from dafnet_plugin.editing.fusion import FusionState
from dafnet_plugin.errors import CheckpointError
from dafnet_plugin.network.layer import LayerState

T = TypeVar("T")


def memory_tensors(state: SequenceState, editor: DAFNetEditor) -> dict[str, Tensor]:
    """All tensors of a sequence state by name, on the CPU, exact; those of each module apart."""
    tensors = {"edits": torch.tensor(state.edits)}
    for number, update in enumerate(state.updates):
        tensors |= _named(f"updates.{number}", update)
    for modules, network in zip(editor.dafnet.modules_of.values(), state.networks, strict=True):
        for depth, layer in enumerate(network):
            for place, number in enumerate(modules):
                of_module = LayerState(*(value[place] for value in vars(layer).values()))
                tensors |= _named(f"networks.{number}.{depth}", of_module)
    return tensors


def memory_size(state: SequenceState) -> int:
    """Bytes that a sequence state takes, in memory or as a file."""
    layers = [layer for network in state.networks for layer in network]
    return sum(
        value.numel() * value.element_size()
        for part in (*state.updates, *layers)
        for value in vars(part).values()
        if isinstance(value, Tensor)
    )


def memory_of(tensors: Mapping[str, Tensor], editor: DAFNetEditor) -> SequenceState:
    """The inverse of :func:`memory_tensors`, each tensor beside what it belongs to.

    Raises:
        CheckpointError: a tensor is missing, or is of another shape than this editor's.
    """
    try:
        updates = tuple(
            _built(FusionState, tensors, f"updates.{number}", edit_module.weight.device)
            for number, edit_module in enumerate(editor.modules)
        )
        networks = []
        for modules in editor.dafnet.modules_of.values():
            network = editor.dafnet.network_of(modules[0])
            there = next(network.parameters()).device
            networks.append(
                tuple(
                    stacked(
                        [
                            _built(LayerState, tensors, f"networks.{number}.{depth}", there)
                            for number in modules
                        ]
                    )
                    for depth in range(len(network.layers))
                )
            )
        state = SequenceState(int(tensors["edits"]), tuple(networks), updates)
    except KeyError as error:
        raise CheckpointError(f"edit memory: the tensor {error.args[0]!r} is missing") from error
    for edit_module, update in zip(editor.modules, state.updates, strict=True):
        if update.weight.shape != edit_module.shape:
            raise CheckpointError(
                f"edit memory: the update of {edit_module.name} is {tuple(update.weight.shape)}, "
                f"the module {edit_module.shape}"
            )
    return state


def stacked(states: Sequence[LayerState]) -> LayerState:
    """What a layer remembers of several modules, from that of each."""
    return LayerState(*(torch.stack(values) for values in zip(*(vars(s).values() for s in states))))


def _named(prefix: str, value: Any) -> dict[str, Tensor]:
    fields = {field.name: getattr(value, field.name) for field in dataclasses.fields(value)}
    return {
        f"{prefix}.{name}": tensor.detach().cpu().contiguous().clone()  # no two share memory
        for name, tensor in fields.items()
        if tensor is not None
    }


def _built(kind: type[T], tensors: Mapping[str, Tensor], prefix: str, device: torch.device) -> T:
    values: dict[str, Tensor | None] = {}
    for field in dataclasses.fields(kind):  # type: ignore[arg-type]  # both are dataclasses
        name = f"{prefix}.{field.name}"
        if name not in tensors and "None" not in str(field.type):
            raise KeyError(name)
        values[field.name] = tensors[name].to(device) if name in tensors else None
    return kind(**values)
