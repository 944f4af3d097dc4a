"""Search spaces: what they draw, and what is said about wrong ones."""

from __future__ import annotations

import random
from pathlib import Path

import pytest

from benchmarks.methods import read_yaml
from benchmarks.tuning.arena import settings_for
from benchmarks.tuning.space import FAMILIES, Space, applied
from dafnet_plugin.errors import ConfigError

ROOT = Path(__file__).resolve().parents[3]
SPACES = sorted((ROOT / "benchmarks" / "tuning").glob("*.yaml"))

TEXT = """
editing:
  layers: [[1], [2, 3]]
  lr: {log: [1.0e-4, 1.0e-1]}
  share: {uniform: [0.25, 0.75]}
  names:
    gpt2: [c_fc]
    llama: [up_proj, down_proj]
training:
  steps: {integer: [2, 4]}
"""


def read(tmp_path: Path, text: str, family: str = "gpt2") -> Space:
    path = tmp_path / "space.yaml"
    path.write_text(text)
    return Space.read(path, family)


def test_draws_are_within_bounds_and_repeatable(tmp_path: Path) -> None:
    space = read(tmp_path, TEXT)
    draws = [space.draw(random.Random(seed)) for seed in range(300)]
    assert draws == [space.draw(random.Random(seed)) for seed in range(300)]
    rates = [draw["editing"]["lr"] for draw in draws]
    assert 1e-4 <= min(rates) < 2e-4 and 5e-2 < max(rates) <= 1e-1
    assert 0.4 < sum(rate < 3.2e-3 for rate in rates) / 300 < 0.6  # half below the middle
    assert {str(draw["editing"]["layers"]) for draw in draws} == {"[1]", "[2, 3]"}
    assert all(0.25 <= draw["editing"]["share"] <= 0.75 for draw in draws)
    assert {draw["training"]["steps"] for draw in draws} == {2, 3, 4}
    assert {draw["editing"]["names"] for draw in draws} == {"c_fc"}


def test_families_have_their_own(tmp_path: Path) -> None:
    space = read(tmp_path, TEXT, "llama")
    draws = {space.draw(random.Random(seed))["editing"]["names"] for seed in range(50)}
    assert draws == {"up_proj", "down_proj"}


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("edting: {lr: [1]}", r"edting \(did you mean 'editing'\?\); allowed: editing, training"),
        ("editing: 3", "editing.*; allowed: editing, training, both, each with keys"),
        ("- 3", "allowed: editing, training, both, each with keys"),
        ("editing: {lr: 1}", r"editing\.lr: 1; allowed: a list of choices"),
        ("editing: {lr: []}", r"editing\.lr: \[\]; allowed"),
        ("editing: {lr: {log: [0, 1]}}", r"editing\.lr: .*log"),
        ("editing: {lr: {log: [2, 1]}}", r"editing\.lr"),
        ("editing: {lr: {log: [1]}}", r"editing\.lr"),
        ("editing: {lr: {gauss: [1, 2]}}", r"editing\.lr"),
        ("editing: {lr: {llama: [1]}}", "one entry for each family; gpt2 is missing"),
        ("editing: {a: 1, b: 2}", "2 problem"),
    ],
)
def test_wrong_spaces(text: str, said: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=said):
        read(tmp_path, text)


def test_settings_are_applied() -> None:
    values = {"lr": 1, "fusion": {"ridge": 0.1, "kind": "x"}, "layers": [2]}
    found = applied(values, {"fusion.ridge": 0.5, "layers": [3]}, "file.yaml")
    assert found == {"lr": 1, "fusion": {"ridge": 0.5, "kind": "x"}, "layers": [3]}
    assert values["layers"] == [2] and values["fusion"] == {"ridge": 0.1, "kind": "x"}
    for key in ("rl", "fusion.rigde", "lr.deep", "none.lr"):
        with pytest.raises(ConfigError, match=rf"file\.yaml: it has no '{key}'"):
            applied(values, {key: 1}, "file.yaml")


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("path", SPACES, ids=lambda path: path.stem)
def test_shipped_spaces_fit_the_shipped_files(path: Path, family: str) -> None:
    settings = Space.read(path, family).draw(random.Random(0))
    files = {
        "editing": ROOT / "hparams" / path.stem / f"tiny-{family}.yaml",
        "training": ROOT / "hparams" / "TRAINING" / path.stem / f"tiny-{family}.yaml",
    }
    for section, file in files.items():
        if section == "editing" or file.exists():
            values = read_yaml(file)
            assert (
                applied(values, settings_for(settings, section), str(file)).keys() == values.keys()
            )


def test_every_method_has_a_space() -> None:
    methods = {path.parent.name for path in (ROOT / "hparams").glob("*/tiny-gpt2.yaml")}
    assert methods - {"DAFNET"} <= {path.stem for path in SPACES}
