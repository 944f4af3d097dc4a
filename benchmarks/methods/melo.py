"""MELO: a vector database that switches blocks of a low-rank adapter on."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from benchmarks.methods.adapter import Adapter
from benchmarks.methods.asking import Question, ask_in_one_batch, ask_one_by_one
from dafnet_plugin.easyedit.compat import EasyEdit


class MELOAdapter(Adapter):
    """Edits one wrapped model; its modules are put back at the end."""

    repair = (
        "edits on with its database and adapter; EasyEdit wraps the model anew at each edit, and "
        "so forgets the edits before (Llama) or fails at the second one (GPT-2)"
    )
    sees_target = True

    def complete(self, hparams: Any, read: Callable[[str], Any]) -> None:
        """Turn the sections of the file into objects, as the method's ``from_hparams`` does."""
        module = sys.modules[type(hparams).__module__]
        for name, kind in (("grace", "GRACE"), ("model", "MODEL"), ("lora", "LoRA")):
            section = getattr(hparams, name)
            if isinstance(section, dict):
                setattr(hparams, name, getattr(module, f"{kind}HyperParams")(**section))
        hparams.model.name = hparams.model.tokenizer_name = hparams.model_name
        # Only a tokenizer is loaded from there, and not used for text.
        hparams.lora.cls_name = hparams.model_name

    def prepare(
        self, easyedit: EasyEdit, editor: Any, hparams: Any, texts: Sequence[str], seed: int
    ) -> None:
        """Remember the modules that the method will replace."""
        super().prepare(easyedit, editor, hparams, texts, seed)
        names = [hparams.model.grace_layer, *hparams.model.target_modules]
        self._replaced = {name: editor.model.get_submodule(name) for name in names}
        self._trainable = {name: p.requires_grad for name, p in editor.model.named_parameters()}
        self._wrapped: Any = None

    def edit(self, editor: Any, requests: Sequence[Mapping[str, Any]], hparams: Any) -> Any:
        """See :meth:`Adapter.edit`."""
        base = editor.model
        if self.repaired and self._wrapped is not None:
            editor.model = self._wrapped
        try:
            self._wrapped = super().edit(editor, requests, hparams)
        finally:
            editor.model = base
        return self._wrapped

    def restore(self, editor: Any) -> None:
        """Put the model's own modules back."""
        self._wrapped = None
        for name, module in self._replaced.items():
            editor.model.set_submodule(name, module)
        for name, parameter in editor.model.named_parameters():
            parameter.requires_grad_(self._trainable[name])

    def stored_bytes(self, model: Any, base: Mapping[str, Tensor]) -> int | None:
        """See :meth:`Adapter.stored_bytes`; keys, radii, and the blocks in use."""
        database = model.model.get_submodule(model.grace_layer)
        ranks = database.block_id * database.num_rank_per_block
        adapters = sum(
            ranks * (part.in_features + part.out_features)
            for part in map(model.model.get_submodule, model.lora_list)
        )
        keys = sum((len(row["points"]) + 1) * database.out_features + 1 for row in database.VecDB)
        return int((adapters + keys) * torch.finfo(torch.float32).bits // 8)

    def ask(self, model: Any, questions: Sequence[Question], pad_id: int) -> Tensor:
        """See :meth:`Adapter.ask`; the database is asked about the last token of the text."""
        if self._wrapped is None:
            return ask_in_one_batch(model, questions, pad_id)
        return ask_one_by_one(model.model, questions)
