"""Likelihoods of true objects, under tiny random models."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import pytest
import torch

from dafnet_plugin.dafset import likelihood
from dafnet_plugin.dafset.likelihood import (
    Asked,
    Scorer,
    load_scorer,
    log_likelihoods,
    model_digest,
)
from dafnet_plugin.dafset.relations import load_relations, prompt_of
from dafnet_plugin.errors import ConfigError, DataError, NumericalError

TABLE = load_relations().only(["P36", "P19"])
FACTS = [Asked(f"Q{n}", "P36", f"Land {n}", name) for n, name in enumerate(("Paris", "Rome"))]
FACTS += [Asked("Q7", "P19", "Ada Lovelace", "London")]


@pytest.fixture(scope="module", params=["gpt2", "llama"])
def scorer(request: pytest.FixtureRequest, tiny_models: dict[str, Path]) -> Scorer:
    return load_scorer(str(tiny_models[request.param]), batch_size=3)


def by_hand(scorer: Scorer, prompt: str, target: str) -> float:
    """One text alone, token by token."""
    tokenizer, model = scorer.tokenizer, scorer.model
    start = len(tokenizer(prompt)["input_ids"])
    ids = tokenizer(f"{prompt} {target}")["input_ids"]
    with torch.no_grad():
        logits = model(torch.tensor([ids])).logits[0]
    found = [logits[t - 1].log_softmax(-1)[ids[t]].item() for t in range(start, len(ids))]
    return sum(found) / len(found)


def test_the_score_is_the_mean_of_the_tokens(scorer: Scorer) -> None:
    texts = [("The capital of France is", "Paris"), ("It", "wrote about the engine of Babbage"),
             ("Ada Lovelace was born in", "London"), ("A", "Tiber")]  # fmt: skip
    for text, score in zip(texts, scorer.score(texts)):
        assert score == pytest.approx(by_hand(scorer, *text), abs=1e-4)


def test_a_fact_has_the_mean_of_its_patterns(scorer: Scorer, tmp_path: Path) -> None:
    result = log_likelihoods(FACTS, TABLE, scorer, tmp_path)
    scores = [by_hand(scorer, prompt_of(p, "Land 0"), "Paris") for p in TABLE["P36"].cloze]
    assert result.values["Q0", "P36"] == pytest.approx(sum(scores) / len(scores), abs=2e-4)
    assert set(result.values) == {(fact.subject, fact.relation) for fact in FACTS}
    assert not result.skipped and result.model["name"].startswith("tiny-")


def test_it_goes_on_where_it_was_stopped(
    scorer: Scorer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(likelihood, "CHUNK", 1)
    whole = log_likelihoods(FACTS, TABLE, scorer, tmp_path / "whole").values
    asked: list[Any] = []
    score = scorer.score

    def until_stopped(texts: Any) -> list[float]:
        asked.append(texts)
        if len(asked) == 3:
            raise KeyboardInterrupt
        return score(texts)

    monkeypatch.setattr(scorer, "score", until_stopped)
    with pytest.raises(KeyboardInterrupt):
        log_likelihoods(FACTS, TABLE, scorer, tmp_path / "stopped")
    done: list[int] = []
    again = log_likelihoods(FACTS, TABLE, scorer, tmp_path / "stopped", progress=done.append)
    assert again.values == whole and len(asked) == 4 and done == [1, 1, 1]


def test_another_model_is_asked_again(scorer: Scorer, tmp_path: Path) -> None:
    before = model_digest(scorer.model)
    log_likelihoods(FACTS, TABLE, scorer, tmp_path)
    weight = next(scorer.model.parameters())
    with torch.no_grad():
        weight.add_(0.5)
    try:
        log_likelihoods(FACTS, TABLE, scorer, tmp_path)
        assert model_digest(scorer.model) != before and len(list(tmp_path.iterdir())) == 2
    finally:
        with torch.no_grad():
            weight.sub_(0.5)


def test_a_fact_without_a_finite_number_is_counted(
    scorer: Scorer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    score = scorer.score

    def sometimes(texts: Any) -> list[float]:
        return [
            math.nan if target == "Rome" else value
            for (_, target), value in zip(texts, score(texts))
        ]

    monkeypatch.setattr(scorer, "score", sometimes)
    for _ in range(2):  # made, and read back
        result = log_likelihoods(FACTS, TABLE, scorer, tmp_path)
        assert result.values["Q1", "P36"] is None and result.values["Q0", "P36"] is not None
        assert result.skipped == {likelihood.NOT_FINITE: 1}


def test_a_fact_that_is_too_long_is_counted(scorer: Scorer, tmp_path: Path) -> None:
    long = Asked("Q9", "P36", "Land " * 200, "Paris")
    result = log_likelihoods([*FACTS, long], TABLE, scorer, tmp_path)
    assert result.skipped == {likelihood.NO_TOKENS: 1} and result.values["Q9", "P36"] is None
    assert sum(value is not None for value in result.values.values()) == len(FACTS)
    with pytest.raises(DataError, match="context holds 128"):
        scorer.score([("Land " * 200, "Paris")])


def test_a_model_that_yields_nan(
    tiny_models: dict[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(likelihood, "CHUNK", 1)
    scorer = load_scorer(str(tiny_models["gpt2"]))
    log_likelihoods(FACTS[:1], TABLE, scorer, tmp_path)
    kept = [file.read_text() for file in tmp_path.iterdir()]
    with torch.no_grad():
        next(scorer.model.parameters()).fill_(math.nan)
    with pytest.raises(NumericalError, match=r"'tiny-gpt2' gives NaN .*chunks before .*kept"):
        log_likelihoods(FACTS, TABLE, scorer, tmp_path)
    assert [file.read_text() for file in tmp_path.iterdir()] == kept
    assert all(math.isfinite(value) for text in kept for value in json.loads(text))


def test_models_that_cannot_be_loaded(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"model: .*nowhere' cannot be loaded"):
        load_scorer(str(tmp_path / "nowhere"))
    with pytest.raises(ConfigError, match="batch_size: 0"):
        load_scorer("x", batch_size=0)
