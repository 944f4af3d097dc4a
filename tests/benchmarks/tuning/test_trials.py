"""Trials as lines of a file, and the best of them in the YAML files."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from benchmarks.tuning.trials import Trial, append_trial, best_trial, read_trials, trials_path
from benchmarks.tuning.winner import UNTUNED, write_settings
from dafnet_plugin.errors import ConfigError, DataError


def trial(number: int, score: float | None) -> Trial:
    settings = {"editing": {"layers": [number], "lr": 1e-5}} if number else {}
    status: Any = "failed" if score is None else "ok"
    return Trial("FT", "tiny-gpt2", "zsre", 0, number, settings, "hash", status, score)


def test_a_trial_is_read_back(tmp_path: Path) -> None:
    path = trials_path(tmp_path, "FT-as-is", "tiny-gpt2")
    assert path == tmp_path / "benchmarks/results/tuning/FT-as-is-tiny-gpt2.jsonl"
    assert read_trials(path) == []
    trials = [trial(0, 0.5), trial(1, None)]
    for one in trials:
        append_trial(path, one)
    assert read_trials(path) == trials


@pytest.mark.parametrize("line", ["{}", "[]", '{"schema": 1}', '{"schema": 2, "method": "FT"}'])
def test_other_lines_are_refused(line: str, tmp_path: Path) -> None:
    path = tmp_path / "trials.jsonl"
    append_trial(path, trial(0, 0.5))
    path.write_text(path.read_text() + line + "\n")
    with pytest.raises(DataError, match=r"trials\.jsonl: record 2: not a trial"):
        read_trials(path)


def test_best() -> None:
    assert best_trial([]) is None
    assert best_trial([trial(0, None)]) is None
    trials = [trial(0, 0.4), trial(1, 0.6), trial(2, None), trial(3, 0.6)]
    assert best_trial(trials) == trials[1]


FILE = f"""\
# A method for a model.
{UNTUNED}
alg_name: X
layers: [2]
inner_params:
- transformer.h.2.weight
- transformer.h.3.weight

lr: 1.0e-3  # how fast
norm: 0.5
fusion:
  kind: sum    # how
  ridge: 0.1
  deep:
    er: 1
steps: 20
"""


def test_the_winner_is_written_and_comments_stay(tmp_path: Path) -> None:
    path = tmp_path / "x.yaml"
    path.write_text(FILE)
    settings = {
        "layers": [2, 3],
        "inner_params": ["transformer.h[1].weight"],
        "lr": 1e-5,
        "norm": False,
        "fusion.ridge": 3,
        "fusion.deep.er": 2.5e-7,
        "steps": 30,
    }
    write_settings(path, settings, "best of 3")
    assert path.read_text() == FILE.replace(UNTUNED, "# Tuned: best of 3").replace(
        "layers: [2]", "layers: [2, 3]"
    ).replace(
        "inner_params:\n- transformer.h.2.weight\n- transformer.h.3.weight\n",
        "inner_params: ['transformer.h[1].weight']\n",
    ).replace("lr: 1.0e-3  # how fast", "lr: 1.0e-05  # how fast").replace(
        "norm: 0.5", "norm: false"
    ).replace("ridge: 0.1", "ridge: 3").replace("er: 1", "er: 2.5e-07").replace("20", "30")
    assert yaml.safe_load(path.read_text())["lr"] == 1e-5
    write_settings(path, {}, "best of 4")
    assert path.read_text().splitlines()[:3] == ["# A method for a model.", "# Tuned: best of 4",
                                                "alg_name: X"]  # fmt: skip


def test_a_file_without_the_line_gets_it(tmp_path: Path) -> None:
    path = tmp_path / "x.yaml"
    path.write_text("# Mine.\n# All of it.\nlr: 1")
    write_settings(path, {"lr": 2}, "best of 3")
    assert path.read_text() == "# Mine.\n# All of it.\n# Tuned: best of 3\nlr: 2\n"
    path.write_text("lr: 1\n")
    write_settings(path, {}, "best of 3")
    assert path.read_text() == "# Tuned: best of 3\nlr: 1\n"


@pytest.mark.parametrize("key", ["rl", "fusion.rigde", "ridge"])
def test_a_key_that_is_not_there(key: str, tmp_path: Path) -> None:
    path = tmp_path / "x.yaml"
    path.write_text(FILE)
    with pytest.raises(ConfigError, match=rf"x\.yaml: it has no '{key}'"):
        write_settings(path, {key: 1}, "best")
    assert path.read_text() == FILE
