"""Several processes that train one network together: data parallel over sequences of edits.

All draw the same random numbers, each does its share of a step's sequences, and gradients are
summed: the step is that of one process with all of them. How processes find and reach each other
is accelerate's business; one that was not started by a launcher is alone and needs none of it.
"""

from __future__ import annotations

import os
import secrets
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TypeVar

import torch
from torch import Tensor

from dafnet_plugin.devices import resolve_device
from dafnet_plugin.errors import ConfigError

T = TypeVar("T")


class Processes:
    """The processes of a training run, as one of them sees it.

    Args:
        device: of the config. Several processes on CUDA take the devices in their own order.

    Attributes:
        count: of all machines together.
        index: of this one, from 0.
        device: of this one.

    Raises:
        ConfigError: not a device, or one this machine does not have.
    """

    def __init__(self, device: str | int | torch.device) -> None:
        self.count, self.index, self.device = 1, 0, resolve_device(device)
        if _launched():
            from accelerate import PartialState

            state = PartialState(cpu=self.device.type == "cpu")
            self.count, self.index = state.num_processes, state.process_index
            if self.device.type != "cpu":
                self.device = state.device

    @property
    def main(self) -> bool:
        """Whether this is the one that writes."""
        return self.index == 0

    def takes(self, number: int) -> bool:
        """Whether the sequence of this number is done here."""
        return number % self.count == self.index

    def gathered(self, mine: Mapping[int, T]) -> dict[int, T]:
        """What all processes have, by number, in the order of the numbers."""
        parts = [dict(mine)]
        if self.count > 1:
            from accelerate.utils import gather_object

            parts = gather_object(parts)
        return dict(sorted((number, value) for part in parts for number, value in part.items()))

    def add_gradients(self, parameters: Iterable[Tensor]) -> None:
        """Sum the gradients of all processes, in place; one that is not there counts as zeros."""
        if self.count == 1:
            return
        from accelerate.utils import reduce

        for parameter in parameters:
            own = parameter.grad
            parameter.grad = reduce(torch.zeros_like(parameter) if own is None else own, "sum")

    def copy(self, tensors: Mapping[str, Tensor]) -> None:
        """Give every process the main one's values, in place."""
        if self.count == 1:
            return
        from accelerate.utils import broadcast

        for tensor in tensors.values():
            tensor.copy_(broadcast(tensor.detach().clone()))

    def same(self, value: T) -> T:
        """The main process's value."""
        return self.gathered({self.index: value})[0]

    def any(self, flag: bool) -> bool:
        """Whether it is true in some process."""
        return True in self.gathered({self.index: flag}).values()

    def check_shared(self, folder: Path, key: str) -> None:
        """Check that all processes see a folder, before hours are spent on what only one could.

        Args:
            key: of the config, for the message.

        Raises:
            ConfigError: some do not.
        """
        if self.count == 1:
            return
        mark = folder / f".seen-by-all-{self.same(secrets.token_hex(8))}"
        if self.main:
            folder.mkdir(parents=True, exist_ok=True)
            mark.touch()
        self.wait()
        seen = self.gathered({self.index: mark.is_file()})
        if self.main:
            mark.unlink()
        if blind := [index for index, sees in seen.items() if not sees]:
            raise ConfigError(
                f"{key}: {str(folder)!r}; allowed: a folder that all {self.count} processes "
                f"see; these do not: {', '.join(map(str, blind))}"
            )

    def wait(self) -> None:
        """Wait until all have come here."""
        self.gathered({})


def _launched() -> bool:
    """Whether a launcher says that this is one process of several."""
    return "RANK" in os.environ and int(os.environ.get("WORLD_SIZE", 1)) > 1
