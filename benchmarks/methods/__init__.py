"""How EasyEdit's methods are driven, so that each gets what it needs in a sequence of edits.

Any method that the installed EasyEdit registers can be named in a config; here is only what is
special about some of them, one adapter each.
"""

from __future__ import annotations

from benchmarks.methods.adapter import Adapter
from benchmarks.methods.hparams import build_hparams, check_alg_name, fill, read_yaml
from benchmarks.methods.registry import get_adapter, repair_of

__all__ = [
    "Adapter",
    "build_hparams",
    "check_alg_name",
    "fill",
    "get_adapter",
    "read_yaml",
    "repair_of",
]
