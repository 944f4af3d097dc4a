"""How a method of EasyEdit is driven, where nothing is special about it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, ClassVar

import torch
from torch import Tensor

from benchmarks.methods.asking import (
    Question,
    ask_in_one_batch,
    device_of,
    next_token_question,
    target_questions,
)
from dafnet_plugin.cases import EditCase
from dafnet_plugin.easyedit.compat import EasyEdit
from dafnet_plugin.tokens import Encoded


class Adapter:
    """Drives one method on one model in one process.

    Subclasses say what is special about a method: what its request holds, what it needs before
    the first edit, how its edited model is asked, what it leaves behind.

    Args:
        alg_name: the method's name in EasyEdit.
        repaired: mend what EasyEdit gets wrong in a sequence of edits; False runs it as it is.

    Attributes:
        repair: what ``repaired`` changes, as a sentence for the report; None if nothing.
        sees_target: the edited model decides by the whole text what it says, so that the target
            it is scored on helps it, as in EasyEdit's own evaluation.
    """

    repair: ClassVar[str | None] = None
    sees_target: ClassVar[bool] = False

    def __init__(self, alg_name: str, repaired: bool = True) -> None:
        self.alg_name, self.repaired = alg_name, repaired

    # -- hyper-parameters -----------------------------------------------------------------------

    def translate(self, values: dict[str, Any]) -> dict[str, Any]:
        """Turn the values of a YAML file into fields, as the method's ``from_hparams`` does."""
        return values

    def derived(self, values: Mapping[str, Any], overrides: Mapping[str, Any]) -> dict[str, Any]:
        """Hyper-parameters that follow from others, such as from where the archive is."""
        return {}

    def complete(self, hparams: Any, read: Callable[[str], Any]) -> None:
        """Add what a method's file leaves to other files.

        Args:
            read: the hyper-parameters of a method, from its file of the same name.
        """

    # -- a sequence of edits --------------------------------------------------------------------

    def request(self, case: EditCase, bystanders: Sequence[str] = ()) -> dict[str, Any]:
        """A case's request in EasyEdit's fields.

        Args:
            bystanders: prompts about nothing that is edited, for methods that keep one in place.

        Raises:
            DataError: the method cannot edit such a prompt.
        """
        request = case.request
        return {
            "prompt": request.prompt,
            "target_new": request.target_new,
            "ground_truth": request.ground_truth or "<|endoftext|>",
            "subject": request.subject or request.prompt,
            "portability": {},
            "locality": {},
        }

    def prepare(
        self, easyedit: EasyEdit, editor: Any, hparams: Any, texts: Sequence[str], seed: int
    ) -> None:
        """Provide what the method needs before its first edit; called once, never timed.

        Args:
            texts: sentences like those the base model was trained on.
            seed: of everything drawn here.

        Raises:
            DataError, ModelError: it cannot be provided.
        """
        reset_singleton(editor)

    def edit(self, editor: Any, requests: Sequence[Mapping[str, Any]], hparams: Any) -> Any:
        """Edit on top of what was edited before.

        Returns:
            the edited model; only this adapter knows how to ask it.
        """
        model, _ = editor.apply_algo(
            editor.model,
            editor.tok,
            [dict(request) for request in requests],
            hparams,
            copy=False,
            return_orig_weights=True,
            keep_original_weight=False,
        )
        return model

    def restore(self, editor: Any) -> None:
        """Drop whatever edits left behind, but for changed weights.

        Afterwards ``editor.model`` has its own modules and parameter names again. Harmless
        without an edit.
        """

    def stored_bytes(self, model: Any, base: Mapping[str, Tensor]) -> int | None:
        """Bytes that must be kept, beside the base model, to serve the edited one.

        Args:
            model: what :meth:`edit` returned, not yet restored.
            base: weights and buffers of the unedited model, by name.

        Returns:
            the size of every tensor that differs from its base; None where it is not known.
        """
        tensors = [*model.named_parameters(), *model.named_buffers()]
        return sum(
            size_of(value)
            for name, value in tensors
            if name not in base or not torch.equal(value, base[name])
        )

    # -- asking ---------------------------------------------------------------------------------

    @torch.no_grad()
    def scored_logits(self, model: Any, texts: Sequence[Encoded], pad_id: int) -> Tensor:
        """The logits [target tokens, vocabulary], float32, that predict the targets of texts."""
        return self.ask(model, target_questions(texts), pad_id)

    @torch.no_grad()
    def greedy(
        self, model: Any, prompts: Sequence[Sequence[int]], new_tokens: int, pad_id: int
    ) -> list[list[int]]:
        """The likeliest next tokens, one after another; always ``new_tokens`` for each prompt."""
        answers: list[list[int]] = [[] for _ in prompts]
        for _ in range(new_tokens):
            questions = [next_token_question(p, a) for p, a in zip(prompts, answers, strict=True)]
            found = self.ask(model, questions, pad_id).argmax(-1).tolist()
            for answer, token in zip(answers, found, strict=True):
                answer.append(token)
        return answers

    def ask(self, model: Any, questions: Sequence[Question], pad_id: int) -> Tensor:
        """The logits [wanted positions of all questions, vocabulary] in float32."""
        return ask_in_one_batch(model, questions, pad_id)


class PlainAdapter(Adapter):
    """For methods whose edited model is an ordinary ``transformers`` model."""

    @torch.no_grad()
    def greedy(
        self, model: Any, prompts: Sequence[Sequence[int]], new_tokens: int, pad_id: int
    ) -> list[list[int]]:
        """See :meth:`Adapter.greedy`; with a cache of keys and values."""
        width = max(map(len, prompts))
        device = device_of(model)
        ids = torch.full((len(prompts), width), pad_id, device=device)
        mask = torch.zeros_like(ids)
        for row, prompt in enumerate(prompts):
            ids[row, width - len(prompt) :] = torch.tensor(prompt, device=device)
            mask[row, width - len(prompt) :] = 1
        cache = None
        answers: list[Tensor] = []
        for step in range(new_tokens):
            positions = (mask.cumsum(-1) - 1).clamp_min(0)
            output = model(
                input_ids=ids if step == 0 else answers[-1],
                attention_mask=mask,
                position_ids=positions if step == 0 else positions[:, -1:],
                past_key_values=cache,
                use_cache=True,
            )
            cache = output.past_key_values
            answers.append(output.logits[:, -1:].argmax(-1))
            mask = torch.cat([mask, torch.ones_like(answers[-1])], -1)
        return torch.cat(answers, -1).tolist() if answers else [[] for _ in prompts]


def reset_singleton(editor: Any) -> None:
    """Let an executor that EasyEdit keeps for the whole process take this editor's model.

    It would otherwise go on editing the model of the first editor there was.
    """
    executor: Any = getattr(editor.apply_algo, "__self__", None)
    if getattr(executor, "is_init", False):
        executor.reset_model()


def size_of(value: Tensor) -> int:
    """Bytes of a tensor's values."""
    return value.numel() * value.element_size()
