"""Editing models whose weights are quantised to 8 or 4 bits (bitsandbytes).

Signals are taken through the quantised modules as through any other. An update cannot be added to
a few bits, so each edited module gets a side weight in float32: editor, undo, saving and export
treat it as the module's weight, with zero as its original value.
"""

from __future__ import annotations

from collections.abc import Sequence

from torch import nn

from dafnet_plugin.editing.modules import find_place, is_quantised
from dafnet_plugin.editing.side_weight import SideWeight
from dafnet_plugin.errors import ModelError


def attach_side_weights(model: nn.Module, names: Sequence[str]) -> list[str]:
    """Give those of the named modules that are quantised a side weight, unless they have one.

    The model answers as before until something is edited.

    Args:
        names: as in the base model, or as in ``model.named_modules()``.

    Returns:
        the paths of the modules that got one; names that are missing are the editor's to report.

    Raises:
        ModelError: bitsandbytes has repacked a 4-bit model on this CPU: no signal can be taken.
    """
    _keep_differentiable(model)
    attached = []
    for name in names:
        path = find_place(model, name)
        module = model.get_submodule(path) if path is not None else None
        if path is not None and isinstance(module, nn.Linear) and is_quantised(module):
            _put(model, path, SideWeight(module))
            attached.append(path)
    return attached


def detach_side_weights(model: nn.Module) -> list[str]:
    """Take all side weights off, and with them whatever was edited; the inverse of attaching.

    Returns:
        the paths of the modules that had one.
    """
    found = [(path, one) for path, one in model.named_modules() if isinstance(one, SideWeight)]
    for path, side in found:
        _put(model, path, side.base_layer)
    return [path for path, _ in found]


def has_side_weights(model: nn.Module) -> bool:
    """Whether some module of a model has a side weight."""
    return any(isinstance(module, SideWeight) for module in model.modules())


def _keep_differentiable(model: nn.Module) -> None:
    """Keep bitsandbytes from repacking 4-bit weights when they are first used on some CPUs.

    The packed form has no gradient, and its scales are rounded: the model would be another one.
    """
    for path, module in model.named_modules():
        if hasattr(module, "support_avx512bf16_for_cpu"):
            state = getattr(module.weight, "quant_state", None)
            if getattr(state, "packing_format_for_cpu", False):
                raise ModelError(
                    f"{path}: bitsandbytes has repacked its 4-bit weights for this CPU, which no "
                    "signal can be taken through; load the model anew and attach side weights "
                    "before it is first run"
                )
            module.support_avx512bf16_for_cpu = False


def _put(model: nn.Module, path: str, module: nn.Module) -> None:
    parent, _, last = path.rpartition(".")
    setattr(model.get_submodule(parent), last, module)
