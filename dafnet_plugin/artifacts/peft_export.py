"""Edits as a LoRA adapter for PEFT: exact where the rank allows, else the nearest of that rank.

A LoRA adapter adds ``B A`` to a weight, of some rank r. The update of n edits has at most the rank
of its keys; from the first consolidation on it has the full one. By Eckart and Young, the first r
singular values and vectors of an update are the best approximation of rank r there is.
"""

from __future__ import annotations

import importlib.metadata
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save
from torch import Tensor

from dafnet_plugin.artifacts.saved_edits import SavedEdits
from dafnet_plugin.errors import ConfigError, DataError
from dafnet_plugin.files import atomic_path, read_json, write_json

ROUNDING = 1e-6
"""Of float32, relative to the norm of an update: what is smaller needs no rank of its own."""
WEIGHTS, CONFIG = "adapter_model.safetensors", "adapter_config.json"


@dataclass(frozen=True)
class ModuleAdapter:
    """The adapter of one module.

    Attributes:
        name: the module's name in the base model.
        transposed: its weight is stored as [d_out, d_in].
        a: [rank, d_in], b: [d_out, rank], both float32.
        bias: [d_out] change of the bias, if biases were edited.
        relative_error: Frobenius norm of ``b a`` minus the update, beside that of the update.
        largest_error: largest absolute difference of one weight.
    """

    name: str
    transposed: bool
    a: Tensor
    b: Tensor
    bias: Tensor | None
    relative_error: float
    largest_error: float

    @property
    def rank(self) -> int:
        """Of ``b a``."""
        return self.a.shape[0]

    @property
    def exact(self) -> bool:
        """Whether it is the update up to rounding."""
        return self.relative_error <= 4 * ROUNDING  # b and a are rounded to float32, too

    def change(self) -> Tensor:
        """What the adapter adds to the weight, as stored."""
        product = self.b @ self.a  # [d_out, d_in]
        return product if self.transposed else product.T


def adapters_of(saved: SavedEdits, rank: int | None = None) -> list[ModuleAdapter]:
    """Factor the update of every module that has one.

    Args:
        rank: the highest allowed; None for whatever is exact.

    Raises:
        ConfigError: a rank below 1.
        DataError: no module has an update.
    """
    if rank is not None and rank < 1:
        raise ConfigError(f"rank: {rank}; allowed: at least 1")
    found = []
    for module in saved.modules:
        name, transposed = module["name"], bool(module["transposed"])
        stored = saved.changes[f"{name}.weight"]
        bias = saved.changes.get(f"{name}.bias")
        adapter = _factored(name, stored if transposed else stored.T, transposed, bias, rank)
        if adapter is not None:
            found.append(adapter)
    if not found:
        raise DataError(f"{saved.folder}: the update is zero: there is nothing to be exported")
    return found


def _factored(
    name: str, update: Tensor, transposed: bool, bias: Tensor | None, rank: int | None
) -> ModuleAdapter | None:
    exact = update.double()  # [d_out, d_in]
    norm = float(exact.norm())
    if norm == 0 and (bias is None or not bool(bias.any())):
        return None
    u, s, v = torch.linalg.svd(exact, full_matrices=False)
    tails = s.square().flip(0).cumsum(0).flip(0).sqrt()  # what is lost by keeping the first i
    needed = int((tails > ROUNDING * norm).sum())
    kept = max(1, min(needed, rank or needed))
    root = s[:kept].sqrt()
    a, b = (root[:, None] * v[:kept]).float(), (u[:, :kept] * root).float()
    rest = (b @ a).double() - exact
    return ModuleAdapter(
        name,
        transposed,
        a.contiguous(),
        b.contiguous(),
        bias,
        float(rest.norm()) / norm if norm else 0.0,
        float(rest.abs().max()),
    )


def write_adapter(
    adapters: Sequence[ModuleAdapter], folder: str | os.PathLike[str], base_model: str | None
) -> None:
    """Write a folder that ``PeftModel.from_pretrained`` reads.

    Args:
        base_model: hub name or directory that the adapter's config names as its base; None for
            none, which PEFT takes for whatever the adapter is loaded onto.

    Raises:
        ConfigError: biases were edited, and PEFT is too old to have them in an adapter.
    """
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    tensors: dict[str, Tensor] = {}
    for adapter in adapters:
        prefix = f"base_model.model.{adapter.name}"
        tensors[f"{prefix}.lora_A.weight"] = adapter.a
        tensors[f"{prefix}.lora_B.weight"] = adapter.b
        if adapter.bias is not None:
            tensors[f"{prefix}.lora_B.bias"] = adapter.bias.float()
    with atomic_path(folder / WEIGHTS) as temporary:
        temporary.write_bytes(save(tensors, {"format": "pt"}))
    _lora_config(adapters, base_model).save_pretrained(str(folder))
    config = read_json(folder / CONFIG)
    # PEFT writes a set in an order that differs from run to run.
    write_json(folder / CONFIG, config | {"target_modules": [adapter.name for adapter in adapters]})


def _lora_config(adapters: Sequence[ModuleAdapter], base_model: str | None) -> Any:
    import peft

    settings: dict[str, Any] = {}
    if any(adapter.bias is not None for adapter in adapters):
        if "lora_bias" not in peft.LoraConfig.__dataclass_fields__:
            raise ConfigError(
                f"edit_bias: true; PEFT {importlib.metadata.version('peft')} has no biases in LoRA "
                "adapters; allowed: PEFT 0.14 or newer"
            )
        settings["lora_bias"] = True
    ranks = {adapter.name: adapter.rank for adapter in adapters}
    highest = max(ranks.values())
    return peft.LoraConfig(
        task_type="CAUSAL_LM",
        base_model_name_or_path=base_model,
        inference_mode=True,
        target_modules=list(ranks),
        # LoRA scales by alpha / r: with one as high as the other, by 1.
        r=highest,
        lora_alpha=highest,
        rank_pattern=ranks,
        alpha_pattern=ranks,
        lora_dropout=0.0,
        fan_in_fan_out=not all(adapter.transposed for adapter in adapters),
        **settings,
    )
