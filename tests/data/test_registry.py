"""The registry of loaders, and what importing the package costs."""

from __future__ import annotations

import subprocess
import sys

import pytest

from dafnet_plugin.data import LOADERS, get_loader
from dafnet_plugin.errors import DataError


def test_every_loader_can_be_imported() -> None:
    published = {"zsre", "counterfact", "ripple", "knowedit", "uniedit", "dafset", "pararel"}
    assert set(LOADERS) == published | {"tinyworld", "cases"}
    assert all(callable(LOADERS[name]) for name in LOADERS)


def test_an_unknown_format_is_named_with_its_nearest_match() -> None:
    with pytest.raises(DataError, match=r"'zsrr' is unknown.*did you mean 'zsre'"):
        get_loader("zsrr")


def test_importing_loads_neither_torch_nor_transformers() -> None:
    code = (
        "import sys, dafnet_plugin.data as data, dafnet_plugin.data.tinyworld\n"
        "import dafnet_plugin.data.base_model\n"
        "[data.LOADERS[name] for name in data.LOADERS]\n"
        "sys.exit(bool({'torch', 'transformers', 'tokenizers'} & set(sys.modules)))"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
