"""What undoes a call, to whoever calls it and to whoever copies weights back."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING

from torch import Tensor

from dafnet_plugin.editing.record import Snapshot

if TYPE_CHECKING:
    from dafnet_plugin.editing.editor import DAFNetEditor


class WeightsCopy(Mapping[str, Tensor]):
    """Weights before an edit by parameter name, and the edit memory that goes with them.

    A mapping to whoever copies the weights back (each tensor is computed when asked for, bit for
    bit what the model held); calling it restores weights and memory together.
    """

    def __init__(self, editor: DAFNetEditor, snapshot: Snapshot) -> None:
        self._editor = editor
        self.snapshot = snapshot

    def __getitem__(self, name: str) -> Tensor:
        # Whoever reads may copy back, even when this object is gone.
        self._editor._lent = self.snapshot
        return self._editor.weights_of(self.snapshot)[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._editor.parameter_names)

    def __len__(self) -> int:
        return len(self._editor.parameter_names)

    def __call__(self) -> None:
        """Put weights and edit memory back as they were."""
        self._editor.restore(self.snapshot)
