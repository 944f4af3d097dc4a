"""Which linear modules of a base model are edited, and their weights in one orientation."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from dafnet_plugin.errors import ModelError, did_you_mean


@dataclass(frozen=True)
class EditModule:
    """A linear module whose weight is edited.

    Attributes:
        name: its name in ``model.named_modules()``.
        module: ``nn.Linear`` (weight [d_out, d_in]) or transformers' ``Conv1D`` ([d_in, d_out]).
        d_in, d_out: width of its input and output.
        transposed: the weight is stored as [d_out, d_in].
    """

    name: str
    module: nn.Module
    d_in: int
    d_out: int
    transposed: bool

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

    Raises:
        ModelError: one message for every name that is missing (with the nearest match) or that
            is not a linear module.
    """
    known = dict(model.named_modules())
    get_head = getattr(model, "get_output_embeddings", None)
    head = get_head() if get_head is not None else None
    found, problems = [], []
    linear = sorted(name for name, module in known.items() if _orientation(module) is not None)
    for name in names:
        module = known.get(name)
        transposed = _orientation(module) if module is not None else None
        if module is None:
            problems.append(f"no module {name!r}{did_you_mean(name, linear)}")
        elif transposed is None:
            problems.append(
                f"{name!r} is a {type(module).__name__}, not a linear module (nn.Linear, Conv1D)"
            )
        elif module is head:
            problems.append(f"{name!r} is the language-model head, which edits leave alone")
        else:
            rows, columns = module.weight.shape
            d_in, d_out = (columns, rows) if transposed else (rows, columns)
            found.append(EditModule(name, module, int(d_in), int(d_out), transposed))
    if len(set(names)) != len(names):
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


def _orientation(module: nn.Module) -> bool | None:
    """True for [d_out, d_in], False for [d_in, d_out], None for a module that is not linear."""
    if isinstance(module, nn.Linear):
        return True
    # transformers' Conv1D, told by structure so that this file needs no transformers.
    if type(module).__name__ == "Conv1D" and isinstance(
        getattr(module, "weight", None), nn.Parameter
    ):
        return False
    return None


def linear_shape(module: nn.Module) -> tuple[int, int] | None:
    """(d_in, d_out) of a linear module, None for any other."""
    transposed = _orientation(module)
    if transposed is None:
        return None
    rows, columns = module.weight.shape  # type: ignore[misc]
    return (int(columns), int(rows)) if transposed else (int(rows), int(columns))


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
    modes = [(module, module.training) for module in model.modules()]
    try:
        model.eval()
        yield
    finally:
        for module, mode in modes:
            module.training = mode


def model_device(model: nn.Module) -> torch.device:
    """The device of the model's first parameter, where token ids have to be."""
    return next(model.parameters()).device
