"""``defaults``: common values in one file, what is particular in another."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from dafnet_plugin.errors import ConfigError
from dafnet_plugin.hparams import DAFNetHparams
from dafnet_plugin.schema import DEFAULTS, read_values, with_defaults
from tests.test_hparams import GOOD, ROOT, shipped, write

COMMON = sorted((ROOT / "hparams" / "defaults").glob("DAFNET*.yaml"))


def test_defaults_fill_in_what_a_file_does_not_say(tmp_path: Path) -> None:
    (tmp_path / "more").mkdir()
    (tmp_path / "far.yaml").write_text("max_length: 7\nbatch_size: 3\nnetwork: {layers: 5}\n")
    (tmp_path / "more" / "near.yaml").write_text(
        "defaults: ../far.yaml\nbatch_size: 4\nnetwork: {ffn_dim: 6}\nfusion: {ridge: 0.5}\n"
    )
    path = write(tmp_path, GOOD + "defaults: more/near\nnetwork: {intra_dim: 9}\n")
    hparams = DAFNetHparams.read(path)
    network = hparams.network
    assert (network.layers, network.ffn_dim, network.intra_dim) == (5, 6, 9)
    assert (hparams.max_length, hparams.batch_size, hparams.fusion.ridge) == (7, 4, 0.5)
    # What is checked against a checkpoint includes what the defaults say.
    assert hparams.given["network"] == {"layers": 5, "ffn_dim": 6, "intra_dim": 9}
    assert "defaults" not in hparams.given


def test_defaults_never_replace_what_a_file_says_lists_included(tmp_path: Path) -> None:
    (tmp_path / "common.yaml").write_text(
        "edit_modules: [x, y, z]\ndevice: 0\nnetwork: {layers: 9}"
    )
    path = write(tmp_path, GOOD + "defaults: common.yaml\ndevice: cpu\n")
    hparams = DAFNetHparams.read(path)
    assert hparams.edit_modules == ["h.0.mlp", "h.1.mlp"]
    assert (hparams.device, hparams.network.layers) == ("cpu", 9)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("defaults: 3", r"tiny\.yaml: defaults: 3; allowed: a file, relative to this one"),
        ("defaults: none.yaml", r"tiny\.yaml: defaults: .*none\.yaml: cannot be read"),
        ("defaults: bad.yaml", r"tiny\.yaml: defaults: .*bad\.yaml: line 1: not YAML"),
        ("defaults: list.yaml", r"tiny\.yaml: defaults: .*list\.yaml: \['a'\]; allowed: keys"),
        ("defaults: tiny.yaml", r"tiny\.yaml: defaults: 'tiny.yaml' leads back to this file"),
        ("defaults: round.yaml", r"round\.yaml: defaults: 'tiny.yaml' leads back"),
        ("defaults: typo.yaml", r"tiny\.yaml: 1 problem.*\n  - batchsize: unknown key"),
    ],
)
def test_wrong_defaults_are_named(tmp_path: Path, text: str, words: str) -> None:
    (tmp_path / "bad.yaml").write_text("{")
    (tmp_path / "list.yaml").write_text("- a\n")
    (tmp_path / "round.yaml").write_text("defaults: tiny.yaml\n")
    (tmp_path / "typo.yaml").write_text("batchsize: 3\n")
    with pytest.raises(ConfigError, match=words):
        DAFNetHparams.read(write(tmp_path, GOOD + text + "\n"))


NESTED = st.recursive(
    st.integers() | st.lists(st.integers(), max_size=2),
    lambda inner: st.dictionaries(st.sampled_from("abc"), inner, max_size=3),
    max_leaves=8,
)
FILES = st.dictionaries(st.sampled_from("abc"), NESTED, max_size=3)


@given(common=FILES, own=FILES)
@settings(max_examples=60, deadline=None)
def test_what_a_file_says_holds_and_the_rest_is_its_defaults(
    common: dict[str, Any], own: dict[str, Any]
) -> None:
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "common.yaml").write_text(yaml.safe_dump(common))
        merged = with_defaults({**own, "defaults": "common.yaml"}, Path(folder, "own.yaml"))
    _check_merged(merged, common, own)


def _check_merged(merged: Any, common: Any, own: Any) -> None:
    if not (isinstance(common, dict) and isinstance(own, dict)):
        assert merged == own
        return
    assert merged.keys() == common.keys() | own.keys()
    for key in merged:
        if key not in own:
            assert merged[key] == common[key]
        elif key not in common:
            assert merged[key] == own[key]
        else:
            _check_merged(merged[key], common[key], own[key])


def relative(path: Path) -> str:
    return str(path.relative_to(ROOT))


def flat(values: dict[str, Any]) -> dict[str, Any]:
    """Values by ``section.key``."""
    result: dict[str, Any] = {}
    for key, value in values.items():
        inner = value if isinstance(value, dict) else {}
        result |= {f"{key}.{name}": number for name, number in inner.items()} or {key: value}
    return result


@pytest.mark.parametrize("path", [*shipped(), *COMMON], ids=relative)
def test_no_shipped_file_repeats_what_its_defaults_say(path: Path) -> None:
    own = yaml.safe_load(path.read_text())
    if DEFAULTS in own:
        common = flat(read_values(path.parent / own[DEFAULTS]))
        values = flat(read_values(path))
        assert [key for key in flat(own) if key in common and common[key] == values[key]] == []


@pytest.mark.parametrize("path", [*shipped(), *COMMON], ids=relative)
def test_numbers_that_are_not_the_papers_say_why(path: Path) -> None:
    training = "TRAINING" in path.parts or path.stem.endswith("-training")
    papers = f"DAFNET-paper{'-training' if training else ''}.yaml"
    paper = flat(read_values(ROOT / "hparams" / "defaults" / papers))
    values, section, above = flat(read_values(path)), "", ""
    for line in path.read_text().splitlines():
        key, _, rest = line.partition(":")
        name = section + key.strip() if line.startswith(" ") else key
        if not line.startswith((" ", "#", "-")):
            section = f"{key}."
        value = values.get(name)
        number = isinstance(value, int | float) and not isinstance(value, bool)
        if number and rest.strip() and value != paper.get(name):
            assert "#" in rest or above.startswith("#"), line
        above = line
