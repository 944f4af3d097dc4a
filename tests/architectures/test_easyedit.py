"""Scaled-down models of every architecture through both versions of EasyEdit."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from dafnet_plugin.architectures.published import published_models
from tests.architectures.conftest import Trained
from tests.architectures.scaled import ARCHITECTURES
from tests.easyedit.conftest import RunPython, require_easyedit, run_python

__all__ = ["run_python"]

WORKER = Path(__file__).with_name("easyedit_worker.py")
# In which names each version finds a word it knows; the others are loaded for it.
KNOWN = {
    "wheel": {"gpt2", "gpt-j-6B", "llama-7b", "llama3.2-1b"},
    "git": {
        *("gpt2", "gpt-j-6B", "llama-7b", "llama3.2-1b"),
        *("mistral-7b", "qwen2.5-0.5b", "qwen3-0.6b"),
    },
}


@pytest.fixture(scope="session")
def reports() -> dict[str, dict[str, Any]]:
    """What the workers reported so far, by version."""
    return {}


@pytest.fixture(params=["wheel", "git"])
def version(
    request: pytest.FixtureRequest,
    reports: dict[str, dict[str, Any]],
    scaled: Callable[[str], Trained],
    run_python: RunPython,
    tmp_path_factory: pytest.TempPathFactory,
) -> str:
    """A version of EasyEdit that has edited every model; its process runs once per session."""
    name: str = request.param
    require_easyedit(name)
    if name not in reports:
        folder = tmp_path_factory.mktemp(f"edited-{name}")
        settings = {model: scaled(model).hparams for model in ARCHITECTURES}
        settings["gpt2-in-bfloat16"] = {**settings["gpt2"], "dtype": "bfloat16"}
        settings["llama-in-lora"] = {**settings["llama3.2-1b"], "peft": True}
        settings["gemma-patched"] = {
            "alg_name": "TPATCHER",
            "model_name": settings["gemma-2-2b"]["model_name"],
            "edit_modules": ["model.layers.1.mlp"],
            "dtype": "bfloat16",
            "steps": 5,
        }
        (folder / "settings.json").write_text(json.dumps(settings))
        done = run_python(name, str(WORKER), "settings.json", "report.json", cwd=folder)
        assert done.returncode == 0, done.stderr[-4000:]
        reports[name] = json.loads((folder / "report.json").read_text())
    return name


@pytest.mark.parametrize("name", ARCHITECTURES)
def test_easyedit_edits_and_restores(
    name: str,
    version: str,
    reports: dict[str, dict[str, Any]],
    scaled: Callable[[str], Trained],
) -> None:
    report = reports[version][name]
    assert "error" not in report, report["error"]
    assert report["class"] == published_models()[name].model_class
    assert report["known"] == (name in KNOWN[version])
    assert report["restored"] == []
    expected = {f"{module}.weight" for module in scaled(name).read().edit_modules}
    assert set(report["changed"]) == expected
    assert report["scored"] == [1, 1]
    assert report["reloads"]


def test_a_precision_that_easyedit_does_not_know_is_loaded(
    version: str, reports: dict[str, dict[str, Any]]
) -> None:
    report = reports[version]["gpt2-in-bfloat16"]
    assert "error" not in report, report["error"]
    assert report["dtype"] == "torch.bfloat16"
    assert report["restored"] == [] and report["changed"]


def test_other_methods_are_given_what_easyedit_cannot_load(
    version: str, reports: dict[str, dict[str, Any]]
) -> None:
    report = reports[version]["gemma-patched"]
    assert "error" not in report, report["error"]
    assert report["class"] == "Gemma2ForCausalLM" and report["dtype"] == "torch.bfloat16"
    assert report["restored"] == []
    assert all(name.startswith("model.layers.1.mlp.") for name in report["changed"])
    assert report["changed"] and report["scored"] == [1, 1]


def test_a_model_that_peft_wraps_is_edited_and_restored(
    version: str, reports: dict[str, dict[str, Any]]
) -> None:
    report = reports[version]["llama-in-lora"]
    assert "error" not in report, report["error"]
    assert report["class"] == "PeftModel" and report["restored"] == []
    assert report["changed"] and not any("lora" in name for name in report["changed"])
    assert any(name.endswith("down_proj.base_layer.weight") for name in report["changed"])
