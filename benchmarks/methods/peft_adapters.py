"""LoRA and DPO: low-rank adapters by PEFT."""

from __future__ import annotations

import contextlib
import functools
import sys
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from torch import Tensor

from benchmarks.methods.adapter import PlainAdapter, size_of
from dafnet_plugin.cases import EditCase
from dafnet_plugin.easyedit.compat import EasyEdit


class LoRAAdapter(PlainAdapter):
    """Trains one adapter on all edits of a sequence."""

    repair = (
        "goes on training one adapter, with the whole answer as its label; EasyEdit's wheel starts "
        "a new adapter at each edit (its main branch in DPO only), which loses the edits before, "
        "and masks out the first token of the answer"
    )

    def __init__(self, alg_name: str, repaired: bool = True) -> None:
        super().__init__(alg_name, repaired)
        self._model: Any = None

    def prepare(
        self, easyedit: EasyEdit, editor: Any, hparams: Any, texts: Sequence[str], seed: int
    ) -> None:
        """Let EasyEdit make an adapter once only."""
        super().prepare(easyedit, editor, hparams, texts, seed)
        module: Any = sys.modules[editor.apply_algo.__module__]
        # Another editor of this process may have left its own there.
        make = getattr(module.get_peft_model, "__wrapped__", module.get_peft_model)

        @functools.wraps(make)
        def make_once(model: Any, config: Any) -> Any:
            if self._model is None or not self.repaired:
                self._model = make(model, config)
            return self._model

        module.get_peft_model = make_once

    def edit(self, editor: Any, requests: Sequence[Mapping[str, Any]], hparams: Any) -> Any:
        """See :meth:`Adapter.edit`; dropout is for training only, which EasyEdit never ends."""
        if not self.repaired:
            return super().edit(editor, requests, hparams).eval()
        with _pad_token_apart(editor.tok, requests):
            return super().edit(editor, requests, hparams).eval()

    def restore(self, editor: Any) -> None:
        """Take the adapter out of the model."""
        if self._model is None:
            return
        self._model.unload()
        if hasattr(editor.model, "peft_config"):
            del editor.model.peft_config
        editor.model.gradient_checkpointing_disable()
        self._model = None

    def stored_bytes(self, model: Any, base: Mapping[str, Tensor]) -> int | None:
        """See :meth:`Adapter.stored_bytes`; the adapter's own weights."""
        return sum(size_of(p) for name, p in model.named_parameters() if "lora_" in name)


class DPOAdapter(LoRAAdapter):
    """DPO, for which the answer before the edit is the one to be avoided."""

    def request(self, case: EditCase, bystanders: Sequence[str] = ()) -> dict[str, Any]:
        """See :meth:`Adapter.request`."""
        request = super().request(case, bystanders)
        return request | {"target_neg": request["ground_truth"]}


@contextlib.contextmanager
def _pad_token_apart(tok: Any, requests: Sequence[Mapping[str, Any]]) -> Iterator[None]:
    """Let no token of the texts be the pad token.

    The wheel ends texts with the end of text, which is the pad token, takes that for a padding on
    the left, and masks out one token more than the prompt has.
    """
    text = " ".join(f"{request['prompt']} {request['target_new']}" for request in requests)
    used = {*tok(text)["input_ids"], *tok(f"{text} {tok.eos_token}")["input_ids"]}
    before = tok.pad_token_id
    tok.pad_token_id = next(token for token in range(len(tok)) if token not in used)
    try:
        yield
    finally:
        tok.pad_token_id = before
