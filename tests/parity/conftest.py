"""Reference numbers of the published algorithm, from a folder that may hold any cases."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest
from safetensors.torch import load_file
from torch import Tensor

from dafnet_plugin.network import NetworkConfig

HERE = Path(__file__).parent
ROOT = HERE.parents[1]
NORMALISERS = {"EBN": "exact_batch_norm", "BN": "batch_norm", "LN": "layer_norm"}


def golden_dirs() -> list[Path]:
    """The small copy in the repository, and the full set when it is there."""
    named = os.environ.get("DAFNET_GOLDEN_DIR")
    full = Path(named) if named else ROOT.parent / "shared" / "golden"
    return [
        folder for folder in (HERE / "golden", full) if (folder / "dafnet_golden.json").is_file()
    ]


class Golden:
    """The json and the tensors of one folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.cases: dict[str, Any] = json.loads((folder / "dafnet_golden.json").read_text())
        self.tensors = load_file(folder / "dafnet_golden.safetensors")

    def under(self, prefix: str) -> dict[str, Tensor]:
        """Tensors whose name starts with ``prefix.``, without it."""
        start = prefix + "."
        return {name[len(start) :]: t for name, t in self.tensors.items() if name.startswith(start)}


def network_config(case: dict[str, Any], norm: str) -> NetworkConfig:
    return NetworkConfig(
        layers=case["layer_n"],
        intra_dim=case["inner_att_dim"],
        inter_dim=case["outer_att_dim"],
        inter_heads=case["outer_att_head_n"],
        gate_dim=case["outer_score_att_dim"],
        gate_heads=case["outer_score_att_head_n"],
        ffn_dim=case["ffn_dim"],
        normaliser=NORMALISERS[norm],  # type: ignore[arg-type]
    )


@pytest.fixture(scope="session", params=golden_dirs(), ids=lambda folder: folder.parent.name)
def golden(request: pytest.FixtureRequest) -> Golden:
    return Golden(request.param)
