"""What besides its weights decides what a model computes and how text becomes tokens."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

# Of a model's config: names, places and versions; what other tensors or the caller say; and what
# matters in training, when generating text, or for how, not what, is computed.
_NO_MATTER = """
    _name_or_path name_or_path _commit_hash transformers_version architectures auto_map dtype
    torch_dtype quantization_config id2label label2id num_labels finetuning_task problem_type
    task_specific_params tokenizer_class prefix initializer_range initializer_factor use_cache
    return_dict output_attentions output_hidden_states gradient_checkpointing torchscript
    use_bfloat16 bos_token_id eos_token_id pad_token_id sep_token_id decoder_start_token_id
    generation_config is_decoder max_length min_length do_sample early_stopping num_beams
    num_beam_groups diversity_penalty temperature top_k top_p typical_p repetition_penalty
    length_penalty no_repeat_ngram_size encoder_no_repeat_ngram_size bad_words_ids
    num_return_sequences output_scores return_dict_in_generate forced_bos_token_id
    forced_eos_token_id remove_invalid_values exponential_decay_length_penalty suppress_tokens
    begin_suppress_tokens chunk_size_feed_forward pruned_heads
"""
_SAME = {"rel_tol": 1e-3, "abs_tol": 1e-6}
"""Of buffers: devices round differently, other settings change more."""


def settings_of(config: Any) -> dict[str, Any]:
    """What a transformers config says of what its model computes, as plain JSON data."""
    if config is None or not hasattr(config, "to_dict"):
        return {}
    known = _kept(config.to_dict())
    return dict(json.loads(json.dumps(known, sort_keys=True, default=str)))


def _kept(values: Mapping[str, Any]) -> dict[str, Any]:
    return {
        str(name): _kept(value) if isinstance(value, Mapping) else value
        for name, value in values.items()
        if name not in _NO_MATTER.split()
        and not str(name).startswith("_")
        and not any(word in str(name) for word in ("drop", "loss"))
    }


def summary_of(buffer: Tensor) -> list[Any]:
    """``[shape, mean, root of the mean square]``."""
    values = buffer.detach().to("cpu", torch.float64)
    if not values.numel():
        return [list(values.shape), 0.0, 0.0]
    finite = values.nan_to_num(0.0, 1.0, -1.0)  # masks may hold infinity
    return [list(values.shape), float(finite.mean()), float(finite.square().mean().sqrt())]


def other_settings(found: Mapping[str, Any], expected: Mapping[str, Any]) -> str | None:
    """What differs in the settings of two base models, None for nothing.

    Compared is what both have: another version of transformers has more settings, or fewer.
    """
    ours, theirs = found.get("config", {}), expected.get("config", {})
    for name in sorted(ours.keys() & theirs.keys()):
        if ours[name] != theirs[name]:
            return f"{name} is {ours[name]!r} here, {theirs[name]!r} there"
    ours, theirs = found.get("buffers", {}), expected.get("buffers", {})
    for name in sorted(ours.keys() & theirs.keys()):
        (shape, *here), (other_shape, *there) = ours[name], theirs[name]
        same = all(math.isclose(a, b, **_SAME) for a, b in zip(here, there, strict=True))
        if shape != other_shape or not same:
            return f"the buffer {name} differs"
    return None


def digest_of_tokenizer(tokenizer: Any) -> str:
    """SHA-256 of how a tokenizer, and its chat template, turn text into tokens."""
    fast = getattr(tokenizer, "backend_tokenizer", None)
    if fast is not None:
        how = json.loads(fast.to_str())
        how = {name: how[name] for name in how if name not in ("truncation", "padding", "version")}
    else:
        how = {"class": type(tokenizer).__name__, "vocabulary": tokenizer.get_vocab()}
    about = {"how": how, "chat": getattr(tokenizer, "chat_template", None)}
    return hashlib.sha256(json.dumps(about, sort_keys=True, default=str).encode()).hexdigest()
