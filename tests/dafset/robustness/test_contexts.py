"""Contexts: varied, checked, the same for the same seed."""

from __future__ import annotations

import itertools
import random
from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dafnet_plugin.dafset.robustness import (
    BUCKETS,
    CELLS,
    CONTENTS,
    SENTIMENTS,
    Cell,
    ContextConfig,
    ContextMaker,
    SentimentScorer,
    Subject,
)
from dafnet_plugin.dafset.robustness.context import as_sentence, bucket_of, mentions, spread
from dafnet_plugin.dafset.robustness.corpus import CorpusSource, split_sentences
from dafnet_plugin.dafset.robustness.templates import fill, load_templates
from dafnet_plugin.data.dafset import with_prefix
from dafnet_plugin.errors import ConfigError

RELATED = ("The capital of France is Paris", "France shares a border with Spain")
DISTRACTING = (
    "The official language of Spain is Spanish",
    "In Italy people speak Italian",
    "People in Portugal speak Portuguese",
)
FRANCE = Subject("s1", "France", ("French", "German"), RELATED, DISTRACTING)


@pytest.fixture(scope="module")
def maker() -> ContextMaker:
    """Makes as many contexts as there are cells."""
    return ContextMaker(ContextConfig(per_sample=27), unrelated=["Mount Fuji lies in Japan"])


@given(st.integers())
def test_any_three_contexts_in_a_row_have_everything(seed: int) -> None:
    cells = spread(random.Random(seed))
    assert sorted(cells) == sorted(CELLS)
    for start in range(0, 27, 3):
        for column in range(3):
            assert len({cell[column] for cell in cells[start : start + 3]}) == 3
    for one, other in itertools.combinations(cells[:9], 2):
        assert sum(a != b for a, b in zip(one, other)) >= 2


def test_every_cell_can_be_filled_and_is_what_it_says(maker: ContextMaker) -> None:
    made, scorer = maker.contexts(FRANCE), SentimentScorer()
    assert len(made) == 27 and not maker.missing
    assert len({context.text for context in made}) == 27
    for context in made:
        assert bucket_of(len(context.text.split())) == context.cell.length
        assert scorer.label(context.text) == context.cell.sentiment
        assert mentions(context.text, ["France"]) == (context.cell.content == "related")
        assert not mentions(context.text, FRANCE.avoid)
        assert context.text.endswith(".") and context.text[0].isupper()
        # Readers of the format keep the whole of it.
        assert with_prefix(context.text, "Q") == f"{context.text} Q"


def test_the_same_seed_gives_the_same_contexts(maker: ContextMaker) -> None:
    def texts(seed: int, subject: Subject = FRANCE) -> list[str]:
        return [c.text for c in ContextMaker(seed=seed).contexts(subject)]

    assert texts(0) == texts(0) != texts(1)
    assert len(texts(0)) == ContextConfig().per_sample
    other = Subject("s2", "France", FRANCE.avoid, RELATED, DISTRACTING)
    assert texts(0, other) != texts(0)
    # Neither does it matter what was made before.
    assert [c.text for c in maker.contexts(FRANCE)][:6] == [
        c.text
        for c in ContextMaker(
            ContextConfig(per_sample=6), unrelated=maker.templates.unrelated[-1:]
        ).contexts(FRANCE)
    ]


def test_samples_are_spread_over_all_cells() -> None:
    maker, counts = ContextMaker(), Counter[Cell]()
    for number in range(90):
        subject = Subject(f"k{number}", "France", (), RELATED, DISTRACTING)
        counts.update(context.cell for context in maker.contexts(subject))
    assert set(counts) == set(CELLS) and max(counts.values()) < 3 * min(counts.values())


def test_what_cannot_be_said_is_counted_and_replaced() -> None:
    maker = ContextMaker(ContextConfig(per_sample=9))
    nobody = Subject("s", "France", avoid=("French",))  # no fact about others is known
    made = maker.contexts(nobody)
    assert len(made) == 9 and {c.cell.content for c in made} == {"related", "unrelated"}
    assert maker.missing and all(cell.content == "distracting" for cell in maker.missing)
    # Without any fact about the subject, it is only named.
    related = [c.text for c in made if c.cell.content == "related"]
    assert related and all("France" in text for text in related)


def test_names_to_avoid_are_whole_words_in_any_case() -> None:
    assert mentions("PARIS is large", ["Paris"]) and mentions("In Paris.", ["paris"])
    assert not mentions("Parisian", ["Paris"]) and not mentions("x", ["", " "])
    assert mentions("She likes C++ (a lot)", ["C++"]) and mentions("a.b", ["a.b"])
    assert not mentions("axb", ["a.b"])


def test_labels_are_text_in_templates() -> None:
    assert fill("By the way, [S]", r"\1 [S] {x} is a group of Sony") == (
        r"By the way, \1 [S] {x} is a group of Sony."
    )
    assert fill("Note: [S]", "The capital of France is Paris.") == (
        "Note: the capital of France is Paris."
    )
    assert fill("[S], sadly", "The Hague is large") == "The Hague is large, sadly."
    assert as_sentence("  what \n now?! ") == "What now." and as_sentence(" ") == ""


def test_frames_have_the_sentiment_they_are_listed_under() -> None:
    scorer, frames = SentimentScorer(), load_templates()["frames"]
    assert set(frames) == set(SENTIMENTS)
    for sentiment, texts in frames.items():
        for frame in texts:
            assert frame.count("[S]") == 1
            assert scorer.label(fill(frame, "Bo lives in Oslo")) == sentiment, frame
    for sentence in load_templates()["everyday"]:
        assert scorer.label(sentence) == "neutral", sentence


def test_a_corpus_gives_sentences_of_what_is_asked_for() -> None:
    texts = [
        "France won a wonderful prize. The weather is good today!",
        "The terrible war ended in France after so many years of awful misery and pain.",
        "Stones are heavy. Too short. " + "word " * 40,
    ]
    source, rng = CorpusSource(texts, SentimentScorer()), random.Random(0)
    assert "France won a wonderful prize." in source.sentences
    assert all(len(sentence.split()) <= 30 for sentence in source.sentences)
    related = list(source.candidates(FRANCE, Cell("short", "related", "positive"), rng))
    assert related == ["France won a wonderful prize."]
    assert not list(source.candidates(FRANCE, Cell("short", "distracting", "positive"), rng))
    aliased = Subject("s", "Hexagon", aliases=("France",))
    assert list(source.candidates(aliased, Cell("medium", "related", "negative"), rng))
    assert len(CorpusSource(texts, SentimentScorer(), limit=1).sentences) == 1
    maker = ContextMaker(ContextConfig(per_sample=27, corpus_share=1.0), corpus=texts)
    assert {context.source for context in maker.contexts(FRANCE)} == {"corpus", "template"}
    assert list(split_sentences(["He met J. Doe in town."])) == ["He met J.", "Doe in town."]


def test_buckets_leave_no_gap() -> None:
    named = [bucket_of(words) for words in range(1, 31)]
    assert None not in named and set(named) == set(BUCKETS) and len(CONTENTS) == 3
    assert bucket_of(0) is None and bucket_of(31) is None


def test_what_a_user_can_get_wrong() -> None:
    with pytest.raises(ConfigError, match="per_sample is 28; allowed: 1 to 27; corpus_share is 2"):
        ContextConfig(per_sample=28, corpus_share=2)
    with pytest.raises(ConfigError, match="tries is 0; allowed: at least 1"):
        ContextConfig(tries=0)


def test_a_missing_library_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    import sys

    monkeypatch.setitem(sys.modules, "vaderSentiment.vaderSentiment", None)
    with pytest.raises(ConfigError, match=r"vaderSentiment.*pip install 'dafnet-plugin\[dafset\]'"):
        SentimentScorer()
