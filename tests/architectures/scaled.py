"""Copies of the published architectures, scaled down: same class, same module names, 2 layers."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from dafnet_plugin.architectures.published import Published, published_models
from tests.conftest import _train_tokenizer

# One of each class, and what differs between models of one class: grouped-query attention and
# tied embeddings (llama3.2), heads together wider than the model (qwen3-0.6b).
ARCHITECTURES = (
    "gpt2",
    "gpt-j-6B",
    "llama-7b",
    "llama3.2-1b",
    "mistral-7b",
    "qwen2.5-0.5b",
    "qwen3-0.6b",
    "gemma-2-2b",
    "phi-2",
    "phi-3-mini",
    "glm-4-9b",
)
LAYERS, WIDTH, INNER, HEADS, CONTEXT = 2, 64, 96, 4, 128
END = "<|endoftext|>"
_SMALL = {
    **dict.fromkeys(("n_embd", "hidden_size"), WIDTH),
    **dict.fromkeys(("n_layer", "num_hidden_layers"), LAYERS),
    **dict.fromkeys(("n_head", "num_attention_heads"), HEADS),
    **dict.fromkeys(
        ("n_positions", "max_position_embeddings", "original_max_position_embeddings"), CONTEXT
    ),
    **dict.fromkeys(("bos_token_id", "eos_token_id", "pad_token_id"), 0),
    "intermediate_size": INNER,
    "rotary_dim": 8,
    "sliding_window": 64,
    "query_pre_attn_scalar": 16,
}


def scaled_config(entry: Published, vocabulary: int) -> Any:
    """The config of a scaled-down copy; what makes the architecture special stays."""
    import transformers

    values = {name: _SMALL.get(name, value) for name, value in entry.config.items()}
    values["vocab_size"] = vocabulary
    own = entry.config
    if "num_key_value_heads" in own:
        grouped = own["num_key_value_heads"] < own["num_attention_heads"]
        values["num_key_value_heads"] = HEADS // 2 if grouped else HEADS
    if "head_dim" in own:
        wide = own["head_dim"] * own["num_attention_heads"] != own["hidden_size"]
        values["head_dim"] = 2 * WIDTH // HEADS if wide else WIDTH // HEADS
    # Large enough weights that attention carries an edit to the last token.
    values["initializer_range"] = 0.3
    return getattr(transformers, entry.model_class).config_class(**values)


def write_scaled(folder: Path, name: str) -> Path:
    """Write a scaled-down copy and a tokenizer that every version of EasyEdit can read."""
    import torch
    import transformers

    entry = published_models()[name]
    bpe = _train_tokenizer([END])
    folder.mkdir(parents=True)
    bpe.model.save(str(folder))
    bpe.save(str(folder / "tokenizer.json"))
    gpt = entry.model_class.startswith("GPT")
    settings: dict[str, Any] = {
        "tokenizer_class": "GPT2Tokenizer" if gpt else "PreTrainedTokenizerFast",
        "model_max_length": CONTEXT,
    }
    settings |= dict.fromkeys(("bos_token", "eos_token", "unk_token", "pad_token"), END)
    (folder / "tokenizer_config.json").write_text(json.dumps(settings))
    torch.manual_seed(0)
    config = scaled_config(entry, bpe.get_vocab_size())
    getattr(transformers, entry.model_class)(config).save_pretrained(folder)
    return folder
