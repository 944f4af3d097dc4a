"""Free text about a subject: which prompts, what is drawn, what counts as named."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from benchmarks.consistency.generation import PROMPTS, Continuations, draw, prompts_about
from benchmarks.methods import get_adapter
from benchmarks.methods.asking import Question
from dafnet_plugin.cases import EditCase, EditRequest, Probe
from dafnet_plugin.errors import DataError
from tests.helpers import FAMILIES, model, tokenizer

CASE = EditCase(
    "c",
    EditRequest("Ada lives in", "Rome", "Ada", "Oslo"),
    (Probe("The home of Ada is", "Rome"), Probe("Ada has a flat in", "Rome")),
)
NAMES = st.text(alphabet="abcdeXYZ ", min_size=1, max_size=12).map(str.strip).filter(bool)


def test_ten_prompts_half_of_them_towards_the_fact() -> None:
    found = prompts_about(CASE)
    assert len(found) == len(set(found)) == PROMPTS == 10
    assert "Ada" in found and all("Ada" in prompt for prompt in found)
    leading = [p for p in found if p.endswith(("the home of Ada is", "Ada has a flat in"))]
    assert len(leading) == 5
    alone = prompts_about(EditCase("c", CASE.request))
    assert len(alone) == 10 and not [p for p in alone if "home" in p or "flat" in p]


@given(subject=NAMES, wording=NAMES, rest=NAMES)
@settings(max_examples=60, deadline=None)
def test_no_prompt_quotes_the_edit(subject: str, wording: str, rest: str) -> None:
    prompt = f"{subject} {rest}"
    probes = (Probe(prompt.upper(), "x"), Probe(f"{wording} {subject}", "x"))
    case = EditCase("c", EditRequest(prompt, "x", subject), probes)
    found = prompts_about(case)
    assert len(found) == 10
    assert not [text for text in found if prompt.casefold() in text.casefold()]


def test_cases_that_give_no_prompts_are_named() -> None:
    with pytest.raises(DataError, match=r"case c: subject is null"):
        prompts_about(EditCase("c", EditRequest("Ada lives in", "Rome")))
    with pytest.raises(DataError, match=r"case c: 0 prompts about 'Ada' do not quote .*'Ada'"):
        prompts_about(EditCase("c", EditRequest("Ada", "Rome", "Ada")))


# -- what is drawn ------------------------------------------------------------------------------


def test_tokens_are_drawn_where_the_distribution_reaches_a_number() -> None:
    logits = torch.tensor([[0.2, 0.5, 0.3]]).log()
    for chance, token in ((0.0, 0), (0.19, 0), (0.21, 1), (0.69, 1), (0.71, 2), (0.999, 2)):
        assert draw(logits, torch.tensor([chance]), 1.0) == [token]
    assert draw(logits, torch.tensor([0.1]), 0.01) == [1]  # nearly greedy
    many = draw(logits.expand(3000, 3), torch.rand(3000, generator=torch.manual_seed(0)), 1.0)
    counts = Counter(many)
    assert [counts[n] / 3000 for n in range(3)] == pytest.approx([0.2, 0.5, 0.3], abs=0.03)


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_a_ruined_model_draws_some_token(value: float) -> None:
    drawn = draw(torch.full((2, 5), value), torch.tensor([0.0, 0.999]), 0.7)
    assert all(0 <= token < 5 for token in drawn)


# -- what is named ------------------------------------------------------------------------------


class Told:
    """A model that says what it is told, greedily, and another thing when it is sampled."""

    def __init__(self, greedy: str, sampled: str) -> None:
        tok = tokenizer()
        self.said = [tok(text)["input_ids"] for text in (greedy, sampled)]

    def greedy(self, _: Any, prompts: Sequence[Any], new: int, __: int) -> list[list[int]]:
        return [(self.said[0] + self.said[0][-1:] * new)[:new] for _ in prompts]

    def ask(self, _: Any, questions: Sequence[Question], __: int) -> torch.Tensor:
        wanted = [self.said[1][(len(q.ids) - q.prompt_end) % len(self.said[1])] for q in questions]
        return torch.nn.functional.one_hot(torch.tensor(wanted), len(tokenizer())).float() * 1e3

    def scored_logits(self, *_: Any) -> torch.Tensor:
        raise NotImplementedError


def named(greedy: str, sampled: str, new_tokens: int = 8) -> dict[str, list[bool]]:
    said = Told(greedy, sampled)
    base = model("gpt2")
    continuations = Continuations(base, tokenizer(), said, new_tokens=new_tokens)
    return continuations.named(base, [SHORT])


SHORT = EditCase("c", EditRequest("lives", "Rome", "A"))


@pytest.fixture
def short_prompts(monkeypatch: pytest.MonkeyPatch) -> None:
    """The tokenizer of the tests has few words, and the models a small context."""
    frames = tuple(f"{'no' * n} {{subject}}" for n in range(10))
    monkeypatch.setattr("benchmarks.consistency.generation.OPEN", frames)


@pytest.mark.usefixtures("short_prompts")
def test_an_object_is_named_as_whole_words_before_the_text_ends() -> None:
    found = named(" in Rome", " in Paris")
    assert found == {"greedy": [True] * 10, "sampled": [False] * 10}
    assert named(" in Romeo", " ROME")["greedy"] == [False] * 10
    assert named("x", " ROME")["sampled"] == [True] * 10
    assert named(" no<end> Rome", "Rome<end>") == {
        "greedy": [False] * 10,
        "sampled": [True] * 10,
    }


@pytest.mark.usefixtures("short_prompts")
@pytest.mark.parametrize("family", FAMILIES)
def test_samples_depend_on_the_seed_and_not_on_the_batch(family: str) -> None:
    base, writer = model(family), get_adapter("FT")
    ids = [(40, 41, 42, 43)[: 1 + n % 4] for n in range(10)]

    def drawn(seed: int, size: int) -> list[list[int]]:
        found = Continuations(base, tokenizer(), writer, new_tokens=6, seed=seed)
        chances = [found._chances(SHORT, str(n)) for n in range(10)]
        parts = [slice(n, n + size) for n in range(0, 10, size)]
        return [row for part in parts for row in found._sample(base, ids[part], chances[part])]

    assert drawn(0, 10) == drawn(0, 1) == drawn(0, 3)
    assert drawn(0, 10) != drawn(1, 10)
    sampled = Continuations(base, tokenizer(), writer, new_tokens=6, temperature=1e-6)
    greedy = writer.greedy(base, ids, 6, 0)
    assert sampled._sample(base, ids, [[0.5] * 6] * 10) == greedy


@pytest.mark.usefixtures("short_prompts")
def test_batches_of_continuations_play_no_role() -> None:
    base = model("gpt2")
    cases = [EditCase(str(n), EditRequest("lives", "a", name)) for n, name in enumerate("ABC")]
    one, many = (
        Continuations(base, tokenizer(), get_adapter("FT"), new_tokens=5, batch_size=size)
        for size in (1, 64)
    )
    assert one.named(base, cases) == many.named(base, cases)
    assert len(many.named(base, cases)["greedy"]) == 30
    assert many.named(base, []) == {"greedy": [], "sampled": []}


@pytest.mark.usefixtures("short_prompts")
def test_a_prompt_without_room_is_named() -> None:
    base = model("gpt2")
    continuations = Continuations(base, tokenizer(), get_adapter("FT"), new_tokens=60)
    with pytest.raises(DataError, match=r"context has room for 4 before 60 new ones"):
        continuations.named(base, [SHORT])
