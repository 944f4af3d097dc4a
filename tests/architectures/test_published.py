"""The table of published models, and the shipped hyper-parameter files against it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from dafnet_plugin.architectures.check import Skeletons, check
from dafnet_plugin.architectures.plan import plan_for
from dafnet_plugin.architectures.published import find_published, published_models
from dafnet_plugin.architectures.skeleton import skeleton_of_published
from dafnet_plugin.architectures.structure import find_mlps
from dafnet_plugin.cli.hparams_files import read_hparams
from dafnet_plugin.editing.modules import find_edit_modules, linear_shape
from dafnet_plugin.errors import ModelError
from dafnet_plugin.hparams import DAFNetTrainingHparams
from dafnet_plugin.methods import own_methods
from dafnet_plugin.schema import DEFAULTS

HPARAMS = Path(__file__).resolve().parents[2] / "hparams"
TABLE = published_models()
REAL = sorted(name for name in TABLE if not name.startswith("tiny-"))
PAPER = ("gpt-j-6B", "llama-7b")
KINDS = {"DAFNET": HPARAMS / "DAFNET", "TRAINING": HPARAMS / "TRAINING" / "DAFNET"}
SHIPPED = sorted(file for name in own_methods() for file in HPARAMS.glob(f"**/{name}/*.yaml"))


@pytest.fixture(scope="module")
def skeletons() -> Skeletons:
    """Each model is built once for all tests of this file."""
    return Skeletons()


@pytest.mark.parametrize("name", TABLE)
def test_dimensions_give_the_published_number_of_parameters(
    name: str, skeletons: Skeletons
) -> None:
    skeleton = skeletons.find(name)
    assert skeleton is not None and skeleton.published == TABLE[name]
    count = sum(p.numel() for p in skeleton.model.parameters())
    assert TABLE[name].parameters in (count, None)
    assert all(p.device.type == "meta" for p in skeleton.model.parameters())


@pytest.mark.parametrize("name", TABLE)
def test_every_matrix_of_every_mlp_has_the_stated_shape(name: str, skeletons: Skeletons) -> None:
    skeleton = skeletons.find(name)
    assert skeleton is not None
    known = dict(skeleton.model.named_modules())
    mlps = find_mlps(skeleton.model)
    assert len(mlps) == skeleton.model.config.num_hidden_layers
    for mlp in mlps:
        assert {m.rpartition(".mlp.")[2] for m in mlp.shapes} == {
            end.removeprefix("mlp.") for end in TABLE[name].linear
        }
        for module, shape in mlp.shapes.items():
            assert linear_shape(known[module]) == shape == TABLE[name].stated_shape(module)


def test_attention_has_no_stated_shape() -> None:
    assert TABLE["gpt2"].stated_shape("transformer.h.0.attn.c_proj") is None
    assert TABLE["gpt2"].stated_shape("transformer.h.0.mlp.c_proj") == (3072, 768)


@pytest.mark.parametrize(
    ("model_name", "name"),
    [
        ("./hugging_cache/gpt2-xl", "gpt2-xl"),
        ("./hugging_cache/gpt2", "gpt2"),
        ("/models/llama-2-7b/", "llama-7b"),
        ("meta-llama/Llama-2-7b-hf", "llama-7b"),
        ("meta-llama/Llama-3.2-1B", "llama3.2-1b"),
        ("C:\\models\\Qwen2.5-7B-Instruct", "qwen2.5-7b"),
        ("EleutherAI/GPT-J-6B", "gpt-j-6B"),
        ("./hugging_cache/gpt2-xxl", None),
        ("my-gpt2", None),
        ("gpt2-finetuned", None),
    ],
)
def test_a_name_means_a_model_as_a_whole_or_not_at_all(model_name: str, name: str | None) -> None:
    found = find_published(model_name, TABLE)
    assert (found.name if found else None) == name


def test_no_two_models_go_by_one_name() -> None:
    names = [name.lower() for entry in TABLE.values() for name in (entry.name, *entry.names)]
    assert len(set(names)) == len(names)


def test_a_class_that_transformers_lacks_is_named() -> None:
    from dataclasses import replace

    with pytest.raises(ModelError, match=r"gpt2: transformers .* has no class 'GPT9LMHeadModel'"):
        skeleton_of_published(replace(TABLE["gpt2"], model_class="GPT9LMHeadModel"))


@pytest.mark.parametrize("file", SHIPPED, ids=lambda file: str(file.relative_to(HPARAMS)))
def test_shipped_files_fit_their_models(file: Path, skeletons: Skeletons) -> None:
    hparams = read_hparams(file)
    skeleton = skeletons.find(hparams.model_name)
    assert skeleton is not None and skeleton.published is not None  # not just the schema
    assert file.stem.removesuffix("-paper") == skeleton.published.name
    findings = check(hparams, skeleton, str(file))
    assert (findings.plan is None) == (hparams.METHOD != "DAFNET")
    assert findings.plan is None or findings.plan.network_parameters > 0


@pytest.mark.parametrize("name", REAL)
def test_each_model_has_both_files_of_the_same_modules_and_sizes(
    name: str, skeletons: Skeletons
) -> None:
    for end in ["", "-paper"] if name in PAPER else [""]:
        editing, training = (read_hparams(f / f"{name}{end}.yaml") for f in KINDS.values())
        assert editing.model_name == training.model_name
        assert editing.edit_modules == training.edit_modules
        assert isinstance(training, DAFNetTrainingHparams)
        where = Path(training.results_dir, "models", "DAFNET", Path(training.model_name).name)
        assert Path(editing.archive or "") == where
        skeleton = skeletons.find(editing.model_name)
        assert skeleton is not None
        modules = find_edit_modules(skeleton.model, editing.edit_modules)
        plans = [plan_for(hparams, skeleton.model, modules) for hparams in (editing, training)]
        assert plans[0] == plans[1]


@pytest.mark.parametrize("name", REAL)
def test_defaults_edit_the_last_matrix_of_the_last_three_mlps(
    name: str, skeletons: Skeletons
) -> None:
    skeleton = skeletons.find(name)
    assert skeleton is not None
    expected = [mlp.writer for mlp in find_mlps(skeleton.model)[-3:]]
    assert read_hparams(KINDS["DAFNET"] / f"{name}.yaml").edit_modules == expected


@pytest.mark.parametrize("name", PAPER)
@pytest.mark.parametrize("kind", KINDS)
def test_paper_files_say_what_the_paper_says(name: str, kind: str, skeletons: Skeletons) -> None:
    hparams: Any = read_hparams(KINDS[kind] / f"{name}-paper.yaml")
    skeleton = skeletons.find(hparams.model_name)
    assert skeleton is not None
    mlps = find_mlps(skeleton.model)[-3:]
    assert hparams.edit_modules == [m for mlp in mlps for m in (*mlp.readers, mlp.writer)]
    ends = {module.rpartition(".")[2] for module in hparams.edit_modules}
    gpt_j, llama = {"fc_in", "fc_out"}, {"gate_proj", "up_proj", "down_proj"}
    assert ends == (gpt_j if name == "gpt-j-6B" else llama)
    network = hparams.network
    assert (network.layers, network.intra_dim, network.ffn_dim) == (2, 1024, 1536)
    assert (network.inter_dim, network.inter_heads) == (1024, 2)
    assert (network.gate_dim, network.gate_heads) == (256, 2)
    assert (network.normaliser, network.block, network.gate) == (
        *("exact_batch_norm", "paper"),
        "paper",
    )
    assert (hparams.fusion.kind, hparams.fusion.edit_lr) == ("running_mean", 1e-4)
    if kind == "TRAINING":
        assert (hparams.lr, hparams.lr_lr, hparams.max_edits) == (1e-6, 1e-4, 1000)
        assert (hparams.cedit, hparams.cgen, hparams.cloc) == (0.1, 0.1, 0.2)
        assert hparams.curriculum == "plateau"
    else:
        assert hparams.consolidation.start == 0


@pytest.mark.parametrize("kind", ["TPATCHER", "CALINET", "KE", "TRAINING/KE"])
def test_files_of_the_other_methods_have_their_defaults_in_common(kind: str) -> None:
    files = {file.stem: file for file in (HPARAMS / kind).glob("*.yaml")}
    assert files.keys() == {"gpt2-xl", "gpt-j-6B", "llama-7b", "tiny-gpt2", "tiny-llama"}
    own = {"KE": {"archive"}, "TRAINING/KE": {"model_class"}}.get(kind, set())
    for name in files.keys() & set(REAL):
        keys = set(yaml.safe_load(files[name].read_text()))
        assert keys == {DEFAULTS, "model_name", "edit_modules"} | own
        assert read_hparams(files[name]).model_name == (
            read_hparams(KINDS["DAFNET"] / f"{name}.yaml").model_name
        )


@pytest.mark.parametrize("name", [n + end for n in REAL for end in ("", "-paper")])
@pytest.mark.parametrize("kind", KINDS)
def test_a_file_holds_only_what_is_particular_to_its_model(name: str, kind: str) -> None:
    file = KINDS[kind] / f"{name}.yaml"
    if not file.exists():
        assert name.endswith("-paper") and name.removesuffix("-paper") not in PAPER
        return
    own = {"archive"} if kind == "DAFNET" else {"model_class"}
    assert set(yaml.safe_load(file.read_text())) == {
        *(DEFAULTS, "model_name", "edit_modules"),
        *own,
    }
