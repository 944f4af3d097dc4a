"""What the modules of a base model are to each other, told by shapes and not by names."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from dafnet_plugin.editing.modules import EditModule, linear_shape
from dafnet_plugin.errors import ModelError


@dataclass(frozen=True)
class MLP:
    """The matrices of one MLP.

    Attributes:
        readers: names of those that read the residual stream (one, or gate and up).
        writer: name of the one that writes to it; its input is the widest there is.
        layer: number of its layer.
        parts: how many matrices of the usual width each reader holds; 2 for a fused gate-up.
        shapes: (d_in, d_out) by name.
    """

    readers: tuple[str, ...]
    writer: str
    layer: int
    parts: int
    shapes: dict[str, tuple[int, int]]


def find_mlps(model: nn.Module) -> list[MLP]:
    """The MLP of each layer, first layer first.

    The layers are the list of modules that holds most of the model. In a layer, an MLP is a module
    one of whose matrices writes as wide as the residual stream what all others, which read the
    stream, put out. Attention can look like that, too; it cannot be called with nothing but the
    stream, though, or its widest matrix is narrower.

    Raises:
        ModelError: there are no layers, a layer has no such module, or several that are alike
            (experts): says what was looked at.
    """
    name, layers = _layers(model)
    width = _stream_width(model)
    return [_mlp_of(layer, name, number, width) for number, layer in enumerate(layers)]


def count_layers(model: nn.Module) -> int:
    """How many layers there are.

    Raises:
        ModelError: there is no list of layers.
    """
    return len(_layers(model)[1])


def find_last_mlps(model: nn.Module, count: int) -> list[MLP]:
    """The MLPs of the last layers that have one, first layer first.

    Layers without are passed over, since in some models every other one is a mixture of experts;
    in no more than as many layers again is looked, though, so that they are last layers still.

    Args:
        count: how many MLPs, at most.

    Raises:
        ModelError: fewer than that have one; says what was looked at in the last that has none.
    """
    name, layers = _layers(model)
    width = _stream_width(model)
    found: list[MLP] = []
    problem: ModelError | None = None
    for number in reversed(range(max(0, len(layers) - 2 * count), len(layers))):
        try:
            found.insert(0, _mlp_of(layers[number], name, number, width))
        except ModelError as error:
            problem = problem or error
        if len(found) == count:
            return found
    if problem is not None:
        raise problem
    return found


def _layers(model: nn.Module) -> tuple[str, nn.ModuleList]:
    lists = [
        (sum(p.numel() for p in module.parameters()), name, module)
        for name, module in model.named_modules()
        if isinstance(module, nn.ModuleList)
    ]
    if not lists:
        raise ModelError(f"{type(model).__name__}: no list of layers in this model")
    _, name, layers = max(lists, key=lambda found: found[0])
    return name, layers


def _stream_width(model: Any) -> int:
    """Width of the residual stream: what the config says, else what the head reads.

    The head of some models (OPT-350m) reads a projection of the stream, which is narrower.
    """
    hidden_size = getattr(getattr(model, "config", None), "hidden_size", None)
    if isinstance(hidden_size, int):
        return hidden_size
    head = model.get_output_embeddings()
    embeddings = model.get_input_embeddings()
    owner = head if head is not None else embeddings
    if owner is None:
        raise ModelError(f"{type(model).__name__}: neither embeddings nor a language-model head")
    return int(owner.weight.shape[1])


def _mlp_of(layer: nn.Module, layers: str, number: int, width: int) -> MLP:
    where = f"{layers}.{number}"
    found: list[tuple[bool, int, MLP]] = []
    for prefix, parent in layer.named_modules():
        name = f"{where}.{prefix}" if prefix else where
        mlp = _as_mlp(parent, name, number, width)
        if mlp is not None:
            d_in = mlp.shapes[mlp.writer][0]
            found.append((_is_positionwise(parent, width), d_in, mlp))
    if not found:
        raise ModelError(
            f"{where}: no MLP of linear modules here: none of them writes {width} wide what the "
            "others beside it put out (a mixture of experts may keep its matrices elsewhere)"
        )
    best = max((alone, d_in) for alone, d_in, _ in found)
    alike = [mlp for alone, d_in, mlp in found if (alone, d_in) == best]
    if len(alike) > 1:
        raise ModelError(
            f"{where}: {len(alike)} MLPs that are alike ({alike[0].writer}, {alike[1].writer}, "
            "...): a mixture of experts; name the ones to be edited in edit_modules yourself"
        )
    return alike[0]


def _as_mlp(parent: nn.Module, name: str, layer: int, width: int) -> MLP | None:
    shapes = {
        child_name: shape
        for child_name, child in parent.named_children()
        if (shape := linear_shape(child)) is not None
    }
    for writer, (d_in, d_out) in reversed(shapes.items()):
        readers = {other: shape for other, shape in shapes.items() if other != writer}
        parts = {shape[1] // d_in for shape in readers.values()}
        fits = all(shape[0] == width and shape[1] % d_in == 0 for shape in readers.values())
        if d_out == width and readers and fits and len(parts) == 1 and 0 not in parts:
            return MLP(
                tuple(f"{name}.{reader}" for reader in readers),
                f"{name}.{writer}",
                layer,
                parts.pop(),
                {f"{name}.{child}": shape for child, shape in shapes.items()},
            )
    return None


def _is_positionwise(parent: nn.Module, width: int) -> bool:
    """Whether a module on the meta device turns a stream, and nothing else, into a stream."""
    parameter = next(parent.parameters())
    if parameter.device.type != "meta":
        return False
    try:
        with torch.no_grad():
            out = parent(torch.empty(1, 2, width, device="meta", dtype=parameter.dtype))
    except Exception:  # whatever a module raises that wants positions, a mask or a cache
        return False
    return isinstance(out, Tensor) and tuple(out.shape) == (1, 2, width)


def tied_to(model: nn.Module, edit_module: EditModule) -> list[str]:
    """Names of other parameters that are the weight of a module to be edited."""
    path = f"{edit_module.path}.weight"
    return [
        name
        for name, parameter in model.named_parameters(remove_duplicate=False)
        if parameter is edit_module.weight and name != path
    ]


def fused_parts(model: nn.Module, edit_module: EditModule) -> int | None:
    """How many matrices a module to be edited holds at once, None if it is a single one.

    A fused matrix (gate and up; query, key and value) puts out more than the matrix beside it,
    which writes back to what the fused one reads, takes in. Parts may differ in width: the number
    is rounded down.
    """
    parent = model.get_submodule(edit_module.path.rpartition(".")[0])
    beside = [
        shape
        for child in parent.children()
        if child is not edit_module.module and (shape := linear_shape(child)) is not None
    ]
    if len(beside) == 1 and beside[0][1] == edit_module.d_in and beside[0][0] < edit_module.d_out:
        return max(2, edit_module.d_out // beside[0][0])
    return None


def embeddings_are_tied(model: Any) -> bool:
    """Whether the language-model head is the token embeddings."""
    head, embeddings = model.get_output_embeddings(), model.get_input_embeddings()
    return head is not None and head.weight is embeddings.weight
