"""A Llama whose head is its embedding, as in the base models that the harness trains."""

from __future__ import annotations

import shutil
from pathlib import Path


def tie(folder: Path, target: Path) -> Path:
    """Write a random model like that in ``folder``, with its tokenizer, but tied."""
    import torch
    from transformers import AutoConfig, AutoModelForCausalLM

    shutil.copytree(folder, target)
    config = AutoConfig.from_pretrained(folder)
    config.tie_word_embeddings = True
    torch.manual_seed(0)
    AutoModelForCausalLM.from_config(config).save_pretrained(target)
    return target
