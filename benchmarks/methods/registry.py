"""Which adapter drives which method."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from typing import Any

from benchmarks.methods.adapter import Adapter, PlainAdapter
from benchmarks.methods.executors import ExecutorAdapter, MENDAdapter
from benchmarks.methods.locate import (
    LocateAdapter,
    NullSpaceAdapter,
    PMETAdapter,
    RightPaddedAdapter,
    ROMEAdapter,
    SimIEAdapter,
)
from benchmarks.methods.melo import MELOAdapter
from benchmarks.methods.memory import DEFERAdapter, GRACEAdapter, WISEAdapter
from benchmarks.methods.neurons import NeuronAdapter
from benchmarks.methods.peft_adapters import DPOAdapter, LoRAAdapter
from benchmarks.methods.serac import SERACAdapter
from dafnet_plugin.errors import ConfigError, did_you_mean

ADAPTERS: Mapping[str, type[Adapter]] = {
    "AlphaEdit": NullSpaceAdapter,
    "CALINET": NeuronAdapter,
    "CORE": LocateAdapter,
    "DEFER": DEFERAdapter,
    "DPO": DPOAdapter,
    "EMMET": LocateAdapter,
    "GRACE": GRACEAdapter,
    "LoRA": LoRAAdapter,
    "MALMEN": ExecutorAdapter,
    "MELO": MELOAdapter,
    "MEMIT": LocateAdapter,
    "MEND": MENDAdapter,
    "MEMIT-FE": RightPaddedAdapter,
    "PMET": PMETAdapter,
    "R-ROME": ROMEAdapter,
    "ROME": ROMEAdapter,
    "SERAC": SERACAdapter,
    "SimIE": SimIEAdapter,
    "SPHERE": NullSpaceAdapter,
    "TPATCHER": NeuronAdapter,
    "ULTRAEDIT": ExecutorAdapter,
    "WISE": WISEAdapter,
}
"""Methods about which there is something special to know; all others are driven plainly."""


def get_adapter(alg_name: str, repaired: bool = True, **options: Any) -> Adapter:
    """The adapter of a method.

    Args:
        alg_name: the method's name in EasyEdit.
        repaired: mend what EasyEdit gets wrong in a sequence; False runs it as it is.
        options: settings that only some methods have, see their adapters.

    Raises:
        ConfigError: the method has no such option.
    """
    kind = ADAPTERS.get(alg_name, PlainAdapter)
    takes = LocateAdapter if kind is SimIEAdapter else kind
    known = set(inspect.signature(takes).parameters) - {"alg_name", "repaired"}
    for name in options:
        if name not in known:
            raise ConfigError(
                f"{alg_name}: option {name!r}{did_you_mean(name, known)}; allowed: "
                f"{', '.join(sorted(known)) or 'none'}"
            )
    return kind(alg_name, repaired, **options)


def repair_of(alg_name: str) -> str | None:
    """What ``repaired`` changes about a method; None if nothing, as for most of them."""
    return ADAPTERS.get(alg_name, PlainAdapter).repair
