"""Naming devices as EasyEdit's users do."""

from __future__ import annotations

import logging

import torch

from dafnet_plugin.errors import ConfigError

logger = logging.getLogger(__name__)


def resolve_device(device: str | int | torch.device) -> torch.device:
    """Turn ``cpu``, ``cuda:1``, ``mps`` or a CUDA index (``0``, ``"0"``) into a device.

    An index on a machine without CUDA is the CPU, as the comments of the hyper-parameter files and
    EasyEdit's users have it; a warning says so.

    Raises:
        ConfigError: not a device, or one this machine does not have; says which there are.
    """
    text = f"cuda:{device}" if str(device).isdigit() else str(device)
    if str(device).isdigit() and not torch.cuda.is_available():
        logger.warning("device: %s: this machine has no CUDA, so it is the CPU", device)
        text = "cpu"
    try:
        resolved = torch.device(text)
    except RuntimeError as error:
        raise ConfigError(f"device: {device!r}; allowed: {_available()}") from error
    count = torch.cuda.device_count()
    missing_cuda = resolved.type == "cuda" and (resolved.index or 0) >= count
    missing_mps = resolved.type == "mps" and not torch.backends.mps.is_available()
    if missing_cuda or missing_mps:
        raise ConfigError(f"device: {device!r} is not on this machine; allowed: {_available()}")
    return resolved


def _available() -> str:
    names = ["cpu", *(f"cuda:{n}" for n in range(torch.cuda.device_count()))]
    if torch.backends.mps.is_available():
        names.append("mps")
    return ", ".join(names)
