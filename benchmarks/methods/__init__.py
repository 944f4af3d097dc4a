"""How EasyEdit's methods are driven, so that each gets what it needs in a sequence of edits.

Any method that the installed EasyEdit registers can be named in a config; here is only what is
special about some of them, one adapter each.
"""

from __future__ import annotations

from typing import Any

from benchmarks.methods.adapter import Adapter
from benchmarks.methods.hparams import (
    GIT_ONLY,
    build_hparams,
    check_alg_name,
    fill,
    read_yaml,
)
from benchmarks.methods.registry import get_adapter, repair_of
from dafnet_plugin.cases import EditCase

__all__ = [
    "GIT_ONLY",
    "USES_MOMENTS",
    "Adapter",
    "build_hparams",
    "check_alg_name",
    "fill",
    "get_adapter",
    "read_yaml",
    "repair_of",
    "request_of",
]

USES_MOMENTS = frozenset({"ROME"})


def request_of(case: EditCase, alg_name: str) -> dict[str, Any]:
    """A case's request in EasyEdit's fields."""
    return get_adapter(alg_name).request(case)
