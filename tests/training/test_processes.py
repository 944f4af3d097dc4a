"""Several processes together take the steps of one."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch

from tests.training.processes_worker import SETTINGS, curve, make

ROOT = Path(__file__).resolve().parents[2]
COUNT = 2


@pytest.fixture(scope="module")
def together(tmp_path_factory: pytest.TempPathFactory) -> list[dict[str, Any]]:
    """What each of two processes found, on the CPU, over gloo."""
    folder = tmp_path_factory.mktemp("together")
    # accelerate starts several processes on CPUs itself only so; `device: cpu` makes it gloo.
    launch = [
        "--multi_gpu",
        "--num_machines",
        "1",
        "--mixed_precision",
        "no",
        "--dynamo_backend",
        "no",
    ]
    done = subprocess.run(
        [
            *(sys.executable, "-m", "accelerate.commands.launch", "--num_processes", str(COUNT)),
            *(*launch, "--num_machines", "1", "--main_process_port", "0"),
            *(str(ROOT / "tests/training/processes_worker.py"), str(folder)),
        ],
        cwd=ROOT,
        env=os.environ | {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr
    return [json.loads((folder / f"{index}.json").read_text()) for index in range(COUNT)]


def close(found: Any, wanted: Any) -> bool:
    """Whether nested numbers are equal up to the order in which gradients were summed."""
    if isinstance(wanted, dict):
        return found.keys() == wanted.keys() and all(close(found[k], wanted[k]) for k in wanted)
    if isinstance(wanted, list):
        return len(found) == len(wanted) and all(map(close, found, wanted))
    return found == pytest.approx(wanted, rel=1e-4, abs=1e-5)


@pytest.mark.parametrize("name", SETTINGS)
def test_the_loss_curve_is_that_of_one_process(
    together: list[dict[str, Any]], tmp_path: Path, name: str
) -> None:
    alone = json.loads(json.dumps(curve(make(tmp_path, **SETTINGS[name]))))
    assert len({str(loss) for loss in alone["losses"]}) == 6, "a curve that does not move"
    for index, found in enumerate(together):
        assert (found["count"], found["index"]) == (COUNT, index)
        assert found[name]["random"] == alone["random"]
        for key in ("losses", "history", "longest"):
            assert close(found[name][key], alone[key]), key
        # As a whole: Adam makes much of the rounding of a gradient that is next to nothing.
        wanted = torch.tensor(alone["weights"])
        assert (torch.tensor(found[name]["weights"]) - wanted).norm() <= 1e-3 * wanted.norm()


def test_one_that_is_asked_to_stop_stops_all_and_they_go_on(
    together: list[dict[str, Any]],
) -> None:
    for found in together:
        assert found["stopped"]["reached"] == 1
        assert found["stopped"]["weights"] == found["ramp"]["weights"]


def test_one_that_diverges_ends_all(together: list[dict[str, Any]]) -> None:
    assert [found["diverged"] for found in together] == ["not finite here"] * COUNT


def test_sequences_that_cannot_be_shared_evenly_are_refused(together: list[dict[str, Any]]) -> None:
    for found in together:
        assert found["uneven"].startswith("accumulate_bs: 3; allowed: a multiple of 2")


def test_only_one_writes(together: list[dict[str, Any]]) -> None:
    assert [found["wrote"] > 0 for found in together] == [True, False]


def test_a_folder_that_not_all_see_is_refused_before_training(
    together: list[dict[str, Any]],
) -> None:
    for found in together:
        assert re.search(r"results_dir: .*allowed: a folder that all.*: 1$", found["apart"])
