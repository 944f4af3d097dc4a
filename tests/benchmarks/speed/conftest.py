"""The setting of a smoke test, made once."""

from __future__ import annotations

import pytest

from benchmarks.speed.setting import Setting
from benchmarks.speed.sizes import SMOKE


@pytest.fixture(scope="session")
def setting() -> Setting:
    return Setting.make(SMOKE, 0)
