"""The weights that edits change: their original values, and those with an update."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from dafnet_plugin.editing.dafnet import DAFNet, SequenceState
from dafnet_plugin.editing.modules import EditModule
from dafnet_plugin.errors import CheckpointError, ConfigError, NumericalError


class EditedWeights:
    """The parameters that edits change, and what they held before any edit.

    Args:
        modules: the edited modules.
        edit_bias: their biases are edited, too.

    Attributes:
        names: of the parameters in the model.
        parameters: themselves.
        originals: copies of their values when this object was made.

    Raises:
        ConfigError: a bias is to be edited that does not exist.
        NumericalError: a weight to be edited is not finite.
    """

    def __init__(self, modules: Sequence[EditModule], edit_bias: bool) -> None:
        self._modules, self._edit_bias = modules, edit_bias
        self.names, self.parameters = self._find()
        self.originals = [parameter.detach().clone() for parameter in self.parameters]
        for name, original in zip(self.names, self.originals, strict=True):
            if not torch.isfinite(original).all():
                raise NumericalError(f"{name} holds NaN or infinity: the model cannot be edited")

    def refresh(self) -> None:
        """Look the parameters up again; somebody may have replaced them."""
        _, self.parameters = self._find()

    def _find(self) -> tuple[list[str], list[nn.Parameter]]:
        names, parameters = [], []
        for edit_module in self._modules:
            names.append(f"{edit_module.path}.weight")
            parameters.append(edit_module.weight)
            if self._edit_bias:
                if edit_module.bias is None:
                    raise ConfigError(
                        f"edit_bias is true, but module {edit_module.name!r} has no bias"
                    )
                names.append(f"{edit_module.path}.bias")
                parameters.append(edit_module.bias)
        return names, parameters

    def changes(self, state: SequenceState) -> list[Tensor]:
        """The update of each parameter, in its orientation and the update's own dtype."""
        changes: list[Tensor] = []
        for edit_module, update in zip(self._modules, state.updates, strict=True):
            changes.append(edit_module.stored(update.weight))
            if update.bias is not None:
                changes.append(update.bias)
        return changes

    def values(self, state: SequenceState | None) -> list[Tensor]:
        """What the parameters hold with an update, in their own dtype."""
        if state is None:
            return self.originals
        return updated(self.originals, self.changes(state))

    def hold(self, values: Sequence[Tensor]) -> bool:
        """Whether the parameters hold these values, bit for bit."""
        return all(
            parameter.device == value.device
            and parameter.dtype == value.dtype
            and torch.equal(parameter, value)
            for parameter, value in zip(self.parameters, values, strict=True)
        )

    def give(self, values: Sequence[Tensor]) -> None:
        """Write values into the parameters."""
        for parameter, value in zip(self.parameters, values, strict=True):
            parameter.copy_(value)

    def check_finite(self, values: Sequence[Tensor]) -> None:
        """Check values before the model gets them.

        Raises:
            NumericalError: some weight would not be finite; names it.
        """
        for name, value in zip(self.names, values, strict=True):
            if not _finite(value):
                raise NumericalError(
                    f"the update of {name} is not finite in {value.dtype}; the model is unchanged"
                )


def _finite(values: Tensor) -> bool:
    """Whether all values are; a sum, which reads them once, mostly says so."""
    return bool(torch.isfinite(values.sum()) or torch.isfinite(values).all())


def updated(originals: Sequence[Tensor], changes: Sequence[Tensor]) -> list[Tensor]:
    """Weights with their updates: added in the update's precision, rounded once."""
    return [
        (original.to(change.dtype) + change).to(original.dtype)
        for original, change in zip(originals, changes, strict=True)
    ]


def check_shapes(modules: Sequence[EditModule], dafnet: DAFNet) -> None:
    """Check that modules have the shapes a DAFNet was made for.

    Raises:
        CheckpointError: names each module that differs, with both shapes.
    """
    if len(modules) != len(dafnet.shapes):
        raise CheckpointError(
            f"DAFNet was trained for {len(dafnet.shapes)} modules, {len(modules)} are named"
        )
    problems = [
        f"{edit_module.name} is {edit_module.shape}, the checkpoint has {shape}"
        for edit_module, shape in zip(modules, dafnet.shapes, strict=True)
        if edit_module.shape != shape
    ]
    if problems:
        raise CheckpointError(
            "the checkpoint does not fit the model (d_in, d_out): " + "; ".join(problems)
        )
