"""YAML files: what is read, and everything that is wrong reported at once."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from dafnet_plugin.errors import ConfigError
from dafnet_plugin.hparams import DAFNetHparams, DAFNetHyperParams, DAFNetTrainingHparams

ROOT = Path(__file__).resolve().parents[1]
GOOD = "model_name: ./gpt2\nedit_modules: [h.0.mlp, h.1.mlp]\n"


def write(folder: Path, text: str) -> Path:
    path = folder / "tiny.yaml"
    path.write_text(text, encoding="utf-8")
    return path


def problems_of(path: Path, kind: type[Any] = DAFNetHparams) -> list[str]:
    with pytest.raises(ConfigError) as caught:
        kind.read(path)
    head, *lines = str(caught.value).splitlines()
    assert head == f"{path}: {len(lines)} problem(s)"
    return [line.removeprefix("  - ") for line in lines]


def test_a_file_is_read_with_defaults_and_numbers_as_people_write_them(tmp_path: Path) -> None:
    path = write(
        tmp_path, GOOD + "fusion: {kind: sum, edit_lr: -1e-4, ridge: 1}\ndevice: 0\narchive: null\n"
    )
    for name in (path, path.with_suffix("")):  # EasyEdit's users leave .yaml out
        hparams = DAFNetHparams.read(name)
        assert hparams.edit_modules == ["h.0.mlp", "h.1.mlp"]
        assert (hparams.fusion.kind, hparams.fusion.edit_lr) == ("sum", -1e-4)
        assert type(hparams.fusion.ridge) is float and hparams.device == 0
        assert hparams.network.layers == 2 and hparams.archive is None
    assert DAFNetHyperParams is DAFNetHparams


def test_to_dict_is_the_inverse_of_from_dict_and_copies_no_model() -> None:
    hparams = DAFNetTrainingHparams.from_dict({"model_name": "gpt2", "edit_modules": ["a"]})
    assert DAFNetTrainingHparams.from_dict(hparams.to_dict()) == hparams
    hparams.to_dict()["edit_modules"].append("b")
    hparams.to_dict()["network"]["layers"] = 9
    assert hparams.edit_modules == ["a"] and hparams.network.layers == 2
    model = object()
    hparams.model_name = (model, None)
    assert hparams.to_dict()["model_name"][0] is model


def test_everything_wrong_with_a_file_is_reported_at_once(tmp_path: Path) -> None:
    path = write(
        tmp_path,
        "edit_module: [h.0.mlp]\n"
        "network:\n  layer: 3\n  ffn_dim: wide\n  block: recidual\n"
        "fusion: least_squares\n"
        "batch_size: 2.5\n"
        "edit_bias: 'yes'\n"
        "device: [cpu]\n"
        "1: one\n",
    )
    assert sorted(problems_of(path)) == sorted(
        [
            "edit_module: unknown key (did you mean 'edit_modules'?)",
            "1: unknown key",
            "model_name: missing",
            "edit_modules: missing",
            "network.layer: unknown key (did you mean 'layers'?)",
            "network.ffn_dim: 'wide'; allowed: a whole number",
            "network.block: 'recidual'; allowed: paper, residual",
            "fusion: 'least_squares'; allowed: keys with values",
            "batch_size: 2.5; allowed: a whole number",
            "edit_bias: 'yes'; allowed: true or false",
            "device: ['cpu']; allowed: text or a whole number",
        ]
    )


def test_unknown_keys_do_not_hide_values_out_of_range(tmp_path: Path) -> None:
    path = write(tmp_path, GOOD + "batchsize: 1\nbatch_size: 0\nnetwork: {layers: -1, depth: 2}\n")
    assert sorted(problems_of(path)) == sorted(
        [
            "batchsize: unknown key (did you mean 'batch_size'?)",
            "network.depth: unknown key",
            "network.layers: -1; allowed: above 0",
            "batch_size: 0; allowed: above 0",
        ]
    )


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("alg_name: ROME", "alg_name: 'ROME'; allowed: 'DAFNET'"),
        ("edit_bias: true", "edit_bias: true; allowed only with fusion.kind running_mean or sum"),
        ("fusion: {ridge: 0}", "fusion.ridge: 0.0; allowed: above 0"),
        ("fusion: {ridge: .nan}", "fusion.ridge: nan; allowed: a finite number"),
        ("fusion: {edit_lr: .inf}", "fusion.edit_lr: inf; allowed: a finite number"),
        ("fusion: {edit_lr: nan}", "fusion.edit_lr: nan; allowed: a finite number"),
        ("fusion: {edit_lr: true}", "fusion.edit_lr: True; allowed: a finite number"),
        ("fusion: {preserve_shrinkage: 0}", "fusion.preserve_shrinkage: 0.0; allowed: above 0"),
        ("network: {inter_heads: 0}", "network.inter_heads: 0; allowed: above 0"),
        ("network: {layers: true}", "network.layers: True; allowed: a whole number"),
        ("network:", "network: None; allowed: keys with values"),
        ("consolidation: {start: -1}", "consolidation.start: -1; allowed: 0 (never) or more"),
        ("consolidation: {growth: 1}", "consolidation.growth: 1.0; allowed: above 1"),
        ("consolidation: {steps: 0}", "consolidation.steps: 0; allowed: above 0"),
        ("consolidation: {texts: 0}", "consolidation.texts: 0; allowed: above 0"),
        ("consolidation: {rate: 0}", "consolidation.rate: 0.0; allowed: above 0"),
        (
            "consolidation: {momentum: 1}",
            "consolidation.momentum: 1.0; allowed: 0 or more, below 1",
        ),
        ("consolidation: {made_up: 1.1}", "consolidation.made_up: 1.1; allowed: 0 to 1"),
        ("consolidation: {exchanged: -0.1}", "consolidation.exchanged: -0.1; allowed: 0 to 1"),
        ("consolidation: {locality: -1}", "consolidation.locality: -1.0; allowed: 0 or more"),
        ("consolidation: {damping: 0}", "consolidation.damping: 0.0; allowed: above 0"),
        ("consolidation: {room: -1}", "consolidation.room: -1.0; allowed: above 0"),
        ("consolidation: {autocast: 1}", "consolidation.autocast: 1; allowed: true or false"),
        (
            "consolidation: {begin: 1}",
            "consolidation.begin: unknown key",
        ),
    ],
)
def test_each_wrong_value_is_named_with_what_is_allowed(
    tmp_path: Path, text: str, problem: str
) -> None:
    assert problems_of(write(tmp_path, GOOD + text + "\n")) == [problem]


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("edit_modules: []", "edit_modules: []; at least one module name is needed"),
        ("edit_modules: h.0", "edit_modules: 'h.0'; allowed: a list of text"),
        ("edit_modules: [1]", "edit_modules: [1]; allowed: a list of text"),
    ],
)
def test_modules_are_a_list_of_names(tmp_path: Path, text: str, problem: str) -> None:
    assert problems_of(write(tmp_path, "model_name: gpt2\n" + text)) == [problem]


def test_a_model_name_that_is_no_name(tmp_path: Path) -> None:
    found = problems_of(write(tmp_path, "model_name: 3\nedit_modules: [a]\n"))
    assert found == ["model_name: 3; allowed: a directory or a hub name"]


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("alg: MEND", "alg: 'MEND'; allowed: 'DAFNET'"),
        ("opt: SGD", "opt: 'SGD'; allowed: Adam, AdamW"),
        ("lr: 0", "lr: 0.0; allowed: above 0"),
        ("lr_lr: -1", "lr_lr: -1.0; allowed: 0 or more"),
        ("cloc: -0.5", "cloc: -0.5; allowed: 0 or more"),
        ("decay_share: 1.5", "decay_share: 1.5; allowed: 0 to 1"),
        ("ctext: 0.1", "ctext: 0.1; needs text_path"),
        ("val_edits: [1, 0]", "val_edits: [1, 0]; allowed: numbers of at least 1"),
        ("val_edits: []", "val_edits: []; allowed: numbers of at least 1"),
        ("max_iters: 0", "max_iters: 0; allowed: above 0"),
        ("max_iters: -5", "max_iters: -5; allowed: above 0"),
        ("max_seconds: 0", "max_seconds: 0; allowed: above 0"),
        ("threads: 0", "threads: 0; allowed: above 0"),
        ("max_iters:", "max_iters, max_epochs and max_seconds are all null; one is needed"),
    ],
)
def test_each_wrong_value_of_training_is_named(tmp_path: Path, text: str, problem: str) -> None:
    found = problems_of(write(tmp_path, GOOD + text + "\n"), DAFNetTrainingHparams)
    assert found == [problem]


def test_a_key_given_twice_is_named_with_its_line(tmp_path: Path) -> None:
    for text, line in (
        ("batch_size: 1\nbatch_size: 2\n", 4),
        ("network:\n  layers: 1\n  layers: 2\n", 5),
    ):
        with pytest.raises(ConfigError, match=r"tiny\.yaml.*key '\w+' is given twice") as caught:
            DAFNetHparams.read(write(tmp_path, GOOD + text))
        assert f"line {line}" in str(caught.value)


@pytest.mark.parametrize(
    "text",
    ["a: [1, 2", "a: b: c", "\tb: 1", "{", "? [a, b]\n: 1\n", "? {a: b}\n: 1\n", "!!python/x 1"],
)
def test_text_that_is_not_yaml_is_named_with_file_and_line(tmp_path: Path, text: str) -> None:
    with pytest.raises(ConfigError, match=r"tiny\.yaml: (line \d+: )?not YAML"):
        DAFNetHparams.read(write(tmp_path, text))


@pytest.mark.parametrize(
    ("text", "value"), [("", "None"), ("- a\n- b\n", "['a', 'b']"), ("7", "7")]
)
def test_yaml_that_is_no_mapping_is_named(tmp_path: Path, text: str, value: str) -> None:
    found = problems_of(write(tmp_path, text))
    assert found == [f"the file: {value}; allowed: keys with values"]


def test_missing_files_folders_and_other_encodings_are_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"none\.yaml: cannot be read: No such file"):
        DAFNetHparams.read(tmp_path / "none.yaml")
    with pytest.raises(ConfigError, match="cannot be read"):
        DAFNetHparams.read(tmp_path)
    (tmp_path / "latin.yaml").write_bytes("model_name: é".encode("latin-1"))
    with pytest.raises(ConfigError, match=r"latin\.yaml: byte 12 is not UTF-8"):
        DAFNetHparams.read(tmp_path / "latin.yaml")


def shipped() -> list[Path]:
    folder = ROOT / "hparams"
    return sorted(path for path in folder.rglob("*.yaml") if "DAFNET" in path.parts)


@pytest.mark.parametrize("path", shipped(), ids=lambda path: str(path.relative_to(ROOT)))
def test_shipped_files_are_valid_and_the_paper_ones_depart_in_nothing(path: Path) -> None:
    kind = DAFNetTrainingHparams if "TRAINING" in path.parts else DAFNetHparams
    hparams = kind.read(path)
    if path.stem.endswith("-paper"):
        assert hparams.fusion.kind == "running_mean"
        assert (hparams.network.block, hparams.network.gate) == ("paper", "paper")
        assert hparams.network.normaliser in ("exact_batch_norm", "batch_norm", "layer_norm")
