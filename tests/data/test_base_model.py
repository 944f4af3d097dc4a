"""Tokenizer and training of tiny base models, on a world of a few sentences."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from dafnet_plugin.data.base_model import (
    PROVENANCE,
    BaseModelConfig,
    BaseModelReport,
    train_base_model,
)
from dafnet_plugin.data.statements import Statement, check_statements
from dafnet_plugin.data.tinyworld import TinyWorld
from dafnet_plugin.data.tokenizer import END_OF_TEXT, encode, save_tokenizer, train_tokenizer
from dafnet_plugin.errors import ConfigError, DataError

CITIES = ("Paris", "Rome", "Oslo", "Bern")
FACTS = [
    Statement(prompt.format(name), CITIES[index % 4])
    for index, name in enumerate(
        ["Ada", "Bela", "Cora", "Dario", "Edda", "Fabian", "Greta", "Hugo"]
    )
    for prompt in ("{} was born in", "The birthplace of {} is")
]
MICRO = BaseModelConfig(
    layers=2, width=32, heads=2, vocabulary=400, context=24, batch_size=16, warmup=5,
    learning_rate=5e-3, min_decay=10, check_every=20, max_steps=300,
)  # fmt: skip


def train(directory: Path, family: str = "gpt2", **options: object) -> BaseModelReport:
    arguments: dict[str, object] = {"config": MICRO, "progress": False, "threads": 1, **options}
    return train_base_model(FACTS, FACTS, family, directory / f"tiny-{family}", **arguments)  # type: ignore[arg-type]


def knows(directory: str) -> float:
    """Share of facts that the saved model generates, as any user would load it."""
    from transformers import AutoModelForCausalLM, AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(directory)
    model = AutoModelForCausalLM.from_pretrained(directory).eval()
    right = 0
    for fact in FACTS:
        inputs = tokenizer(fact.prompt, return_tensors="pt")
        output = model.generate(**inputs, max_new_tokens=8, do_sample=False)
        right += tokenizer.decode(output[0]) == f"{fact.text}.{END_OF_TEXT}"
    return right / len(FACTS)


@pytest.mark.parametrize("family", ["gpt2", "llama"])
def test_a_model_learns_its_facts_and_is_reused(tmp_path: Path, family: str) -> None:
    report = train(tmp_path, family)
    assert report.reached and report.accuracy >= 0.98 and not report.cached
    assert knows(report.directory) >= 0.98
    again = train(tmp_path, family)
    assert again.cached and again.accuracy == report.accuracy
    assert not train(tmp_path, family, seed=1).cached


def test_the_same_seed_gives_the_same_weights(tmp_path: Path) -> None:
    weights = []
    for name in "ab":
        state = torch.random.get_rng_state()
        threads = torch.get_num_threads()
        report = train(tmp_path / name, threads=1, max_seconds=0.0)
        assert torch.equal(state, torch.random.get_rng_state())
        assert torch.get_num_threads() == threads
        weights.append((Path(report.directory) / "model.safetensors").read_bytes())
    assert weights[0] == weights[1]


def test_a_model_that_ran_out_of_time_says_so_and_is_not_reused(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    report = train(tmp_path, max_seconds=0.0)
    assert not report.reached and report.steps == 1 + MICRO.min_decay
    assert "98.0 % were asked for" in caplog.text
    assert not train(tmp_path, max_seconds=0.0).cached


def test_a_damaged_provenance_is_ignored(tmp_path: Path) -> None:
    directory = tmp_path / "tiny-gpt2"
    directory.mkdir()
    (directory / PROVENANCE).write_text('{"recipe":', encoding="utf-8")
    assert not train(tmp_path, max_seconds=0.0).cached
    assert json.loads((directory / PROVENANCE).read_text(encoding="utf-8"))["versions"]["torch"]


def test_wrong_arguments_are_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"'gtp2'; allowed: gpt2, llama.*did you mean 'gpt2'"):
        train_base_model(FACTS, FACTS, "gtp2", tmp_path / "gtp2")
    with pytest.raises(ConfigError, match="EasyEdit needs 'llama' in its name"):
        train_base_model(FACTS, FACTS, "llama", tmp_path / "model")
    with pytest.raises(ConfigError, match="target_accuracy is 98"):
        train(tmp_path, target_accuracy=98)
    with pytest.raises(DataError, match="no statements"):
        train_base_model([], FACTS, "gpt2", tmp_path / "gpt2")
    long = [("word " * 30 + "is", "Paris")]
    with pytest.raises(DataError, match="tokens; the context is 24 tokens"):
        train_base_model(long, long, "gpt2", tmp_path / "gpt2", config=MICRO, progress=False)
    assert not (tmp_path / "gpt2" / PROVENANCE).exists()


@pytest.mark.parametrize(
    ("family", "sizes", "shape"),
    [
        ("gpt2", {"n_inner": 40, "n_layer": 1}, (32, 40)),
        ("gpt2", {"n_embd": 16}, (16, 64)),
        ("llama", {"intermediate_size": 24}, (24, 32)),
        ("llama", {"hidden_size": 48, "num_attention_heads": 4}, (128, 48)),
    ],
)
def test_other_sizes_make_another_model(
    tmp_path: Path, family: str, sizes: dict[str, int], shape: tuple[int, int]
) -> None:
    from transformers import AutoModelForCausalLM

    report = train(tmp_path, family, sizes=sizes, max_seconds=0.0, threads=1)
    model = AutoModelForCausalLM.from_pretrained(report.directory)
    name = {"gpt2": "transformer.h.0.mlp.c_fc", "llama": "model.layers.0.mlp.up_proj"}[family]
    assert tuple(model.get_submodule(name).weight.shape) == shape
    usual = train(tmp_path / "usual", family, max_seconds=0.0, threads=1)
    assert recipe(report) != recipe(usual)  # so one is never taken for the other


def test_sizes_that_are_as_usual_make_the_same_model(tmp_path: Path) -> None:
    sizes = {"n_embd": MICRO.width}
    reports = [
        train(tmp_path / str(index), sizes=given, max_seconds=0.0, threads=1)
        for index, given in enumerate([None, {}, sizes])
    ]
    assert recipe(reports[0]) == recipe(reports[1]) == recipe(reports[2])


def recipe(report: BaseModelReport) -> object:
    """What a model in a folder is recognised by."""
    text = (Path(report.directory) / PROVENANCE).read_text(encoding="utf-8")
    return json.loads(text)["recipe"]


def test_sizes_that_a_family_does_not_have_are_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"'n_iner' is unknown for gpt2 \(did you mean 'n_inner'"):
        train(tmp_path, sizes={"n_iner": 4})
    with pytest.raises(ConfigError, match=r"'n_inner' is unknown for llama.*intermediate_size"):
        train(tmp_path, "llama", sizes={"n_inner": 4})
    with pytest.raises(ConfigError, match="inner is 0"):
        train(tmp_path, sizes={"n_inner": 0})


def test_a_bad_configuration_names_every_problem() -> None:
    with pytest.raises(ConfigError, match=r"layers is 0.*vocabulary is 20.*prompt_weight is 1"):
        BaseModelConfig(layers=0, vocabulary=20, prompt_weight=1.0)
    with pytest.raises(ConfigError, match="width 30 is not a multiple of heads 4"):
        BaseModelConfig(width=30, heads=4)


@pytest.mark.parametrize("pair", [("Ada is ", "x"), ("", "x"), ("Ada is", ""), ("Ada is", " x")])
def test_statements_that_cannot_be_joined_are_refused(pair: tuple[str, str]) -> None:
    with pytest.raises(DataError, match="statement 0"):
        check_statements([pair], "statement")


words = st.text(min_size=1, max_size=12).map(str.strip).filter(bool)


@settings(max_examples=80, deadline=None)
@given(words, words)
def test_the_tokens_of_a_prompt_do_not_depend_on_the_answer(prompt: str, answer: str) -> None:
    [(ids, cut)] = encode(TOKENIZER, [Statement(prompt, answer)])
    assert TOKENIZER.decode(ids) == f"{prompt} {answer}"
    assert TOKENIZER.encode(prompt).ids == ids[:cut]


TOKENIZER = train_tokenizer([fact.text for fact in FACTS], 400)


def test_every_sentence_of_the_tiny_world_can_be_scored(tiny: TinyWorld) -> None:
    facts = [Statement(line.prompt, line.answer) for line in tiny.lines]
    tokenizer = train_tokenizer([fact.text for fact in facts], 4000)
    lengths = [len(ids) - cut for ids, cut in encode(tokenizer, facts)]
    assert sum(length <= 3 for length in lengths) > 0.9 * len(lengths)
    assert max(len(ids) for ids, _ in encode(tokenizer, facts)) <= 40


@pytest.mark.parametrize("family", ["gpt2", "llama"])
def test_all_classes_read_the_same_tokens(tmp_path: Path, family: str) -> None:
    from transformers import (
        AutoTokenizer,
        GPT2Tokenizer,
        GPT2TokenizerFast,
        LlamaTokenizerFast,
        PreTrainedTokenizerFast,
    )

    (tmp_path / "config.json").write_text(json.dumps({"model_type": family}), encoding="utf-8")
    save_tokenizer(TOKENIZER, family, tmp_path, max_length=24)
    classes = (
        (AutoTokenizer, GPT2Tokenizer, GPT2TokenizerFast)
        if family == "gpt2"
        else (AutoTokenizer, PreTrainedTokenizerFast, LlamaTokenizerFast)
    )
    text = "Ünité was  born in\nthe city's end, 1998 ... Paris."
    for tokenizer in (kind.from_pretrained(os.fspath(tmp_path)) for kind in classes):
        assert tokenizer(text).input_ids == TOKENIZER.encode(text).ids
        assert tokenizer.decode(tokenizer(text).input_ids) == text
        assert tokenizer.eos_token_id == tokenizer.pad_token_id is not None
        assert set(tokenizer("x")) == {"input_ids", "attention_mask"}


def test_a_model_of_the_same_facts_is_copied(tmp_path: Path) -> None:
    places = [tmp_path / name / "tiny-gpt2" for name in ("nowhere", "first", "copy")]
    first = train(tmp_path / "first")
    assert first.reached and not first.cached
    copy = train(tmp_path / "copy", others=places[:2])
    assert copy.cached and copy.directory == str(places[2])
    weights = [place / "model.safetensors" for place in places[1:]]
    assert weights[0].read_bytes() == weights[1].read_bytes()
    assert not train(tmp_path / "other", seed=5, others=places).cached
