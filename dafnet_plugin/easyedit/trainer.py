"""DAFNet as an algorithm of EasyEdit's own ``EditTrainer``."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Mapping, MutableMapping
from typing import Any

import torch
from torch import Tensor, nn

from dafnet_plugin.artifacts.trainer_archive import load_trainer_state
from dafnet_plugin.editing.modules import EditModule, evaluation_mode, find_edit_modules
from dafnet_plugin.editing.signals import capture_batch
from dafnet_plugin.editing.statistics import key_moments
from dafnet_plugin.errors import ConfigError
from dafnet_plugin.tokens import IGNORED, Encoded, TokenBatch, collate, context_length
from dafnet_plugin.training.build import new_dafnet
from dafnet_plugin.training.text import encode_texts, read_texts

LOG = logging.getLogger(__name__)

STATISTICS_EDITS = 256
"""Edits whose signals fix the networks' input statistics when training starts."""


class DAFNetAlgorithm(nn.Module):
    """What EasyEdit's ``EditTrainer`` asks of a trainable method.

    Each batch is one sequence of edits. EasyEdit's trainer knows reliability and locality only,
    one data set and one sequence length (``batch_size``);
    :class:`dafnet_plugin.training.trainer.DAFNetTrainer` does all that DAFNet needs.

    Args:
        model: the base model.
        config: :class:`dafnet_plugin.hparams.DAFNetTrainingHparams`.
        model_constructor: unused; part of EasyEdit's signature.

    Raises:
        ModelError: a module to be edited is missing or not linear.
        ConfigError: biases are to be edited, and a module has none.
        DataError: ``text_path`` cannot be read.
    """

    def __init__(
        self, model: Any, config: Any, model_constructor: Callable[[], nn.Module] | None = None
    ) -> None:
        super().__init__()
        self.model, self.config, self.model_constructor = model, config, model_constructor
        self.modules_to_edit: list[EditModule] = find_edit_modules(model, config.edit_modules)
        if config.use_chat_template:
            raise ConfigError(
                "use_chat_template: true; allowed: false with EasyEdit's EditTrainer, whose data "
                "sets tokenise by themselves; `dafnet train` trains inside the template"
            )
        without = [m.name for m in self.modules_to_edit if m.bias is None]
        if config.edit_bias and without:
            raise ConfigError(f"edit_bias: true; no bias in {', '.join(without)}")
        self.dafnet = new_dafnet(config, self.modules_to_edit)
        self._edits_seen = 0
        self._text = self._text_to_preserve()
        # Off until the first step, see outer_parameters.
        self.eval()

    # -- what EditTrainer calls ---------------------------------------------------------------

    @property
    def edit_lrs(self) -> Tensor:
        """Learned learning rate of each module; EditTrainer gives it an optimiser of its own."""
        return self.dafnet.edit_lrs

    def forward(self, *_: Any, **batch: Any) -> Tensor:
        """Logits [texts, length, vocabulary] of the unedited model, texts ending at the right."""
        return _logits(self.model, {}, batch)

    def edit(
        self,
        batch: MutableMapping[str, Tensor],
        condition: Mapping[str, Tensor] | None = None,
        **_: Any,
    ) -> tuple[EditedModel, dict[str, float]]:
        """Edit all texts of a batch as one sequence.

        Args:
            batch: ``input_ids, attention_mask`` [texts, length], padded on either side, and
                ``labels`` [texts, target length], -100 outside the target. EasyEdit's labels
                are the target tokenised on its own, without the space before it and perhaps
                with a start token; they are replaced by the text's own target tokens, because
                the loss is taken on them after this call.
            condition: ``input_ids, attention_mask`` of EasyEdit's ``old >> new || prompt``,
                which tells where in a text the target starts.

        Returns:
            the edited model, differentiable in DAFNet's parameters, and scalars to log.

        Raises:
            NumericalError: a signal is not finite.
        """
        if self._text:
            batches = _batches(self._text, batch["input_ids"].device)
            self.dafnet.preserve(key_moments(self.model, self.modules_to_edit, batches))
            self._text = []
        device = batch["input_ids"].device
        texts = _encoded(batch, condition, getattr(self.model.config, "bos_token_id", None))
        batch["labels"] = _labels(texts).to(device)
        signals = capture_batch(self.model, self.modules_to_edit, collate(texts, 0).to(device))
        if self.training and self._edits_seen < STATISTICS_EDITS:
            self.dafnet.standardise_on(signals)
            self._edits_seen += len(texts)
        state = self.dafnet(signals)
        changed: dict[str, Tensor] = {}
        for edit_module, update in zip(self.modules_to_edit, state.updates, strict=True):
            weight, bias = edit_module.weight, edit_module.bias
            change = edit_module.stored(update.weight).to(weight.dtype)
            changed[f"{edit_module.path}.weight"] = weight.detach() + change
            if update.bias is not None and bias is not None:
                changed[f"{edit_module.path}.bias"] = bias.detach() + update.bias.to(bias.dtype)
        norms = [float(update.weight.detach().norm()) for update in state.updates]
        return EditedModel(self.model, changed), {"update/norm": sum(norms) / len(norms)}

    def edit_loss_fn(self, config: Any, pred: Tensor, targ: Tensor, **_: Any) -> dict[str, Tensor]:
        """Negative log-likelihood (nats) and accuracy of the target tokens.

        Args:
            pred: [texts, length, vocabulary].
            targ: [texts, target length], aligned with the end of the text, -100 outside.
        """
        length = targ.shape[1]
        pred = pred[:, :-1][:, -length:].float()
        targ = targ[:, -pred.shape[1] :]
        kept = targ != IGNORED
        logits, labels = pred[kept], targ[kept]
        log_probs = logits.log_softmax(-1).gather(-1, labels[:, None]).squeeze(-1)
        return {
            "acc": (logits.argmax(-1) == labels).float().mean(),
            "log_prob": log_probs.mean(),
            "prob": log_probs.exp().mean(),
            "n_tokens": kept.sum(),
            "nll": -log_probs.mean(),
        }

    loc_loss_fn = edit_loss_fn

    def outer_parameters(self, grouped: bool = False) -> list[Any]:
        """The parameters to be trained that take part in the loss.

        EditTrainer asks for a gradient of every one, so those without are left out: the scale
        attention counts only with ``running_mean``, and learns only with a consistent gate.

        ``edit_lrs`` is among them during training steps only. EditTrainer builds its main
        optimiser from this list before the first step and clears its gradients before the
        optimiser of ``edit_lrs`` (learning rate ``lr_lr``) steps, which would leave that one
        nothing to do.
        """
        learns = self.config.fusion.kind == "running_mean" and (
            self.config.network.gate == "consistent"
        )
        return [
            parameter
            for name, parameter in self.dafnet.named_parameters()
            if (learns or ".scale_attention." not in name) and (self.training or name != "edit_lrs")
        ]

    def train(self, mode: bool = True) -> DAFNetAlgorithm:
        """Set the network's mode; the base model stays in evaluation mode."""
        super().train(mode)
        self.model.eval()
        return self

    def state_dict(self, *args: Any, **kwargs: Any) -> dict[str, Any]:  # type: ignore[override]
        """Only what is trained, as tensors; the base model is not saved."""
        return self.dafnet.state_dict(*args, **kwargs)

    def load_state_dict(self, state_dict: Mapping[str, Any], *args: Any, **kwargs: Any) -> Any:
        """The inverse of :meth:`state_dict`; the statistics of training come with it.

        Raises:
            CheckpointError: trained for other modules or settings.
        """
        load_trainer_state(self.dafnet, state_dict, self.config.edit_modules, "archive")
        self._edits_seen, self._text = STATISTICS_EDITS, []

    # -- preparation --------------------------------------------------------------------------

    def _text_to_preserve(self) -> list[Encoded]:
        """Text whose keys edits shall leave alone, until its statistics have been taken."""
        config = self.config
        if config.fusion.kind != "least_squares":
            return []
        if not config.text_path:
            LOG.warning(
                "least_squares without text_path: keys are compared as they are, not in the "
                "metric of text to be preserved"
            )
            return []
        texts = read_texts(config.text_path)
        from transformers import AutoTokenizer

        tokenizer = AutoTokenizer.from_pretrained(config.tokenizer_name)
        return encode_texts(tokenizer, texts, config.text_tokens, context_length(self.model))


class EditedModel:
    """The base model with other weights in some places, differentiable in those."""

    def __init__(self, model: Any, changed: Mapping[str, Tensor]) -> None:
        self.model, self.changed = model, dict(changed)

    def __call__(self, *_: Any, **batch: Any) -> Tensor:
        """Logits [texts, length, vocabulary], texts ending at the right."""
        return _logits(self.model, self.changed, batch)


def _logits(model: Any, changed: dict[str, Tensor], batch: Mapping[str, Any]) -> Tensor:
    """Logits of a batch of EasyEdit's, its rows moved so that every text ends at the right.

    The model itself sees the padding on the right, so that positions count from 0 whatever the
    model makes of padding. EasyEdit's labels are aligned with the end of the text.
    """
    ids, mask = batch["input_ids"], batch["attention_mask"]
    start, tokens = mask.argmax(1), mask.sum(1)
    inputs = {
        "input_ids": _rolled(ids, start),
        "attention_mask": _rolled(mask, start),
        "use_cache": False,
    }
    with evaluation_mode(model):  # EditTrainer puts the base model into training mode
        out = torch.func.functional_call(model, changed, (), inputs)
    return _rolled(out.logits, tokens - ids.shape[1])


def _rolled(rows: Tensor, start: Tensor) -> Tensor:
    """Roll each row of [texts, length, ...] to the left by its ``start`` [texts]."""
    length = rows.shape[1]
    index = (torch.arange(length, device=rows.device) + start[:, None]) % length
    return rows[torch.arange(len(rows), device=rows.device)[:, None], index]


def _encoded(
    batch: Mapping[str, Tensor], condition: Mapping[str, Tensor] | None, bos_token_id: Any
) -> list[Encoded]:
    """The texts of EasyEdit's batch, and where in each the target starts."""
    prompts = _rows(condition) if condition else [[]] * len(batch["input_ids"])
    encoded = []
    for text, prompt, row in zip(_rows(batch), prompts, batch["labels"], strict=True):
        start = _shared_end(text, prompt)
        if start is None:  # a condition cut short: as many target tokens as there are labels
            labels = row[row != IGNORED].tolist()
            own = labels[1:] if len(labels) > 1 and labels[0] == bos_token_id else labels
            start = max(1, len(text) - len(own))
        encoded.append(Encoded(tuple(text), start))
    return encoded


def _rows(batch: Mapping[str, Tensor]) -> list[list[int]]:
    """Token ids without padding."""
    return [
        ids[mask.bool()].tolist()
        for ids, mask in zip(batch["input_ids"], batch["attention_mask"], strict=True)
    ]


def _shared_end(text: list[int], condition: list[int]) -> int | None:
    """Length of the prompt: the longest start of a text that a condition ends with.

    The first two tokens may differ: a start token, and a first word with a space before it.
    """
    for end in range(min(len(text) - 1, len(condition)), 2, -1):
        if text[2:end] == condition[len(condition) - end + 2 :]:
            return end
    return None


def _labels(texts: list[Encoded]) -> Tensor:
    """The target tokens of texts, [texts, length], aligned at the right."""
    targets = [text.ids[text.target_start :] for text in texts]
    labels = torch.full((len(texts), max(1, *map(len, targets))), IGNORED)
    for row, target in zip(labels, targets):
        row[len(row) - len(target) :] = torch.tensor(target)
    return labels


def _batches(encoded: list[Encoded], device: torch.device) -> Iterator[TokenBatch]:
    for start in range(0, len(encoded), 16):
        yield collate(encoded[start : start + 16], 0).to(device)
