"""Plain text: what edits shall leave alone."""

from __future__ import annotations

import random
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from dafnet_plugin.cases import EditCase
from dafnet_plugin.errors import DataError
from dafnet_plugin.files import read_jsonl
from dafnet_plugin.hparams import DAFNetTrainingHparams
from dafnet_plugin.tokens import Encoded, encode


def read_texts(path: str | Path) -> list[str]:
    """Read ``.jsonl`` of ``{"text": ...}`` or ``.txt`` with a text a line.

    Raises:
        DataError: unreadable, another file type, or a line without ``text``; names file and line.
    """
    path = Path(path)
    if path.suffix == ".jsonl":
        records = read_jsonl(path)
        for number, record in enumerate(records, start=1):
            if not isinstance(record, dict) or not isinstance(record.get("text"), str):
                raise DataError(f"{path}: record {number}: field 'text' is missing or not text")
        return [record["text"] for record in records]
    if path.suffix == ".txt":
        try:
            return [line for line in path.read_text(encoding="utf-8").splitlines() if line.strip()]
        except OSError as error:
            raise DataError(f"{path}: cannot be read: {error.strerror}") from error
        except UnicodeDecodeError as error:
            raise DataError(f"{path}: byte {error.start} is not UTF-8 text") from error
    raise DataError(f"{path}: plain text is read from .jsonl or .txt, not {path.suffix!r}")


def read_sentences(path: str | Path) -> list[str]:
    """Read local text.

    Args:
        path: ``.txt`` with a text a line; or ``.jsonl`` with ``{"text"}`` or
            ``{"prompt", "answer"}`` a line, which are put together with a space.

    Raises:
        DataError: unreadable, another kind of file, or a line with neither; names file and line.
    """
    if Path(path).suffix != ".jsonl":
        return read_texts(path)
    texts = []
    for number, record in enumerate(read_jsonl(path), start=1):
        found = record if isinstance(record, dict) else {}
        parts = (
            [found.get("text")] if "text" in found else [found.get("prompt"), found.get("answer")]
        )
        if not all(isinstance(part, str) for part in parts):
            raise DataError(
                f"{path}: record {number}: {str(record)[:80]!r}; allowed: an object with the "
                "field 'text', or with 'prompt' and 'answer', as text"
            )
        texts.append(" ".join(map(str, parts)))
    return texts


def true_statements(cases: Iterable[EditCase]) -> list[tuple[str, str]]:
    """What the cases say is true before any edit, as prompt and answer.

    Requests and paraphrases with their old answers, and locality probes.
    """
    statements: list[tuple[str, str]] = []
    for case in cases:
        if case.request.ground_truth:
            prompts = [case.request.prompt, *(probe.prompt for probe in case.generality)]
            statements += [(prompt, case.request.ground_truth) for prompt in prompts]
        statements += [(probe.prompt, probe.answer) for probe in case.locality]
    return list(dict.fromkeys(statements))


def encode_texts(
    tokenizer: Any, texts: Sequence[str], max_tokens: int, context: int | None
) -> list[Encoded]:
    """Tokenise texts, every token after the first counting as a target.

    Args:
        max_tokens: stop after this many tokens in all.
        context: the model's context length; longer texts are cut to it.
    """
    encoded: list[Encoded] = []
    total = 0
    for ids in tokenizer(list(texts))["input_ids"] if texts else []:
        ids = ids[: context + 1] if context else ids
        if len(ids) > 1 and total < max_tokens:
            encoded.append(Encoded(tuple(ids), 1))
            total += len(ids)
    return encoded


def preserved_texts(
    config: DAFNetTrainingHparams,
    tokenizer: Any,
    cases: Sequence[EditCase],
    context: int | None,
) -> list[Encoded]:
    """What edits shall leave alone: the text of ``text_path``, or what the cases say is true.

    Args:
        context: the model's context length.

    Raises:
        DataError: there is none, and something needs it.
    """
    shuffle = random.Random(config.seed).shuffle
    if config.text_path:
        texts = read_texts(config.text_path)
        shuffle(texts)
        encoded = encode_texts(tokenizer, texts, config.text_tokens, context)
    else:
        statements = true_statements(cases)
        shuffle(statements)
        some, chat = statements[: config.text_tokens], config.use_chat_template
        encoded = encode(tokenizer, some, context, chat=chat)
    if not encoded and (config.ctext or config.fusion.kind == "least_squares"):
        raise DataError(
            f"text_path: {config.text_path!r} holds no text, and the training cases have no "
            "ground_truth or locality probe to stand in for it"
        )
    return encoded
