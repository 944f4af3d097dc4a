"""A byte-level BPE tokenizer trained on the statements, saved for GPT-2 or Llama.

The text is cut into words before the merges, each with the space before it; a prompt that does
not end in a space is therefore tokenised the same with and without an answer after it.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from dafnet_plugin.data.statements import Statement
from dafnet_plugin.errors import DataError

END_OF_TEXT = "<|endoftext|>"


def train_tokenizer(texts: Iterable[str], vocabulary: int) -> Any:
    """Train BPE on texts.

    Args:
        texts: sentences; their order does not matter to the result.
        vocabulary: largest number of tokens, the 256 bytes and the end of text included.

    Returns:
        A ``tokenizers.Tokenizer`` without special tokens added at encoding.
    """
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers

    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=vocabulary,
        special_tokens=[END_OF_TEXT],
        initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()),
        show_progress=False,
    )
    tokenizer.train_from_iterator(texts, trainer)
    return tokenizer


def save_tokenizer(tokenizer: Any, family: str, directory: Path, *, max_length: int) -> None:
    """Write the files that ``transformers`` loads.

    GPT-2 also gets ``vocab.json`` and ``merges.txt``, for EasyEdit asks for
    ``GPT2Tokenizer``, which reads only these. No beginning-of-text token is added to Llama's
    input: the model is trained without one.
    """
    from transformers import GPT2TokenizerFast, PreTrainedTokenizerFast

    directory.mkdir(parents=True, exist_ok=True)
    options: dict[str, Any] = {
        "bos_token": END_OF_TEXT,
        "eos_token": END_OF_TEXT,
        "pad_token": END_OF_TEXT,
        "unk_token": END_OF_TEXT,
        "model_max_length": max_length,
        "model_input_names": ["input_ids", "attention_mask"],  # models take no token types
    }
    if family == "gpt2":
        tokenizer.model.save(str(directory))
        fast = GPT2TokenizerFast(tokenizer_object=tokenizer, **options)
    else:
        # Said outright for those who load it as LlamaTokenizerFast, which adds one by default.
        options["add_bos_token"] = options["add_eos_token"] = False
        fast = PreTrainedTokenizerFast(tokenizer_object=tokenizer, **options)
    fast.save_pretrained(directory)


def encode(tokenizer: Any, statements: Sequence[Statement]) -> list[tuple[list[int], int]]:
    """Tokenise statements.

    Returns:
        For each the ids of the whole text and the number of them that are the prompt.

    Raises:
        DataError: the ids of a prompt are not the beginning of those of its text.
    """
    prompts = tokenizer.encode_batch([statement.prompt for statement in statements])
    texts = tokenizer.encode_batch([statement.text for statement in statements])
    encoded = []
    for statement, prompt, text in zip(statements, prompts, texts):
        cut = len(prompt.ids)
        if text.ids[:cut] != prompt.ids or len(text.ids) == cut:
            raise DataError(
                f"{statement.text!r}: the tokens of the prompt {statement.prompt!r} change when "
                "the answer follows; it cannot be scored"
            )
        encoded.append((text.ids, cut))
    return encoded
