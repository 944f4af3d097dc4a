"""Real files for the loader tests, where there are any."""

from __future__ import annotations

from pathlib import Path

import pytest

from dafnet_plugin.data.tinyworld import TinyWorld, WorldConfig, make


@pytest.fixture(scope="session")
def samples() -> Path:
    """Hand-made files in the formats that published data sets have."""
    return Path(__file__).parent / "samples"


@pytest.fixture(scope="session")
def tiny() -> TinyWorld:
    """A world of the default size."""
    return make(0)


@pytest.fixture(scope="session")
def micro() -> TinyWorld:
    """A world of a third of that, for what is slow."""
    return make(1, WorldConfig(scale=0.3))
