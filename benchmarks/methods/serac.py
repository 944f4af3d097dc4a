"""SERAC: a memory of edits, a classifier that looks into it, a small model that answers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from benchmarks.methods.adapter import Adapter, size_of
from benchmarks.methods.asking import (
    Question,
    ask_in_one_batch,
    collate_questions,
    device_of,
)
from dafnet_plugin.editing.scoring import scored_logits

ENCODER = "encoder-bert"
"""Folder of the encoder, below that of the meta-training; EasyEdit looks for ``bert`` in it."""


class SERACAdapter(Adapter):
    """Gives each edit to the memory, and asks in batches."""

    repair = (
        "keeps all edits in its memory; EasyEdit hands each new edit to the model without edits, "
        "so that only the last one is remembered"
    )
    sees_target = True

    def derived(self, values: Mapping[str, Any], overrides: Mapping[str, Any]) -> dict[str, Any]:
        """The encoder that meta-training made, and the base model as the small one."""
        archive = overrides.get("archive") or values.get("archive")
        found = {
            "cls_name": archive and str(Path(archive).parents[2] / ENCODER),
            "small_name": overrides.get("model_name", values.get("model_name")),
        }
        return {key: value for key, value in found.items() if values.get(key) is None and value}

    def edit(self, editor: Any, requests: Sequence[Mapping[str, Any]], hparams: Any) -> Any:
        """See :meth:`Adapter.edit`."""
        model = super().edit(editor, requests, hparams)
        if self.repaired:
            editor.apply_algo.__self__.alg = model
        return model.eval()

    def restore(self, editor: Any) -> None:
        """Empty the memory."""
        executor = editor.apply_algo.__self__
        if executor.is_init:
            executor.alg.cache_inputs, executor.alg.cache_labels = [], []

    def stored_bytes(self, model: Any, base: Mapping[str, Tensor]) -> int | None:
        """See :meth:`Adapter.stored_bytes`; the texts of the edits and both networks."""
        networks = (model.classifier, model.replacement)
        weights = sum(size_of(value) for network in networks for value in network.parameters())
        return weights + sum(
            len(text.encode()) for text in (*model.cache_inputs, *model.cache_labels)
        )

    def ask(self, model: Any, questions: Sequence[Question], pad_id: int) -> Tensor:
        """See :meth:`Adapter.ask`.

        SERAC's own ``forward``, but for its padding: on the left, and without positions to match,
        a GPT-2 says something else than it does to the same text alone.
        """
        if not hasattr(model, "cache_inputs"):  # the base model
            return ask_in_one_batch(model, questions, pad_id)
        base = ask_in_one_batch(model.model, questions, pad_id)
        if not model.cache_inputs:
            return base
        whole = collate_questions(questions, pad_id, device_of(model.model), whole=True)
        ids = whole.input_ids.masked_fill(
            whole.attention_mask == 0, model.replacement_tok.pad_token_id
        )
        weights, chosen, _ = model.run_classifier(input_ids=ids)  # [texts] each
        answers = self._small_model(model, questions, ids, chosen, pad_id)
        sizes = torch.tensor([q.size for q in questions], device=base.device)
        weights = weights.repeat_interleave(sizes)[:, None]  # [wanted positions, 1]
        if model.config.supervised and not model.config.soft_weighting:
            return torch.where(weights > 0.5, answers, base)
        mixed = (1 - weights) * base.softmax(-1) + weights * answers.softmax(-1)
        return (mixed + torch.finfo(torch.float32).eps).log()

    @staticmethod
    def _small_model(
        model: Any, questions: Sequence[Question], ids: Tensor, chosen: Tensor, pad_id: int
    ) -> Tensor:
        """What the small model says to each text after the edit that was found for it."""
        inputs = model.build_rep_input_tokens({"input_ids": ids}, chosen)
        moved = []
        for row, question in enumerate(questions):
            tokens = inputs["input_ids"][row][inputs["attention_mask"][row].bool()].tolist()
            shift = len(tokens) - len(question.ids)  # texts are aligned at their ends
            moved.append(
                Question(
                    tuple(tokens),
                    question.prompt_end + shift,
                    question.first + shift,
                    question.last + shift,
                )
            )
        batch = collate_questions(moved, pad_id, device_of(model.replacement))
        return scored_logits(model.replacement, batch)


def make_encoder(base: Path, folder: Path, seed: int) -> None:
    """Write the encoder of SERAC's classifier: a small bidirectional model to be trained.

    It has the base model's tokenizer, width and, to begin with, its token embeddings; the two
    layers above them are random. A pre-trained encoder would know other tokens.

    Args:
        base: folder of the base model.
    """
    from transformers import AutoModelForCausalLM, AutoTokenizer, DistilBertConfig, DistilBertModel

    names = ["input_ids", "attention_mask"]  # the encoder takes no others
    tokenizer = AutoTokenizer.from_pretrained(base, model_input_names=names)
    # The classifier puts this between texts, and reads the first token: nothing may stand before.
    tokenizer.pad_token = tokenizer.sep_token = tokenizer.eos_token
    tokenizer.padding_side = "right"
    embeddings = AutoModelForCausalLM.from_pretrained(base).get_input_embeddings().weight
    vocabulary, width = embeddings.shape
    config = DistilBertConfig(
        vocab_size=vocabulary,
        dim=width,
        hidden_dim=4 * width,
        n_layers=2,
        n_heads=4,
        max_position_embeddings=512,  # where EasyEdit cuts its texts
        dropout=0.0,
        attention_dropout=0.0,
        pad_token_id=tokenizer.pad_token_id,
    )
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        encoder = DistilBertModel(config)
    with torch.no_grad():
        encoder.embeddings.word_embeddings.weight.copy_(embeddings)
    encoder.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
