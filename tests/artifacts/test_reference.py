"""Importing the published format: the same network, and no code of the file is run."""

from __future__ import annotations

import pickle
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from dafnet_plugin.artifacts.checkpoint import load_reference_checkpoint
from dafnet_plugin.artifacts.reference import network_state_from_reference, our_name
from dafnet_plugin.editing.dafnet import DAFNet
from dafnet_plugin.errors import CheckpointError
from tests.helpers import SMALL, bits, random_dafnet

SHAPES = [(3, 4), (4, 3), (3, 4)]
# Written out here so that a slip in the table of the importer shows.
THEIRS = {
    "intra.transform": "inner_att.trans1",
    "intra.score": "inner_att.trans2",
    "inter.query": "outer_att.lq",
    "inter.key": "outer_att.lk",
    "inter.value": "outer_att.lv",
    "inter.output": "outer_att.lo",
    "scale_attention.query": "outer_att_score.lq",
    "scale_attention.key": "outer_att_score.lk",
    "ffn_in": "feedforward.fc1",
    "ffn_out": "feedforward.fc2",
    "norm_intra": "layer_norm1",
    "norm_inter": "layer_norm2",
    "norm_ffn": "layer_norm3",
    "module_scale": "mode_scale",
    "module_shift": "mode_shift",
}


def their_name(name: str) -> str:
    if name.startswith("normaliser."):
        return "norm_layer." + name.removeprefix("normaliser.")
    _, depth, rest = name.split(".", 2)
    ours = max((key for key in THEIRS if rest.startswith(key + ".")), key=len)
    return f"dafnet_model.layers.{depth}.{THEIRS[ours]}{rest.removeprefix(ours)}"


def published(dafnet: DAFNet) -> dict[str, Any]:
    networks = {
        str(shape): {
            their_name(name): tensor
            for name, tensor in dafnet.network_of(number).state_dict().items()
        }
        for number, shape in enumerate(SHAPES)
    }
    rates = {str(number): lr.detach().clone() for number, lr in enumerate(dafnet.edit_lrs)}
    return {"aux_models": [networks], "edit_lrs": rates}


def make() -> DAFNet:
    dafnet = random_dafnet(SHAPES, kind="running_mean", **vars(SMALL))
    with torch.no_grad():
        dafnet.edit_lrs.copy_(torch.tensor([0.1, 0.2, 0.3]))
    return dafnet


def load(path: Path, shapes: list[tuple[int, int]] = SHAPES) -> DAFNet:
    return load_reference_checkpoint(path, shapes=shapes, network=SMALL, edit_bias=False)


def test_a_published_checkpoint_gives_the_same_network(tmp_path: Path) -> None:
    dafnet = make()
    torch.save(published(dafnet), tmp_path / "official.pt")
    assert bits(load(tmp_path / "official.pt").state_dict()) == bits(dafnet.state_dict())


def test_a_name_the_format_does_not_have_is_an_error() -> None:
    with pytest.raises(KeyError):
        our_name("dafnet_model.layers.0.outer_att.lz.weight")
    with pytest.raises(KeyError):
        network_state_from_reference({"dafnet_model.layers.0.extra.weight": torch.zeros(1)})


class Trap:
    """Creates a file when it is unpickled."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Any, ...]:
        return Path.touch, (self.path,)


@pytest.mark.parametrize("plain_pickle", [False, True])
def test_a_file_with_code_in_it_is_refused_and_the_code_is_not_run(
    tmp_path: Path, plain_pickle: bool
) -> None:
    path, sprung = tmp_path / "official.pt", tmp_path / "sprung"
    data = published(make()) | {"extra": Trap(sprung)}
    if plain_pickle:
        path.write_bytes(pickle.dumps({"aux_models": [{}], "extra": Trap(sprung)}, protocol=2))
    else:
        torch.save(data, path)
    with pytest.raises(CheckpointError, match=r"official\.pt: refused, it holds more than tensors"):
        load(path)
    assert not sprung.exists()
    torch.load(path, weights_only=False) if not plain_pickle else pickle.loads(path.read_bytes())
    assert sprung.exists(), "the trap of this test does not work"


@pytest.mark.parametrize("content", [b"", b"not a checkpoint", b"PK\x03\x04 cut"])
def test_a_file_of_another_kind_is_an_error(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "official.pt").write_bytes(content)
    with pytest.raises(CheckpointError, match=r"official\.pt"):
        load(tmp_path / "official.pt")


def test_a_missing_or_cut_file_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match=r"official\.pt: not a published.*No such file"):
        load(tmp_path / "official.pt")
    torch.save(published(make()), tmp_path / "official.pt")
    data = (tmp_path / "official.pt").read_bytes()
    (tmp_path / "official.pt").write_bytes(data[: len(data) // 2])
    with pytest.raises(CheckpointError, match=r"official\.pt"):
        load(tmp_path / "official.pt")


def without(state: dict[str, Tensor], end: str) -> dict[str, Tensor]:
    return {name: tensor for name, tensor in state.items() if not name.endswith(end)}


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda d: d.pop("edit_lrs"), "not a published DAFNet checkpoint"),
        (lambda d: d.update(aux_models=[]), "not a published DAFNet checkpoint"),
        (lambda d: d.update(aux_models=[[1, 2]]), "not a published DAFNet checkpoint"),
        (lambda d: d["edit_lrs"].pop("2"), r"and 2 modules; the model needs .* and 3"),
        (lambda d: d["aux_models"][0].pop("(4, 3)"), r"the model needs \['\(3, 4\)', '\(4, 3\)'\]"),
        (lambda d: d["aux_models"][0].update({"(4, 3)": 5}), r"network \(4, 3\) does not fit"),
        (
            lambda d: d["aux_models"][0]["(4, 3)"].update({"short": torch.zeros(1)}),
            r"network \(4, 3\) does not fit",
        ),
        (
            lambda d: d["aux_models"][0]["(3, 4)"].update(
                {"dafnet_model.layers.0.feedforward.fc1.weight": torch.zeros(2, 2)}
            ),
            r"(?s)network \(3, 4\) does not fit.*ffn_in.weight.*\[2, 2\].*\[8, 7\]",
        ),
        (
            lambda d: d["aux_models"][0].update(
                {"(4, 3)": without(d["aux_models"][0]["(4, 3)"], "lq.weight")}
            ),
            r"(?s)network \(4, 3\) does not fit.*inter.query.weight",
        ),
    ],
)
def test_what_does_not_fit_is_named(tmp_path: Path, damage: Any, message: str) -> None:
    data = published(make())
    damage(data)
    torch.save(data, tmp_path / "official.pt")
    with pytest.raises(CheckpointError, match=message):
        load(tmp_path / "official.pt")
