"""Which linear modules of a base model are edited, and their weights in one orientation."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from dafnet_plugin.editing.side_weight import SideWeight
from dafnet_plugin.errors import ModelError, did_you_mean


@dataclass(frozen=True)
class EditModule:
    """A linear module whose weight is edited.

    Attributes:
        name: its name in the base model, whatever is wrapped around that.
        module: ``nn.Linear`` (weight [d_out, d_in]) or transformers' ``Conv1D`` ([d_in, d_out]).
        d_in, d_out: width of its input and output.
        transposed: the weight is stored as [d_out, d_in].
        path: its name in ``model.named_modules()``; another one where PEFT wraps the model.
    """

    name: str
    module: nn.Module
    d_in: int
    d_out: int
    transposed: bool
    path: str

    @property
    def weight(self) -> nn.Parameter:
        """The weight as stored."""
        weight = self.module.weight
        assert isinstance(weight, nn.Parameter)  # checked when the module was found
        return weight

    @property
    def bias(self) -> nn.Parameter | None:
        """The bias [d_out], if the module has one."""
        bias = self.module.bias
        return bias if isinstance(bias, nn.Parameter) else None

    @property
    def shape(self) -> tuple[int, int]:
        """(d_in, d_out)."""
        return self.d_in, self.d_out

    def stored(self, delta: Tensor) -> Tensor:
        """Turn a weight change [d_in, d_out] into the stored orientation."""
        return delta.T if self.transposed else delta


def find_edit_modules(model: nn.Module, names: Sequence[str]) -> list[EditModule]:
    """Look the named modules up in a model.

    A model that PEFT wraps has them under longer names, and perhaps an adapter around each; what
    is found is the base model's own module, beside which the adapter goes on adding its part.

    Args:
        names: as in the base model, or as in ``model.named_modules()``.

    Raises:
        ModelError: one message for every name that is missing (with the nearest match), that is
            not a linear module, or whose weights are quantised.
    """
    known = dict(model.named_modules())
    get_head = getattr(model, "get_output_embeddings", None)
    head = inside_adapter(get_head())[0] if get_head is not None else None
    found: list[EditModule] = []
    problems = wrapper_problems(model)
    linear = _linear_names(known)
    for name in names:
        outer = find_path(known, name)
        if outer is None:
            problems.append(f"no module {name!r}{did_you_mean(name, linear)}")
            continue
        module, inner = inside_adapter(known[outer])
        transposed = _orientation(module)
        if transposed is None:
            problems.append(
                f"{name!r} is a {type(module).__name__}, not a linear module (nn.Linear, Conv1D)"
            )
        elif module is head:
            problems.append(f"{name!r} is the language-model head, which edits leave alone")
        elif is_quantised(module):
            problems.append(
                f"{name!r} has quantised weights ({module.weight.dtype}), which an update cannot "
                "be added to; give it a side weight (`quantise` in the hyper-parameters, or "
                "dafnet_plugin.editing.quantised.attach_side_weights), or load the model in "
                "bfloat16, float16 or float32"
            )
        else:
            d_in, d_out = linear_shape(module) or (0, 0)
            path = outer + inner
            found.append(EditModule(name, module, d_in, d_out, transposed, path))
    if len({edit_module.path for edit_module in found}) != len(found):
        problems.append("a module is named twice")
    if not names:
        problems.append("no module is named")
    if problems:
        some = ", ".join(linear[-4:]) or "none"
        raise ModelError(
            f"edit_modules do not fit {type(model).__name__}: "
            + "; ".join(problems)
            + f". Linear modules of this model are, for example: {some}"
        )
    return found


_WRAPPED = "base_model.model."
"""What stands before the names of a model inside a ``PeftModel``."""


def find_path(known: Mapping[str, nn.Module], name: str) -> str | None:
    """Where a module is in ``model.named_modules()``, whatever is wrapped around the base model.

    Args:
        known: what that gives.
        name: as in the base model, or as there.
    """
    return next((path for path in (name, _WRAPPED + name) if path in known), None)


def base_name(path: str) -> str:
    """The name in the base model of what is at a path of ``model.named_modules()``."""
    return path.removeprefix(_WRAPPED)


def find_place(model: nn.Module, name: str) -> str | None:
    """The path of a module of the base model in ``model.named_modules()``, None if it is missing.

    Args:
        name: as in the base model, or as in ``model.named_modules()``.
    """
    known = dict(model.named_modules())
    outer = find_path(known, name)
    return None if outer is None else outer + inside_adapter(known[outer])[1]


def is_quantised(module: nn.Module) -> bool:
    """Whether a linear module's weight is of a kind that nothing can be added to."""
    weight = module.weight
    return isinstance(weight, Tensor) and not weight.dtype.is_floating_point


def inside_adapter(module: nn.Module) -> tuple[nn.Module, str]:
    """The module inside a PEFT layer and the end of its name, or the module itself."""
    base = None if isinstance(module, SideWeight) else getattr(module, "base_layer", None)
    return (base, ".base_layer") if isinstance(base, nn.Module) else (module, "")


def _linear_names(known: dict[str, nn.Module]) -> list[str]:
    """Names, as in the base model, of its linear modules; an adapter's own are left out."""
    adapters = tuple(f"{path}." for path, module in known.items() if inside_adapter(module)[1])
    return sorted(
        base_name(path)
        for path, module in known.items()
        if _orientation(inside_adapter(module)[0]) is not None and not path.startswith(adapters)
    )


def wrapper_problems(model: nn.Module) -> list[str]:
    """What is wrong with what is wrapped around the base model."""
    config = getattr(model, "active_peft_config", None)
    if getattr(config, "is_prompt_learning", False):
        return [
            f"its {type(config).__name__} puts virtual tokens before each text, which signals "
            "cannot be taken through; LoRA and other adapters of modules are allowed"
        ]
    return []


def check_in_memory(modules: Sequence[EditModule]) -> None:
    """Check that the weights to be edited are there.

    Raises:
        ModelError: some are on the meta device, where ``device_map`` leaves what it offloads.
    """
    check_devices({m.name: m.weight.device for m in modules})


def check_devices(devices: Mapping[str, torch.device]) -> None:
    """Check that modules to be edited are in memory.

    Args:
        devices: where the weights of each are.

    Raises:
        ModelError: see :func:`check_in_memory`.
    """
    away = [name for name, device in devices.items() if device.type == "meta"]
    if away:
        raise ModelError(
            f"the weights of {', '.join(away)} are not in memory: offloaded by device_map; give "
            "the model more memory, or a device_map that keeps the modules to be edited on a device"
        )


def linear_shape(module: nn.Module) -> tuple[int, int] | None:
    """(d_in, d_out) of a linear module, None for any other."""
    transposed = _orientation(module)
    if transposed is None:
        return None
    rows, columns = module.weight.shape  # type: ignore[misc]  # linear: it is a matrix
    return (int(columns), int(rows)) if transposed else (int(rows), int(columns))


def _orientation(module: nn.Module) -> bool | None:
    """True for [d_out, d_in], False for [d_in, d_out], None for a module that is not linear."""
    if isinstance(module, nn.Linear | SideWeight):
        return True
    # transformers' Conv1D, told by structure so that this file needs no transformers.
    if type(module).__name__ == "Conv1D" and isinstance(
        getattr(module, "weight", None), nn.Parameter
    ):
        return False
    return None


def by_position(name: str, rows: Tensor, mask: Tensor) -> Tensor:
    """What a module read, or a gradient at its output, as [texts, length, d].

    Some models (OPT) flatten texts and positions into one dimension before their MLP.

    Args:
        name: of the module.
        rows: [texts, length, d] or [texts * length, d].
        mask: [texts, length].

    Raises:
        ModelError: the module does not see every position, as experts do not.
    """
    if rows.numel() != mask.numel() * rows.shape[-1]:
        raise ModelError(
            f"{name} saw {rows.numel() // rows.shape[-1]} of {mask.numel()} positions; a module "
            "that is not run at every position (an expert) cannot be edited"
        )
    return rows.reshape(*mask.shape, rows.shape[-1])


@contextmanager
def reading(modules: Sequence[EditModule], read: Callable[[int, Tensor], Any]) -> Iterator[None]:
    """Call ``read`` with the number and the input of each module; what it returns is read."""
    with ExitStack() as stack:
        for number, edit_module in enumerate(modules):

            def before(
                _: nn.Module, args: tuple[Tensor, ...], number: int = number
            ) -> tuple[Tensor, ...] | None:
                changed = read(number, args[0])
                return None if changed is None else (changed, *args[1:])

            stack.callback(edit_module.module.register_forward_pre_hook(before).remove)
        yield


@contextmanager
def swapped_weights(parameters: Sequence[nn.Parameter], values: Sequence[Tensor]) -> Iterator[None]:
    """Let parameters hold other values for a while, without copying either."""
    held = [parameter.data for parameter in parameters]
    try:
        for parameter, value in zip(parameters, values, strict=True):
            parameter.data = value
        yield
    finally:
        for parameter, value in zip(parameters, held, strict=True):
            parameter.data = value


@contextmanager
def frozen(model: nn.Module) -> Iterator[None]:
    """Compute no gradient of any parameter of the model, and leave its flags as they were."""
    flags = [(parameter, parameter.requires_grad) for parameter in model.parameters()]
    try:
        for parameter, _ in flags:
            parameter.requires_grad_(False)
        yield
    finally:
        for parameter, flag in flags:
            parameter.requires_grad_(flag)


@contextmanager
def evaluation_mode(model: nn.Module) -> Iterator[None]:
    """Switch dropout off for a while; every module gets its own mode back."""
    in_training = [module for module in model.modules() if module.training]
    try:
        for module in in_training:
            module.training = False
        yield
    finally:
        for module in in_training:
            module.training = True


def model_device(model: nn.Module) -> torch.device:
    """The device of the model's first parameter, where token ids have to be."""
    return next(model.parameters()).device
