"""Transformer-Patcher and CaliNet, which add neurons beside the model's own."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from torch import Tensor

from benchmarks.methods.adapter import PlainAdapter, size_of
from dafnet_plugin.easyedit.compat import EasyEdit
from dafnet_plugin.methods.neurons import AddedNeurons, take_all_away


class NeuronAdapter(PlainAdapter):
    """The edited model is an ordinary one with other modules in some places."""

    def prepare(
        self, easyedit: EasyEdit, editor: Any, hparams: Any, texts: Sequence[str], seed: int
    ) -> None:
        """Let edits leave the base model's text alone, instead of what the YAML file names."""
        super().prepare(easyedit, editor, hparams, texts, seed)
        hparams.memory_path, hparams.memory_texts, hparams.seed = None, list(texts), seed

    def restore(self, editor: Any) -> None:
        """Put the model's own modules back; the method notices, and forgets the edits."""
        take_all_away(editor.model)

    def stored_bytes(self, model: Any, base: Mapping[str, Tensor]) -> int | None:
        """See :meth:`Adapter.stored_bytes`; the neurons."""
        holders = [module for module in model.modules() if isinstance(module, AddedNeurons)]
        return sum(size_of(tensor) for one in holders for tensor in one.neurons.tensors)
