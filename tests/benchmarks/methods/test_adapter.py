"""Adapters on an ordinary model, without EasyEdit."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

from benchmarks.methods import get_adapter
from benchmarks.methods.asking import ask_one_by_one, target_questions
from dafnet_plugin.cases import EditCase, EditRequest
from dafnet_plugin.editing.scoring import scored_logits
from dafnet_plugin.errors import ConfigError, DataError
from dafnet_plugin.tokens import collate, encode

TEXTS = [
    ("The capital of France is", "Paris"),
    ("Ada was born in", "Michigan, not of Illinois"),
    ("The river flows through the capital of Italy, which is", "Rome"),
]


@pytest.fixture(scope="module", params=["gpt2", "llama"])
def model(request: pytest.FixtureRequest, models: dict[str, Path]) -> tuple[Any, Any]:
    from transformers import AutoModelForCausalLM, AutoTokenizer

    folder = models[request.param]
    loaded = AutoModelForCausalLM.from_pretrained(folder).eval()
    return loaded, AutoTokenizer.from_pretrained(folder)


def case(prompt: str = "Ada was born in", subject: str | None = "Ada") -> EditCase:
    return EditCase("7", EditRequest(prompt, "Rome", subject))


def test_scored_logits_are_those_of_each_text_alone(model: tuple[Any, Any]) -> None:
    plain, tokenizer = model
    texts = encode(tokenizer, TEXTS)
    found = get_adapter("FT").scored_logits(plain, texts, 0)
    assert torch.equal(found, scored_logits(plain, collate(texts, 0)))
    with torch.no_grad():
        alone = ask_one_by_one(plain, target_questions(texts))
    assert torch.allclose(found, alone, atol=1e-4)


@pytest.mark.parametrize("alg_name", ["FT", "GRACE"])
def test_greedy_is_what_generate_says(alg_name: str, model: tuple[Any, Any]) -> None:
    plain, tokenizer = model
    prompts = [tokenizer(prompt)["input_ids"] for prompt, _ in TEXTS]
    found = get_adapter(alg_name).greedy(plain, prompts, 5, tokenizer.eos_token_id)
    for prompt, answer in zip(prompts, found, strict=True):
        ids = torch.tensor([prompt])
        wanted = plain.generate(
            ids,
            attention_mask=torch.ones_like(ids),
            max_new_tokens=5,
            min_new_tokens=5,
            do_sample=False,
            pad_token_id=tokenizer.eos_token_id,
            eos_token_id=None,
        )
        assert answer == wanted[0, len(prompt) :].tolist()


def test_nothing_is_stored_for_an_unedited_model(model: tuple[Any, Any]) -> None:
    plain, _ = model
    base = {n: v.clone() for n, v in [*plain.named_parameters(), *plain.named_buffers()]}
    adapter = get_adapter("FT")
    assert adapter.stored_bytes(plain, base) == 0
    name, weight = next(iter(plain.named_parameters()))
    with torch.no_grad():
        weight += 1
    assert adapter.stored_bytes(plain, base) == weight.numel() * 4
    with torch.no_grad():
        weight.copy_(base[name])


def test_where_it_is_edited() -> None:
    assert get_adapter("ROME").request(case())["subject"] == "Ada was born in"
    assert get_adapter("ROME", edit_at="subject").request(case())["subject"] == "Ada"
    assert get_adapter("FT").request(case())["subject"] == "Ada"
    assert get_adapter("FT").request(case(subject=None))["subject"] == "Ada was born in"


def test_prompts_a_method_cannot_take() -> None:
    with pytest.raises(DataError, match="case 7: MEMIT takes no prompt with braces"):
        get_adapter("MEMIT").request(case("{} was born in"))
    with pytest.raises(DataError, match="case 7: subject 'Bob' is not in the prompt"):
        get_adapter("ROME", edit_at="subject").request(case(subject="Bob"))


def test_bystanders() -> None:
    adapter = get_adapter("WISE")
    names = [f"prompt {i}" for i in range(9)]
    chosen = adapter.request(case(), names)["loc_prompt"]
    assert chosen in names
    assert adapter.request(case(), names)["loc_prompt"] == chosen
    assert adapter.request(case())["loc_prompt"] == "Ada"


def test_unknown_options_are_refused() -> None:
    with pytest.raises(ConfigError, match=r"ROME: option 'edit_att' \(did you mean 'edit_at'\?\)"):
        get_adapter("ROME", edit_att="subject")
    with pytest.raises(ConfigError, match="FT: option 'edit_at'; allowed: none"):
        get_adapter("FT", edit_at="subject")
    with pytest.raises(ConfigError, match="ROME: edit_at: 'end'; allowed: prompt, subject"):
        get_adapter("ROME", edit_at="end")
    get_adapter("SimIE", edit_at="subject")
