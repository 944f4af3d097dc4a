"""Checkpoints come back bit for bit, survive a full disk, and say what is wrong with them."""

from __future__ import annotations

import errno
import json
import logging
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from safetensors.torch import load_file, save_file

from dafnet_plugin.artifacts.checkpoint import Checkpoint, load_checkpoint, save_checkpoint
from dafnet_plugin.editing.dafnet import DAFNet
from dafnet_plugin.editing.editor import DAFNetEditor
from dafnet_plugin.editing.scope import Paraphrase
from dafnet_plugin.errors import CheckpointError, ConfigError
from dafnet_plugin.files import sha256
from dafnet_plugin.hparams import DAFNetHparams
from dafnet_plugin.tokens import Encoded
from dafnet_plugin.training.build import build_editor, trained_dafnet
from tests.helpers import (
    FAMILIES,
    MODULES,
    bits,
    dafnet_for,
    model,
    random_dafnet,
    random_signal,
    requests,
    tokenizer,
)

NAMES = ("first", "second")
SHAPES = [(3, 4), (4, 3)]


def make(seed: int = 0, **settings: Any) -> DAFNet:
    dafnet = random_dafnet(SHAPES, seed=seed, **{"kind": "least_squares", **settings})
    dafnet.standardise_on([random_signal([9], *shape, dtype=torch.float32) for shape in SHAPES])
    if dafnet.fusion.kind == "least_squares":
        dafnet.preserve([torch.diag(torch.arange(1.0, d_in + 1)) for d_in, _ in SHAPES])
    return dafnet


def saved(folder: Path, seed: int = 0, **settings: Any) -> Checkpoint:
    checkpoint = Checkpoint(make(seed, **settings), NAMES, {"seed": seed, "note": "é"})
    save_checkpoint(checkpoint, folder)
    return checkpoint


@pytest.mark.parametrize(
    "settings",
    [
        {"normaliser": "standardise", "block": "residual"},
        {"normaliser": "exact_batch_norm", "kind": "running_mean", "gate": "paper"},
        {"normaliser": "batch_norm", "kind": "sum", "edit_bias": True, "layers": 1},
    ],
)
def test_a_checkpoint_comes_back_bit_for_bit(tmp_path: Path, settings: dict[str, Any]) -> None:
    before, after = saved(tmp_path, **settings), load_checkpoint(tmp_path)
    assert bits(after.dafnet.state_dict()) == bits(before.dafnet.state_dict())
    assert after.dafnet.fusion == before.dafnet.fusion
    assert after.dafnet.edit_bias == before.dafnet.edit_bias
    assert after.dafnet.network_of(0).config == before.dafnet.network_of(0).config
    assert (after.edit_modules, after.training) == (NAMES, {"seed": 0, "note": "é"})
    signals = [random_signal([2, 3], *shape, dtype=torch.float32) for shape in SHAPES]
    with torch.no_grad():
        ours, expected = (c.dafnet.eval()(signals).updates for c in (after, before))
    assert all(torch.equal(a.weight, b.weight) for a, b in zip(ours, expected, strict=True))


def test_the_same_dafnet_gives_the_same_bytes(tmp_path: Path) -> None:
    for name in ("one", "other"):
        saved(tmp_path / name)
    for file in ("dafnet.json", "dafnet.safetensors"):
        assert (tmp_path / "one" / file).read_bytes() == (tmp_path / "other" / file).read_bytes()


@pytest.mark.parametrize("family", FAMILIES)
def test_edit_save_load_edit_equals_never_having_stopped(tmp_path: Path, family: str) -> None:
    facts = requests(5)
    dafnet = dafnet_for(model(family), family, kind="least_squares", normaliser="layer_norm")
    save_checkpoint(Checkpoint(dafnet, tuple(MODULES[family]), {}), tmp_path)
    through = DAFNetEditor(model(family), tokenizer(), dafnet, MODULES[family])
    stopped = DAFNetEditor(
        model(family), tokenizer(), load_checkpoint(tmp_path).dafnet, MODULES[family]
    )
    for one in (through, stopped):
        one.edit(facts[:3])
        one.edit(facts[3:])
    assert bits(through.model.state_dict()) == bits(stopped.model.state_dict())


@pytest.mark.parametrize("file", ["dafnet.safetensors", "dafnet.json"])
def test_a_full_disk_leaves_the_old_checkpoint_whole(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, file: str
) -> None:
    before = saved(tmp_path)
    held = {path.name: path.read_bytes() for path in tmp_path.iterdir()}

    def fill_at(name: str, data: bytes, path: Path) -> None:
        if file in path.name:
            with open(path, "wb") as half:
                half.write(data[: len(data) // 2])
            raise OSError(errno.ENOSPC, "No space left on device", str(path))
        with open(path, "wb") as whole:
            whole.write(data)

    with monkeypatch.context() as patch:
        patch.setattr(Path, "write_bytes", lambda self, data: fill_at("bytes", data, self))
        patch.setattr(
            Path, "write_text", lambda self, text, **_: fill_at("text", text.encode(), self)
        )
        with pytest.raises(OSError, match="No space left"):
            saved(tmp_path, seed=1)
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == held
    assert bits(load_checkpoint(tmp_path).dafnet.state_dict()) == bits(before.dafnet.state_dict())


def change_config(folder: Path, **changes: Any) -> None:
    config = json.loads((folder / "dafnet.json").read_text())
    config |= {key: value for key, value in changes.items() if value is not None}
    for key in [key for key, value in changes.items() if value is None]:
        del config[key]
    (folder / "dafnet.json").write_text(json.dumps(config))


@pytest.mark.parametrize("file", ["dafnet.safetensors", "dafnet.json"])
def test_a_missing_file_is_named(tmp_path: Path, file: str) -> None:
    saved(tmp_path)
    (tmp_path / file).unlink()
    with pytest.raises(CheckpointError, match=rf"no DAFNet checkpoint here \({file} is missing\)"):
        load_checkpoint(tmp_path)


@pytest.mark.parametrize("file", ["dafnet.safetensors", "dafnet.json"])
@pytest.mark.parametrize("damage", ["cut", "empty", "garbage"])
def test_a_damaged_file_is_an_error(tmp_path: Path, file: str, damage: str) -> None:
    saved(tmp_path)
    path = tmp_path / file
    data = path.read_bytes()
    new = {"cut": data[: len(data) // 2], "empty": b"", "garbage": b"\xff\x00" * 100}
    path.write_bytes(new[damage])
    with pytest.raises(CheckpointError, match="damaged"):
        load_checkpoint(tmp_path)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"format": 99}, "format 99; this version reads 1"),
        ({"format": None}, "'format' is missing"),
        ({"training": None}, "'training' is missing"),
        ({"edit_modules": None}, "'edit_modules' is missing"),
        ({"shapes": [[3, 4, 5]]}, "damaged"),
        ({"shapes": [[3, 4], [4, 5]]}, "damaged"),
        ({"network": {"depth": 3}}, "damaged.*depth"),
        ({"fusion": {"kind": "sum"}}, "damaged.*key_moment_0"),
    ],
)
def test_a_config_of_another_format_or_shape_is_an_error(
    tmp_path: Path, changes: dict[str, Any], message: str
) -> None:
    saved(tmp_path)
    change_config(tmp_path, **changes)
    with pytest.raises(CheckpointError, match=rf"(?s){message}"):
        load_checkpoint(tmp_path)


def test_a_tensor_of_another_shape_is_named(tmp_path: Path) -> None:
    saved(tmp_path)
    tensors = load_file(tmp_path / "dafnet.safetensors")
    tensors["key_moment_1"] = torch.eye(7)
    save_file(tensors, tmp_path / "dafnet.safetensors")
    with pytest.raises(CheckpointError, match=r"key_moment_1.*\[7, 7\].*\[4, 4\]"):
        load_checkpoint(tmp_path)


def hparams(archive: str | None, modules: list[str], **given: Any) -> DAFNetHparams:
    return DAFNetHparams.from_dict(
        {"model_name": "gpt2", "edit_modules": modules, "archive": archive, **given}
    )


def test_an_archive_is_needed_and_has_to_be_for_the_modules_named(tmp_path: Path) -> None:
    base = model("gpt2")
    with pytest.raises(ConfigError, match="archive: null; a trained DAFNet is needed"):
        trained_dafnet(hparams(None, MODULES["gpt2"]), base)
    with pytest.raises(CheckpointError, match="no DAFNet checkpoint here"):
        trained_dafnet(hparams(str(tmp_path / "none"), MODULES["gpt2"]), base)
    dafnet = dafnet_for(base, "gpt2")
    save_checkpoint(Checkpoint(dafnet, tuple(MODULES["gpt2"]), {}), tmp_path)
    with pytest.raises(CheckpointError, match=r"trained for the modules.*edit_modules is \['x'\]"):
        trained_dafnet(hparams(str(tmp_path), ["x"]), base)
    loaded = trained_dafnet(hparams(str(tmp_path), MODULES["gpt2"]), base)
    assert bits(loaded.dafnet.state_dict()) == bits(dafnet.state_dict())


def test_weights_of_another_training_are_refused(tmp_path: Path) -> None:
    saved(tmp_path)
    tensors = load_file(tmp_path / "dafnet.safetensors")
    tensors["edit_lrs"] = tensors["edit_lrs"] + 1
    save_file(tensors, tmp_path / "dafnet.safetensors")
    with pytest.raises(CheckpointError, match=r"not the file that dafnet\.json was written with"):
        load_checkpoint(tmp_path)


TEXTS = st.lists(st.integers(0, 200_000), min_size=2, max_size=6).flatmap(
    lambda ids: st.builds(Encoded, st.just(tuple(ids)), st.integers(1, len(ids) - 1))
)


@given(
    replay=st.lists(TEXTS, max_size=8),
    paraphrases=st.lists(st.builds(Paraphrase, TEXTS, TEXTS), max_size=4),
)
def test_texts_come_back_as_they_were(
    replay: list[Encoded],
    paraphrases: list[Paraphrase],
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    folder = tmp_path_factory.mktemp("texts")
    save_checkpoint(Checkpoint(make(), NAMES, {}, tuple(replay), tuple(paraphrases)), folder)
    loaded = load_checkpoint(folder)
    assert loaded.replay == tuple(replay)
    assert loaded.paraphrases == tuple(paraphrases)


def without_replay(folder: Path, *names: str) -> None:
    """Take replay tensors from a checkpoint, as if it had been written so."""
    weights = folder / "dafnet.safetensors"
    tensors = load_file(weights)
    save_file({k: v for k, v in tensors.items() if k not in names}, weights)
    change_config(folder, weights_sha256=sha256(weights))


REPLAY = (Encoded((1, 2, 3), 1), Encoded((4, 5), 1))


def test_old_checkpoints_have_no_replay_and_damaged_replay_is_an_error(tmp_path: Path) -> None:
    save_checkpoint(Checkpoint(make(), NAMES, {}, REPLAY), tmp_path)
    without_replay(tmp_path, "replay.lengths")
    with pytest.raises(CheckpointError, match="damaged"):
        load_checkpoint(tmp_path)
    without_replay(tmp_path, "replay.ids", "replay.target_starts")
    assert load_checkpoint(tmp_path).replay == ()
    without_replay(tmp_path, *(f"paraphrases.{name}" for name in ("ids", "lengths")))
    with pytest.raises(CheckpointError, match="damaged"):
        load_checkpoint(tmp_path)
    without_replay(tmp_path, "paraphrases.target_starts")
    assert load_checkpoint(tmp_path).paraphrases == ()


@pytest.mark.parametrize("kind", ["least_squares", "running_mean", "sum"])
def test_consolidation_needs_text(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, kind: str
) -> None:
    base, modules = model("gpt2"), MODULES["gpt2"]
    save_checkpoint(Checkpoint(dafnet_for(base, "gpt2", kind=kind), tuple(modules), {}), tmp_path)
    settings = hparams(str(tmp_path), modules)
    with caplog.at_level(logging.WARNING):
        assert build_editor(settings, base, tokenizer()).consolidation is None
    assert ("long sequences are not consolidated" in caplog.text) == (kind == "least_squares")
    with pytest.raises(ConfigError, match=r"consolidation.start: 7; allowed: 0, since .* no text"):
        given = hparams(str(tmp_path), modules, consolidation={"start": 7})
        build_editor(given, base, tokenizer())
    never = hparams(str(tmp_path), modules, consolidation={"start": 0})
    assert build_editor(never, base, tokenizer()).consolidation is None


def test_an_editor_consolidates_with_the_checkpoints_text(tmp_path: Path) -> None:
    base, modules = model("gpt2"), MODULES["gpt2"]
    dafnet = dafnet_for(base, "gpt2", kind="least_squares")
    foreign = Encoded((1, 10**6), 1)
    pair, bad = Paraphrase(*REPLAY), Paraphrase(REPLAY[0], foreign)
    for replay, pairs, problem in (
        (REPLAY, (pair,), None),
        ((*REPLAY, foreign), (pair,), "token of 1000000; this model allows"),
        (REPLAY, (pair, bad), "token of 1000000; this model allows"),
        ((*REPLAY, Encoded((1,) * 66, 1)), (), "length of 65; this model allows 64"),
    ):
        save_checkpoint(Checkpoint(dafnet, tuple(modules), {}, replay, pairs), tmp_path)
        settings = hparams(str(tmp_path), modules, consolidation={"start": 7, "rate": 0.1})
        if problem:
            with pytest.raises(CheckpointError, match=f"text has a {problem}"):
                build_editor(settings, base, tokenizer())
        else:
            built = build_editor(settings, base, tokenizer()).consolidation
            assert built is not None
            assert (built.replay, built.paraphrases) == (replay, pairs)
            assert (built.until(0), built.config.rate) == (7, 0.1)


def test_a_checkpoint_without_paraphrases_says_so(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    base, modules = model("gpt2"), MODULES["gpt2"]
    dafnet = dafnet_for(base, "gpt2", kind="least_squares")
    save_checkpoint(Checkpoint(dafnet, tuple(modules), {}, REPLAY), tmp_path)
    with caplog.at_level(logging.WARNING):
        build_editor(hparams(str(tmp_path), modules), base, tokenizer())
    assert "keeps no paraphrases" in caplog.text
    caplog.clear()
    with caplog.at_level(logging.WARNING):
        unmoved = hparams(str(tmp_path), modules, consolidation={"scope": 0})
        build_editor(unmoved, base, tokenizer())
    assert not caplog.text, "they are not asked for"
