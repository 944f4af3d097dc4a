"""GRACE, DEFER and WISE: a module of the model is replaced by one that remembers edits."""

from __future__ import annotations

import zlib
from collections.abc import Callable, Mapping, Sequence
from types import SimpleNamespace
from typing import Any, cast

import torch
from torch import Tensor, nn

from benchmarks.methods.adapter import Adapter, size_of
from benchmarks.methods.asking import (
    Question,
    ask_in_one_batch,
    ask_one_by_one,
    groups_by,
)
from dafnet_plugin.cases import EditCase
from dafnet_plugin.easyedit.compat import EasyEdit


class WrapperAdapter(Adapter):
    """What these methods have in common.

    Attributes:
        wrapper: class name of the module that takes the place of one of the model's.
        original: its attribute with the module it replaced.
    """

    wrapper = ""
    original = "layer"

    def restore(self, editor: Any) -> None:
        """Put the model's own module back."""
        for parent in list(editor.model.modules()):
            for name, child in list(parent.named_children()):
                if type(child).__name__ == self.wrapper:
                    setattr(parent, name, getattr(child, self.original))

    def found(self, model: Any) -> Any:
        """The module that remembers; None in a model without edits."""
        modules = (m for m in model.modules() if type(m).__name__ == self.wrapper)
        return next(modules, None)

    def ask(self, model: Any, questions: Sequence[Question], pad_id: int) -> Tensor:
        """See :meth:`Adapter.ask`; the module decides for a whole batch, so texts go alone."""
        if self.found(model) is None:
            return super().ask(model, questions, pad_id)
        return ask_one_by_one(model, questions)


class GRACEAdapter(WrapperAdapter):
    """GRACE: a codebook of keys at the end of the prompt."""

    wrapper = "GRACEAdapter"
    repair = (
        "looks up each text at the end of its own prompt (EasyEdit: where the prompt of the last "
        "edit ended), and can train an edit that shares a key with an earlier one (EasyEdit has "
        "frozen its value by then, and fails)"
    )

    def edit(self, editor: Any, requests: Sequence[Mapping[str, Any]], hparams: Any) -> Any:
        """See :meth:`Adapter.edit`."""
        model = super().edit(editor, requests, hparams)
        codebook = self.found(editor.model)
        if self.repaired and not codebook._forward_pre_hooks:
            codebook.register_forward_pre_hook(_thaw)
        return model

    def ask(self, model: Any, questions: Sequence[Question], pad_id: int) -> Tensor:
        """See :meth:`Adapter.ask`."""
        codebook = self.found(model)
        if codebook is None or not self.repaired:
            return super().ask(model, questions, pad_id)
        left = codebook.key_id
        answers: list[Tensor] = [torch.empty(0)] * len(questions)
        for prompt_end, group in groups_by([q.prompt_end for q in questions]).items():
            codebook.key_id = prompt_end - 1
            part = [questions[index] for index in group]
            found = ask_in_one_batch(model.model, part, pad_id)
            for index, answer in zip(group, found.split([q.size for q in part]), strict=True):
                answers[index] = answer
        codebook.key_id = left
        return torch.cat(answers)

    def stored_bytes(self, model: Any, base: Mapping[str, Tensor]) -> int | None:
        """See :meth:`Adapter.stored_bytes`; keys, values and radii."""
        codebook = self.found(model)
        return sum(map(size_of, (codebook.keys, codebook.values, codebook.epsilons)))


def _thaw(codebook: Any, _: object) -> None:
    # The values are frozen with the model's own weights whenever an edit begins. An edit that
    # finds a key with its answer near by would then have nothing to train.
    if codebook.training and "values" in codebook._parameters:
        codebook.values.requires_grad_(True)


class DEFERAdapter(WrapperAdapter):
    """DEFER: one small layer that decides and answers for all edits."""

    wrapper = "DeferAdaptor"
    sees_target = True
    original = "original_layer"

    def stored_bytes(self, model: Any, base: Mapping[str, Tensor]) -> int | None:
        """See :meth:`Adapter.stored_bytes`."""
        found = self.found(model)
        return sum(map(size_of, (*found.defer.parameters(), *found.predict_values.parameters())))


class WISEAdapter(WrapperAdapter):
    """WISE: a second set of weights for edits, and a router between the two."""

    wrapper = "WISEAdapter"
    sees_target = True
    repair = (
        "edits on (EasyEdit's hyper-parameters lack the flag `sequential_edit`, without which "
        "each edit starts anew), reads saved shards of a GPT-2 as the transposed matrices they "
        "are, and cuts the unrelated prompt to the length of the edit (the answer is masked out "
        "otherwise)"
    )

    def translate(self, values: dict[str, Any]) -> dict[str, Any]:
        """See :meth:`Adapter.translate`."""
        margins = values.pop("act_margin", None)
        if isinstance(margins, list) and len(margins) == 3:
            values |= dict(zip(("alpha", "beta", "gamma"), margins, strict=True))
        return values

    def request(self, case: EditCase, bystanders: Sequence[str] = ()) -> dict[str, Any]:
        """See :meth:`Adapter.request`; one bystander, or else the subject, is kept in place."""
        request = super().request(case)
        chosen = zlib.crc32(case.case_id.encode()) % len(bystanders) if bystanders else 0
        return request | {"loc_prompt": bystanders[chosen] if bystanders else request["subject"]}

    def prepare(
        self, easyedit: EasyEdit, editor: Any, hparams: Any, texts: Sequence[str], seed: int
    ) -> None:
        """Turn off made-up contexts (see :class:`LocateAdapter`), and repair."""
        super().prepare(easyedit, editor, hparams, texts, seed)
        tokens: Any = easyedit.module("models.wise.utils")
        tokens.CONTEXT_TEMPLATES_CACHE = ["{}"]
        self._module = cast(Any, easyedit.module("models.wise.WISE"))
        hparams.sequential_edit = self.repaired
        name = hparams.inner_params[0].replace("[", ".").replace("]", "").removesuffix(".weight")
        layer = editor.model.get_submodule(name)
        if self.repaired and not isinstance(layer, nn.Linear):
            self._module.F = SimpleNamespace(linear=_transposed(layer.bias))
        self.restore(editor)

    def edit(self, editor: Any, requests: Sequence[Mapping[str, Any]], hparams: Any) -> Any:
        """See :meth:`Adapter.edit`."""
        if self.repaired:
            requests = [self._with_short_bystander(editor.tok, r) for r in requests]
        return super().edit(editor, requests, hparams)

    @staticmethod
    def _with_short_bystander(tok: Any, request: Mapping[str, Any]) -> dict[str, Any]:
        room = len(tok(f"{request['prompt']} {request['target_new']}")["input_ids"])
        ids = tok(request["loc_prompt"])["input_ids"][:room]
        return {**request, "loc_prompt": tok.decode(ids, skip_special_tokens=True)}

    def restore(self, editor: Any) -> None:
        """Put the model's own module back and forget the texts of past edits."""
        super().restore(editor)
        self._module.edit_history, self._module.merge_group_edit_history = [], []

    def stored_bytes(self, model: Any, base: Mapping[str, Tensor]) -> int | None:
        """See :meth:`Adapter.stored_bytes`; every set of weights that is not the original one."""
        found = self.found(model)
        weights = (found.new_weight, found.layer.weight, *found.memory_weight)
        original = found.original_layer.weight
        return sum(size_of(weight) for weight in weights if not torch.equal(weight, original))


def _transposed(bias: Tensor) -> Callable[[Tensor, Tensor], Tensor]:
    """``F.linear`` for weights [d_in, d_out], as GPT-2 stores them."""
    return lambda x, weight: x @ weight + bias
