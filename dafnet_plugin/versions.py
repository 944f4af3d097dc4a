"""Versions of what is installed."""

from __future__ import annotations

from collections.abc import Iterable
from importlib.metadata import PackageNotFoundError, version

MAKERS = ("dafnet-plugin", "torch", "transformers", "easyeditor")


def installed(names: Iterable[str]) -> dict[str, str]:
    """Versions of those distributions that are there, by name."""
    found = {}
    for name in names:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found


def versions() -> dict[str, str]:
    """Versions of what made an artefact."""
    return installed(MAKERS)
