"""Our scores beside EasyEdit's own, for both of its versions and both model families."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.easyedit.conftest import RunPython, require_easyedit, run_python

__all__ = ["run_python"]  # a fixture
WORKER = Path(__file__).with_name("easyedit_worker.py")


@pytest.fixture(
    scope="module", params=[(v, f) for v in ("wheel", "git") for f in ("gpt2", "llama")], ids=str
)
def report(
    request: pytest.FixtureRequest,
    tiny_models: dict[str, Path],
    tmp_path_factory: pytest.TempPathFactory,
    run_python: RunPython,
) -> dict[str, Any]:
    version, family = request.param
    require_easyedit(version)
    folder = tmp_path_factory.mktemp("equality")
    arguments = [str(WORKER), family, str(tiny_models[family]), str(folder / "report.json")]
    done = run_python(version, *arguments, cwd=folder, OMP_NUM_THREADS="1")
    assert done.returncode == 0, done.stderr[-4000:]
    found: dict[str, Any] = json.loads((folder / "report.json").read_text())
    assert found["version"] == version
    return found | {"family": family}


@pytest.mark.parametrize("name", ["whole", "hardly_changed", "cut"])
def test_every_score_is_easyedits_to_the_last_digit(report: dict[str, Any], name: str) -> None:
    """Reliability, generality, locality, portability, and each of its criteria."""
    assert report[name]["ours"] == report[name]["easyedit"]


def test_the_scores_are_worth_comparing(report: dict[str, Any]) -> None:
    """Some are right and some are wrong, for each kind: else equality would say little."""
    for name, columns in (("whole", [0, 1, 3]), ("hardly_changed", [2])):
        values = np.array([[row[c] for c in columns] for row in report[name]["ours"]])
        assert (values.max(0) > 0).all() and (values.min(0) < 1).all()
        assert len(set(values.flatten())) > 4
    assert report["number_cut"] > 0


def test_lists_of_probes_are_scored_alike_where_none_is_padded(report: dict[str, Any]) -> None:
    assert report["lists"]["ours"] == report["lists"]["easyedit"]


def test_company_changes_scores_of_easyedit_with_absolute_positions(
    report: dict[str, Any],
) -> None:
    """In a list, EasyEdit pads on the left and counts positions from the padding on.

    So a GPT-2 sees a short probe at other places than when it is asked alone, and may answer
    otherwise; with relative positions nothing changes. Ours are the scores of the probe alone.
    """
    found = zip(report["padded"]["ours"], report["padded"]["easyedit"])
    same = all(mine[2:] == theirs[2:] for mine, theirs in found)  # locality and portability
    assert same == (report["family"] == "llama")


def test_scoring_in_batches_is_at_least_five_times_as_fast(report: dict[str, Any]) -> None:
    """With 64 cases on one core, where the machine is busy as well: it is 10 times as fast."""
    assert report["whole"]["times_faster"] >= 5
