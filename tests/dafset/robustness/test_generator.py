"""Contexts written by a language model: checked, seeded, and what goes wrong."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from dafnet_plugin.dafset.robustness import (
    Cell,
    ContextConfig,
    ContextMaker,
    GeneratedSource,
    Subject,
)
from dafnet_plugin.dafset.robustness.generator import prompt_for
from dafnet_plugin.errors import ModelError, NumericalError

ADA = Subject("a", "Ada", ("Rome",), ("Ada plays the piano",), ("Bo lives in Oslo",))
CELLS = [Cell("short", "related", "neutral"), Cell("medium", "unrelated", "positive")]


@pytest.fixture(scope="module")
def model(tiny_models: dict[str, Path]) -> str:
    """A model that writes nonsense."""
    return str(tiny_models["gpt2"])


def test_the_model_is_asked_for_what_the_cell_says() -> None:
    assert prompt_for(ADA, CELLS[0]) == "A neutral sentence about Ada, of 1 to 8 words:"
    assert "Ada" not in prompt_for(ADA, CELLS[1]) and "positive" in prompt_for(ADA, CELLS[1])


def test_texts_are_the_same_for_the_same_seed(model: str) -> None:
    import torch

    def texts(seed: int) -> list[list[str]]:
        source = GeneratedSource(model, seed=seed, max_new_tokens=12, batch_size=1)
        source.prepare([(ADA, cell) for cell in CELLS])
        return [list(source.candidates(ADA, cell, None)) for cell in CELLS]  # type: ignore[arg-type]

    state = torch.random.get_rng_state()
    assert texts(0) == texts(0) != texts(1)
    assert torch.equal(state, torch.random.get_rng_state()), "the user's generator is left alone"
    assert all(len(found) == 2 for found in texts(0))


def test_nonsense_is_not_taken_and_others_step_in(model: str) -> None:
    source = GeneratedSource(model, max_new_tokens=12)
    maker = ContextMaker(ContextConfig(per_sample=6), generated=source)
    made = maker.contexts(ADA)
    assert len(made) == 6
    for context in made:
        assert context.cell.content != "distracting" or context.source != "generated"
        assert maker.scorer.label(context.text) == context.cell.sentiment


def test_what_a_model_writes_well_goes_first() -> None:
    class Writer:
        name = "generated"

        def candidates(self, subject: Subject, cell: Cell, rng: object) -> list[str]:
            return [
                "Rome is nice",
                f"today {subject.name} met Ben in town",
                "the train was on the way",
            ]

    maker = ContextMaker(ContextConfig(per_sample=27), generated=Writer())  # type: ignore[arg-type]
    written = {c.text: c.cell for c in maker.contexts(ADA) if c.source == "generated"}
    assert written == {
        "Today Ada met Ben in town.": Cell("short", "related", "neutral"),
        "The train was on the way.": Cell("short", "unrelated", "neutral"),
    }


def test_a_model_that_yields_nan_is_named(model: str, tmp_path: Path) -> None:
    import torch
    from transformers import AutoModelForCausalLM

    broken = tmp_path / "broken-gpt2"
    shutil.copytree(model, broken)
    loaded = AutoModelForCausalLM.from_pretrained(model)
    with torch.no_grad():
        loaded.transformer.ln_f.weight.fill_(float("nan"))
    loaded.save_pretrained(broken)
    source = GeneratedSource(str(broken), max_new_tokens=4)
    with pytest.raises(NumericalError, match=r"broken-gpt2' yields NaN after 'A neutral sentence"):
        source.prepare([(ADA, CELLS[0])])


def test_a_model_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=r"contexts: model .*nowhere' cannot be loaded"):
        GeneratedSource(str(tmp_path / "nowhere"))
