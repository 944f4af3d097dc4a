"""Neurons beside a feed-forward module: ``FFN(q) + Act(q K^T + b) V``.

This is how Transformer-Patcher's patches (paper section 4.1) and CaliNet's slots (section 3.2)
enter a model. The module is replaced by one that holds it and the new neurons; all weights of
the model stay as they are, and putting the module back restores it bit for bit.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from dafnet_plugin.editing.modules import (
    base_name,
    find_path,
    inside_adapter,
    linear_shape,
    wrapper_problems,
)
from dafnet_plugin.errors import ModelError, did_you_mean

ACTIVATIONS: Mapping[str, Callable[[Tensor], Tensor]] = {
    "relu": F.relu,
    "gelu": F.gelu,
    "silu": F.silu,
}


@dataclass(frozen=True)
class Neurons:
    """Some neurons, in float32.

    Attributes:
        keys: [neurons, d], what each one listens to.
        biases: [neurons].
        values: [neurons, d], what it adds to the feed-forward module's output when active.
    """

    keys: Tensor
    biases: Tensor
    values: Tensor

    def __len__(self) -> int:
        return len(self.keys)

    @property
    def tensors(self) -> tuple[Tensor, Tensor, Tensor]:
        """Keys, biases and values."""
        return self.keys, self.biases, self.values

    def inputs(self, queries: Tensor) -> Tensor:
        """[..., neurons]: what the activation is taken of, for queries [..., d]."""
        return queries.to(self.keys) @ self.keys.T + self.biases

    def output(self, queries: Tensor, activation: str) -> Tensor:
        """[..., d]: what the neurons add."""
        return ACTIVATIONS[activation](self.inputs(queries)) @ self.values

    def detached(self) -> Neurons:
        """Copies that no gradient reaches."""
        return Neurons(*(tensor.detach().clone() for tensor in self.tensors))

    def equal(self, other: Neurons) -> bool:
        """Whether both are the same, bit for bit."""
        return all(
            a.shape == b.shape and a.device == b.device and torch.equal(a, b)
            for a, b in zip(self.tensors, other.tensors)
        )


def no_neurons(width: int, device: torch.device) -> Neurons:
    """None yet, of a model of this width, beside a module on this device."""
    empty = torch.zeros(0, width, device=device)
    return Neurons(empty, torch.zeros(0, device=device), empty.clone())


def joined(first: Neurons, second: Neurons) -> Neurons:
    """The neurons of both."""
    return Neurons(*(torch.cat(pair) for pair in zip(first.tensors, second.tensors)))


class AddedNeurons(nn.Module):
    """A feed-forward module with neurons beside it.

    Args:
        original: the module of the model.
        neurons: those to begin with.
        activation: one of :data:`ACTIVATIONS`.
    """

    keys: Tensor
    biases: Tensor
    values: Tensor

    def __init__(self, original: nn.Module, neurons: Neurons, activation: str) -> None:
        super().__init__()
        self.original, self.activation = original, activation
        self.hold(neurons)

    @property
    def neurons(self) -> Neurons:
        """Those it holds."""
        return Neurons(self.keys, self.biases, self.values)

    def hold(self, neurons: Neurons) -> None:
        """Hold these and no others."""
        for name, tensor in zip(("keys", "biases", "values"), neurons.tensors):
            setattr(self, name, nn.Parameter(tensor.detach().clone()))

    def forward(self, hidden_states: Tensor, *rest: Any, **named: Any) -> Tensor:
        """[..., d] to [..., d]; some models (BLOOM) give their feed-forward modules more."""
        output: Tensor = self.original(hidden_states, *rest, **named)
        return output + self.neurons.output(hidden_states, self.activation).to(output)


def find_feed_forwards(model: nn.Module, names: Sequence[str]) -> list[str]:
    """Look the named feed-forward modules up in a model, which may be one that PEFT wraps.

    Args:
        names: as in the base model, or as in ``model.named_modules()``.

    Returns:
        their names in ``model.named_modules()``.

    Raises:
        ModelError: one message for every name that is missing (with the nearest match) or is not
            a feed-forward module, whose first linear modules read, and whose last one writes, the
            model's hidden states.
    """
    known = dict(model.named_modules())
    possible = [name for name, module in known.items() if _is_feed_forward(module, model)]
    problems, found = wrapper_problems(model), []
    for name in names:
        path = find_path(known, name)
        if path is None:
            near = did_you_mean(name, list(map(base_name, possible)))
            problems.append(f"{name!r} does not exist{near}")
        elif path not in possible and not isinstance(known[path], AddedNeurons):
            kind = type(known[path]).__name__
            problems.append(f"{name!r} ({kind}) is not a feed-forward module")
        else:
            found.append(path)
    if len(set(found)) != len(found):
        problems.append("a module is named twice")
    if problems:
        some = ", ".join(map(base_name, possible[-2:])) or "none"
        raise ModelError(
            f"edit_modules do not fit {type(model).__name__}: {'; '.join(problems)}. Feed-forward "
            f"modules of this model are, for example: {some}"
        )
    return found


def _is_feed_forward(module: nn.Module, model: nn.Module) -> bool:
    width = model_width(model)
    children = [inside_adapter(child)[0] for child in module.children()]
    shapes = [shape for child in children if (shape := linear_shape(child)) is not None]
    # A whole block may have these matrices as its own (OPT), beside its attention.
    others = [child for child in children if linear_shape(child) is None]
    if any(linear_shape(inner) is not None for child in others for inner in child.modules()):
        return False
    # Attention writes what it reads, too, but nothing of another width in between.
    inner = {size for shape in shapes for size in shape} - {width}
    reads = any(shape[0] == width and shape[1] in inner for shape in shapes)
    return reads and any(shape[1] == width and shape[0] in inner for shape in shapes)


def device_of(module: nn.Module) -> torch.device:
    """Where a feed-forward module's weights are; neurons go beside them."""
    return next(module.parameters()).device


def model_width(model: nn.Module) -> int:
    """Width of the model's hidden states."""
    embeddings = model.get_input_embeddings()  # type: ignore[operator]
    return int(embeddings.weight.shape[1])


def added_to(model: nn.Module, name: str) -> AddedNeurons | None:
    """What holds neurons beside the named module; None if nothing does."""
    module = model.get_submodule(name)
    return module if isinstance(module, AddedNeurons) else None


def set_neurons(model: nn.Module, name: str, neurons: Neurons, activation: str) -> None:
    """Put these neurons, and no others, beside the named module; none puts the module back."""
    parent, _, child = name.rpartition(".")
    owner = model.get_submodule(parent)
    module = model.get_submodule(name)
    if isinstance(module, AddedNeurons) and len(neurons):
        module.hold(neurons)
    elif isinstance(module, AddedNeurons):
        setattr(owner, child, module.original)
    elif len(neurons):
        setattr(owner, child, AddedNeurons(module, neurons, activation).train(module.training))


def take_all_away(model: nn.Module) -> None:
    """Put every module back that neurons were added to."""
    for name, module in list(model.named_modules()):
        if isinstance(module, AddedNeurons):
            parent, _, child = name.rpartition(".")
            setattr(model.get_submodule(parent), child, module.original)


@contextmanager
def tried(model: nn.Module, tries: Mapping[str, tuple[Neurons, str]]) -> Iterator[None]:
    """Let modules have more neurons for a while, differentiable in those.

    Args:
        tries: module name -> neurons and their activation.
    """
    hooks = []
    try:
        for name, (neurons, activation) in tries.items():
            hooks.append(
                model.get_submodule(name).register_forward_hook(_adder(neurons, activation))
            )
        yield
    finally:
        for hook in hooks:
            hook.remove()


def _adder(neurons: Neurons, activation: str) -> Callable[..., Tensor]:
    def add(_: nn.Module, inputs: tuple[Tensor, ...], output: Tensor) -> Tensor:
        return output + neurons.output(inputs[0], activation).to(output)

    return add


@contextmanager
def queries_of(model: nn.Module, name: str) -> Iterator[list[Tensor]]:
    """Collect what a module reads, [texts, length, d] for each forward pass, detached."""
    found: list[Tensor] = []
    hook = model.get_submodule(name).register_forward_pre_hook(
        lambda _, inputs: found.append(inputs[0].detach())
    )
    try:
        yield found
    finally:
        hook.remove()
