"""Tiny random models on disk, for every test folder."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest

SENTENCES = [
    "The capital of France is Paris, and the capital of Italy is Rome.",
    "Ada Lovelace was born in London and wrote about the engine of Babbage.",
    "nq question: who wrote the song that plays at the end of the film?",
    "Watts Humphrey attended the university of Michigan, not of Illinois.",
    "The river Thames flows through London; the Tiber flows through Rome.",
]
SPECIAL = {"gpt2": ["<|endoftext|>"], "llama": ["<unk>", "<s>", "</s>"]}
# Large enough weights that attention carries an edit of the subject to the last token.
INITIALIZER_RANGE = 0.3


def _train_tokenizer(special: list[str]) -> Any:
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers

    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=512,
        special_tokens=special,
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator(SENTENCES, trainer)
    return tokenizer


def make_tiny_gpt2(folder: Path) -> Path:
    """Write a random GPT-2 of 2 layers, width 32, with vocab.json and merges.txt."""
    import torch
    from transformers import GPT2Config, GPT2LMHeadModel

    bpe = _train_tokenizer(SPECIAL["gpt2"])
    folder.mkdir(parents=True)
    bpe.model.save(str(folder))
    bpe.save(str(folder / "tokenizer.json"))
    end = SPECIAL["gpt2"][0]
    settings = {"tokenizer_class": "GPT2Tokenizer", "model_max_length": 128}
    settings |= dict.fromkeys(("bos_token", "eos_token", "unk_token"), end)
    (folder / "tokenizer_config.json").write_text(json.dumps(settings))
    torch.manual_seed(0)
    config = GPT2Config(
        vocab_size=bpe.get_vocab_size(),
        n_positions=128,
        n_embd=32,
        n_layer=2,
        n_head=2,
        initializer_range=INITIALIZER_RANGE,
        bos_token_id=0,
        eos_token_id=0,
    )
    GPT2LMHeadModel(config).save_pretrained(folder)
    return folder


def make_tiny_llama(folder: Path) -> Path:
    """Write a random Llama of 2 layers, width 32, with a fast tokenizer that adds ``<s>``."""
    import torch
    from tokenizers import processors
    from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

    bpe = _train_tokenizer(SPECIAL["llama"])
    bpe.post_processor = processors.Sequence(
        [
            processors.ByteLevel(trim_offsets=False),
            processors.TemplateProcessing(single="<s> $A", special_tokens=[("<s>", 1)]),
        ]
    )
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=bpe,
        unk_token="<unk>",
        bos_token="<s>",
        eos_token="</s>",
        model_max_length=128,
        clean_up_tokenization_spaces=False,
    )
    tokenizer.save_pretrained(folder)
    torch.manual_seed(0)
    config = LlamaConfig(
        vocab_size=bpe.get_vocab_size(),
        hidden_size=32,
        intermediate_size=64,
        num_hidden_layers=2,
        num_attention_heads=2,
        max_position_embeddings=128,
        bos_token_id=1,
        eos_token_id=2,
        initializer_range=INITIALIZER_RANGE,
    )
    LlamaForCausalLM(config).save_pretrained(folder)
    return folder


@pytest.fixture(scope="session")
def data_dir() -> Path:
    """The directory of real data sets; tests that need it skip when it is missing."""
    default = Path(__file__).parents[1].parent / "shared" / "data"
    directory = Path(os.environ.get("DAFNET_DATA_DIR", default))
    if not directory.is_dir():
        pytest.skip(f"no real data sets in {directory}; set DAFNET_DATA_DIR")
    return directory


@pytest.fixture(scope="session")
def tiny_models(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Folders of tiny random models by family, ``gpt2`` and ``llama``; do not write into them."""
    folder = tmp_path_factory.mktemp("models")
    return {
        "gpt2": make_tiny_gpt2(folder / "tiny-gpt2"),
        "llama": make_tiny_llama(folder / "tiny-llama"),
    }
