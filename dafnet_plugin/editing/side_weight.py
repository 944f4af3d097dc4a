"""A weight beside one that cannot be changed: where the update of a quantised module goes."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn


class SideWeight(nn.Module):
    """A quantised linear module, and a weight of full precision whose output is added to its.

    Args:
        base_layer: the quantised module, an ``nn.Linear`` by class.

    Attributes:
        weight: [d_out, d_in], float32, zero until something is edited.
    """

    def __init__(self, base_layer: nn.Linear) -> None:
        super().__init__()
        self.base_layer = base_layer
        shape = base_layer.out_features, base_layer.in_features
        device = base_layer.weight.device
        self.weight = nn.Parameter(torch.zeros(shape, dtype=torch.float32, device=device))
        self.train(base_layer.training)

    @property
    def bias(self) -> None:
        """The bias stays with the quantised module and is not edited."""
        return None

    def forward(self, x: Tensor) -> Tensor:
        """Return ``base_layer(x) + x @ weight^T`` [..., d_out], in the module's precision."""
        out: Tensor = self.base_layer(x)
        with torch.autocast(x.device.type, enabled=False):
            side = F.linear(x.to(self.weight.dtype), self.weight)
        return out + side.to(out.dtype)
