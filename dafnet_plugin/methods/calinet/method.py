"""CaliNet: slots beside feed-forward modules, calibrated on paraphrases of facts.

The model is frozen; the slots' values begin at zero, so that untrained slots change nothing. They
are trained to give the true object of each fact after several ways to ask for it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from dafnet_plugin.cases import EditRequest, read_cases, read_request
from dafnet_plugin.editing.losses import locality_kl, target_nll
from dafnet_plugin.editing.modules import evaluation_mode, frozen, model_device
from dafnet_plugin.editing.scoring import scored_labels, scored_logits
from dafnet_plugin.errors import DataError, NumericalError
from dafnet_plugin.methods.calinet.hparams import CaliNetHparams
from dafnet_plugin.methods.editing import NeuronEditor, Snapshot
from dafnet_plugin.methods.neurons import Neurons, joined, tried
from dafnet_plugin.tokens import Encoded, TokenBatch, collate, pad_id_of


@dataclass(frozen=True)
class Fact:
    """An edit request with the ways to ask for it.

    Attributes:
        paraphrases: prompts beside the request's own; None if they are not known.
    """

    request: EditRequest
    paraphrases: tuple[str, ...] | None = None


def build_editor(hparams: CaliNetHparams, model: nn.Module, tokenizer: Any) -> CaliNetEditor:
    """See :class:`CaliNetEditor`."""
    return CaliNetEditor(hparams, model, tokenizer)


class CaliNetEditor(NeuronEditor[CaliNetHparams]):
    """Calibrates one model, all facts of a call together."""

    def __init__(self, hparams: CaliNetHparams, model: nn.Module, tokenizer: Any) -> None:
        super().__init__(hparams, model, tokenizer)
        cases = read_cases(hparams.paraphrase_path) if hparams.paraphrase_path else []
        self._known = {
            case.request.prompt: tuple(probe.prompt for probe in case.generality) for case in cases
        }
        self._encoded_facts: dict[tuple[Fact, tuple[str, ...], bool], list[Encoded]] = {}

    def read(self, record: Mapping[str, Any]) -> Fact:
        """See :meth:`NeuronEditor.read`; ``paraphrases`` may be given with a request."""
        request = read_request(record)
        given = record.get("paraphrases")
        if given is None:
            return Fact(request, self._known.get(request.prompt))
        if isinstance(given, str) or not all(isinstance(p, str) and p.strip() for p in given):
            raise DataError(
                f"edit request {request.prompt!r}: paraphrases is {given!r}; allowed: a list of "
                "non-empty prompts"
            )
        return Fact(request, tuple(given))

    def extended(
        self, snapshot: Snapshot, requests: Sequence[Fact], generator: torch.Generator
    ) -> Snapshot:
        """See :meth:`NeuronEditor.extended`."""
        new = [text for fact in requests for text in self._texts(fact)]
        # A prompt that is calibrated again has its last target.
        again = {fact.request.prompt for fact in requests}
        past = [f for f in snapshot.memory if f.request.prompt not in again]
        old = [text for fact in past for text in self._texts(fact)]
        subjects = {fact.request.subject for fact in (*past, *requests)}
        preserved = self._preserved(subjects, generator)
        adds = self.hparams.sequential == "add"
        if adds or not len(snapshot.neurons[0]):
            slots = tuple(self._fresh(none.keys, generator) for none in self._none.neurons)
        else:
            slots = snapshot.neurons
        # What is trained is tried beside what stays; slots that are retrained are not there twice.
        self.restore(snapshot if adds else self._none)
        slots = self._trained(slots, new, old, preserved, generator)
        if adds:
            slots = tuple(joined(*pair) for pair in zip(snapshot.neurons, slots, strict=True))
        made = tuple(fact.request for fact in requests)
        return Snapshot(slots, (*snapshot.requests, *made), (*past, *requests))

    def pack(self, memory: Sequence[Fact]) -> tuple[dict[str, Tensor], list[Any]]:
        """See :meth:`NeuronEditor.pack`; facts are plain data."""
        return {}, [
            {
                "request": {name: getattr(f.request, name) for name in f.request.__slots__},
                "paraphrases": None if f.paraphrases is None else list(f.paraphrases),
            }
            for f in memory
        ]

    def unpack(self, tensors: Mapping[str, Tensor], described: Sequence[Any]) -> tuple[Fact, ...]:
        """See :meth:`NeuronEditor.unpack`."""
        return tuple(
            Fact(
                EditRequest(**item["request"]),
                None if item["paraphrases"] is None else tuple(item["paraphrases"]),
            )
            for item in described
        )

    def _texts(self, fact: Fact) -> list[Encoded]:
        """All ways to ask for a fact, with its target; earlier facts are asked again and again."""
        key = fact, tuple(self.hparams.contexts), self.hparams.use_chat_template
        if key not in self._encoded_facts:
            prompt = fact.request.prompt
            prompts = [context.replace("{}", prompt) for context in self.hparams.contexts]
            if fact.paraphrases is not None:
                prompts = list(dict.fromkeys((prompt, *fact.paraphrases)))
            target = fact.request.target_new
            self._encoded_facts[key] = self.encoded([(one, target) for one in prompts])
        return self._encoded_facts[key]

    def _fresh(self, none: Tensor, generator: torch.Generator) -> Neurons:
        """Slots that change nothing yet, on the device of ``none`` [0, d]."""
        count, width = self.hparams.slots, none.shape[1]
        keys = torch.randn(count, width, generator=generator) / width**0.5
        zeros = torch.zeros(count, width)
        return Neurons(*(t.to(none) for t in (keys, torch.zeros(count), zeros)))

    def _preserved(
        self, subjects: set[str | None], generator: torch.Generator
    ) -> tuple[TokenBatch, Tensor] | None:
        """Sentences about none of the subjects, and what the unedited model says there."""
        hparams = self.hparams
        if not hparams.locality or not len(self.sentences):
            return None
        order = torch.randperm(len(self.sentences), generator=generator).tolist()
        names = [subject for subject in subjects if subject]
        chosen = [
            self.sentences.encoded[index]
            for index in order[: 2 * hparams.locality_texts]
            if not any(name in self.sentences.texts[index] for name in names)
        ][: hparams.locality_texts]
        if not chosen:
            return None
        batch = self._batch(chosen)
        self.restore(self._none)
        with torch.no_grad(), evaluation_mode(self.model):
            return batch, scored_logits(self.model, batch)

    def _batch(self, texts: Sequence[Encoded]) -> TokenBatch:
        return collate(texts, pad_id_of(self.tokenizer)).to(model_device(self.model))

    def _trained(
        self,
        slots: Sequence[Neurons],
        new: list[Encoded],
        old: list[Encoded],
        preserved: tuple[TokenBatch, Tensor] | None,
        generator: torch.Generator,
    ) -> tuple[Neurons, ...]:
        """The slots after training; biases stay at zero, as the paper's slots have none."""
        hparams = self.hparams
        slots = [
            Neurons(s.keys.clone().requires_grad_(), s.biases, s.values.clone().requires_grad_())
            for s in slots
        ]
        trained = [tensor for s in slots for tensor in (s.keys, s.values)]
        optimiser = torch.optim.Adam(trained, hparams.lr)
        places = {name: (s, hparams.activation) for name, s in zip(self.paths, slots, strict=True)}

        def drawn(texts: list[Encoded], most: int) -> list[Encoded]:
            if len(texts) <= most:
                return texts
            order = torch.randperm(len(texts), generator=generator)[:most]
            return [texts[index] for index in order.tolist()]

        model = self.model
        with frozen(model), evaluation_mode(model), torch.enable_grad(), tried(model, places):
            for _ in range(hparams.steps):
                asked = drawn(new, hparams.texts_per_step)
                replayed = (
                    hparams.texts_per_step if hparams.sequential == "retrain" else hparams.replay
                )
                batch = self._batch([*asked, *drawn(old, replayed)])
                loss = target_nll(scored_logits(model, batch), scored_labels(batch))
                if loss.item() < hparams.goal:
                    break
                if preserved is not None:
                    text, before = preserved
                    loss = loss + hparams.locality * locality_kl(before, scored_logits(model, text))
                if not torch.isfinite(loss):
                    raise NumericalError(
                        f"calibration diverged: the loss is {loss.item()}; lower lr ({hparams.lr})"
                    )
                for tensor, gradient in zip(trained, torch.autograd.grad(loss, trained)):
                    tensor.grad = gradient
                optimiser.step()
        return tuple(s.detached() for s in slots)
