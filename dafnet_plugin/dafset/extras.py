"""Libraries that only building a DAFSet needs, asked for when they are needed."""

from __future__ import annotations

import importlib
from typing import Any

from dafnet_plugin.errors import ConfigError


def require(module: str, extra: str = "dafset") -> Any:
    """Import a module of an optional extra.

    Args:
        module: as in an import statement.
        extra: the extra of this package that brings it.

    Raises:
        ConfigError: it is not installed; says how to install it.
    """
    try:
        return importlib.import_module(module)
    except ImportError as error:
        raise missing(module, extra, error) from error


def missing(module: str, extra: str = "dafset", error: ImportError | None = None) -> ConfigError:
    """The error for a module that cannot be imported."""
    why = f" ({error})" if error and getattr(error, "name", None) != module else ""
    return ConfigError(
        f"{module} cannot be imported{why}; it comes with: pip install 'dafnet-plugin[{extra}]'"
    )
