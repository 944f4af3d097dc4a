"""MEND, MALMEN and UltraEdit, whose executors live as long as the process."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar

from benchmarks.methods.adapter import PlainAdapter
from dafnet_plugin.easyedit.compat import EasyEdit


class ExecutorAdapter(PlainAdapter):
    """MALMEN and UltraEdit, whose executors forget that they were set up.

    UltraEdit's normaliser is meant to run over all edits (it is called lifelong); MALMEN's goes on
    from meta-training.
    """

    repair: ClassVar[str | None] = (
        "sets the executor up once; EasyEdit does so at each edit, so that statistics of past "
        "edits are lost (UltraEdit's lifelong normaliser) and the archive is read again (MALMEN)"
    )

    def prepare(
        self, easyedit: EasyEdit, editor: Any, hparams: Any, texts: Sequence[str], seed: int
    ) -> None:
        """Set the executor up for this editor's model, whatever it was set up for before."""
        super().prepare(easyedit, editor, hparams, texts, seed)
        self._hparams = hparams
        self.set_up(editor.apply_algo.__self__, editor)

    def set_up(self, executor: Any, editor: Any) -> None:
        """Begin with fresh statistics."""
        executor.init_model(editor.model, editor.tok, self._hparams)
        executor.is_init = self.repaired

    def restore(self, editor: Any) -> None:
        """Forget the statistics of past edits."""
        self.set_up(editor.apply_algo.__self__, editor)


class MENDAdapter(ExecutorAdapter):
    """MEND, whose networks EasyEdit's wheel leaves in training mode."""

    repair = (
        "edits with the statistics of meta-training; EasyEdit's wheel leaves the networks in "
        "training mode, which replaces them by those of the edits made (its main branch does not)"
    )

    def set_up(self, executor: Any, editor: Any) -> None:
        """Load the archive."""
        executor.init_model(editor.model, editor.tok, self._hparams)
        if self.repaired:
            executor.alg.eval()
