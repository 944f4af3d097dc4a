"""Work for processes of their own, with nothing else to import."""

from __future__ import annotations

from collections.abc import Callable

import torch


def allocate(mebibytes: int) -> Callable[[], object]:
    """Work that needs so much, and half of it in the end."""

    def work() -> torch.Tensor:
        first = torch.ones(mebibytes * 2**17)
        second = first + 1
        del first
        return second

    return work


def die() -> Callable[[], object]:
    """A process that ends at once."""
    raise SystemExit(3)
