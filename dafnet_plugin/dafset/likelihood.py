"""How likely a causal language model finds the true object of a fact."""

from __future__ import annotations

import json
import logging
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any, NamedTuple

from dafnet_plugin.dafset.relations import RelationTable, prompt_of
from dafnet_plugin.errors import ConfigError, DataError, NumericalError
from dafnet_plugin.files import write_json

logger = logging.getLogger(__name__)
CHUNK = 256
"""Facts that are scored and kept together; also the most that a stopped run loses."""
DIGITS = 4


class Asked(NamedTuple):
    """A fact by its names."""

    subject: str
    relation: str
    subject_label: str
    object_label: str


@dataclass(frozen=True)
class Likelihoods:
    """What :func:`log_likelihoods` found.

    Attributes:
        values: (subject, relation) -> mean nats per token of the true object, averaged over the
            relation's patterns; None where the model gave no finite number.
        skipped: reason -> how many facts have no value.
        model: its name, and a digest of its weights.
    """

    values: Mapping[tuple[str, str], float | None]
    skipped: Mapping[str, int]
    model: Mapping[str, str]


@dataclass
class Scorer:
    """A model that is asked in batches.

    Attributes:
        model, tokenizer: of ``transformers``.
        batch_size: texts of a forward pass.
    """

    model: Any
    tokenizer: Any
    batch_size: int = 32

    def score(self, texts: Sequence[tuple[str, str]]) -> list[float]:
        """Mean log-probability, in nats per token, of each target after its prompt.

        Raises:
            DataError: a text has no target token or is longer than the model's context.
        """
        from dafnet_plugin.tokens import context_length, encode

        encoded = encode(self.tokenizer, texts, context_length(self.model))
        # Texts of like length together: less padding.
        order = sorted(range(len(encoded)), key=lambda index: (len(encoded[index].ids), index))
        scores = [math.nan] * len(encoded)
        for start in range(0, len(order), self.batch_size):
            rows = order[start : start + self.batch_size]
            for index, value in zip(rows, self._batch([encoded[row] for row in rows])):
                scores[index] = value
        return scores

    def _batch(self, encoded: Sequence[Any]) -> list[float]:
        import torch

        from dafnet_plugin.tokens import collate, pad_id_of

        batch = collate(encoded, pad_id_of(self.tokenizer)).to(self.model.device)
        with torch.no_grad():
            logits = self.model(
                input_ids=batch.input_ids, attention_mask=batch.attention_mask
            ).logits
        scored = batch.scored  # [texts, length]
        rows = logits[scored].float().log_softmax(-1)  # [target tokens, vocabulary]
        tokens = rows.gather(1, batch.labels[scored].unsqueeze(1)).squeeze(1)
        text = scored.nonzero()[:, 0]  # which text each target token is of
        total = torch.zeros(len(encoded), device=tokens.device).index_add(0, text, tokens)
        means: list[float] = (total / scored.sum(1)).tolist()
        return means


def load_scorer(name: str, *, device: str = "cpu", batch_size: int = 32) -> Scorer:
    """Load a model from a folder or by its name.

    Raises:
        ConfigError: it cannot be loaded.
    """
    from transformers import AutoModelForCausalLM, AutoTokenizer

    from dafnet_plugin.devices import resolve_device

    if batch_size < 1:
        raise ConfigError(f"batch_size: {batch_size}; allowed: at least 1")
    try:
        model = AutoModelForCausalLM.from_pretrained(name)
        tokenizer = AutoTokenizer.from_pretrained(name)
    except (OSError, ValueError) as error:
        raise ConfigError(f"model: {name!r} cannot be loaded: {error}") from error
    return Scorer(model.to(resolve_device(device)).eval(), tokenizer, batch_size)


def log_likelihoods(
    facts: Sequence[Asked],
    table: RelationTable,
    scorer: Scorer,
    work: Path,
    *,
    progress: Callable[[int], Any] | None = None,
) -> Likelihoods:
    """Score facts chunk by chunk; what is in ``work`` already is not scored again.

    Args:
        facts: each once.
        work: a folder for finished chunks.
        progress: called with the number of facts after each chunk.

    Raises:
        NumericalError: the model gives no finite number for a whole chunk; the chunks before it
            are kept.
    """
    digest = model_digest(scorer.model)
    ordered = sorted(facts)
    values: dict[tuple[str, str], float | None] = {}
    skipped: dict[str, int] = {}
    for start in range(0, len(ordered), CHUNK):
        chunk = ordered[start : start + CHUNK]
        texts = [_texts(fact, table) for fact in chunk]
        key = sha256(json.dumps([digest, texts]).encode()).hexdigest()[:24]
        file = work / f"likelihood-{key}.json"
        if file.is_file():
            scores = json.loads(file.read_text(encoding="utf-8"))
        else:
            scores = _score(chunk, texts, scorer)
            write_json(file, scores)
        for fact, score in zip(chunk, scores):
            reason = score if isinstance(score, str) else None
            if reason:
                skipped[reason] = skipped.get(reason, 0) + 1
            values[fact.subject, fact.relation] = None if reason else float(score)
        if progress:
            progress(len(chunk))
    if skipped:
        logger.warning("likelihood: facts without one: %s", skipped)
    return Likelihoods(values, skipped, {"name": _name(scorer.model), "digest": digest})


def model_digest(model: Any) -> str:
    """A digest of the weights: of some thousand numbers of every parameter."""
    state = sha256()
    for name, value in model.named_parameters():
        flat = value.detach().reshape(-1)
        part = flat[:: max(1, flat.numel() // 4096)].float().cpu().contiguous()
        state.update(f"{name} {tuple(value.shape)}".encode() + part.numpy().tobytes())
    return state.hexdigest()[:16]


NOT_FINITE, NO_TOKENS = "the model gives no finite number", "cannot be asked in tokens"


def _score(
    chunk: Sequence[Asked], texts: Sequence[Sequence[tuple[str, str]]], scorer: Scorer
) -> list[float | str]:
    """A number for each fact, or why there is none."""
    scores: list[float | str] = []
    try:
        flat = iter(scorer.score([text for asked in texts for text in asked]))
        per_fact: list[list[float] | None] = [[next(flat) for _ in asked] for asked in texts]
    except DataError:  # one of them cannot be encoded: find out which
        per_fact = [_try(scorer, asked) for asked in texts]
    for values in per_fact:
        if values is None:
            scores.append(NO_TOKENS)
        elif not all(map(math.isfinite, values)):
            scores.append(NOT_FINITE)
        else:
            scores.append(round(math.fsum(values) / len(values), DIGITS))
    if scores and all(score == NOT_FINITE for score in scores):
        raise NumericalError(
            f"model {_name(scorer.model)!r} gives NaN or infinity for each of {len(chunk)} facts, "
            f"the first about {chunk[0].subject_label!r}; chunks before these are kept. "
            "Use float32, or another model."
        )
    return scores


def _try(scorer: Scorer, asked: Sequence[tuple[str, str]]) -> list[float] | None:
    try:
        return scorer.score(asked)
    except DataError:
        return None


def _texts(fact: Asked, table: RelationTable) -> list[tuple[str, str]]:
    """Cloze sentences: a model that was never taught to answer questions goes on with anything."""
    relation = table[fact.relation]
    patterns = relation.cloze or relation.questions
    return [(prompt_of(pattern, fact.subject_label), fact.object_label) for pattern in patterns]


def _name(model: Any) -> str:
    # A folder's path says where on a machine it was, its name what it is.
    return Path(str(getattr(model.config, "_name_or_path", "") or "model")).name
