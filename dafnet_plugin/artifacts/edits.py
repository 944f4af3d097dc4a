"""The edits of a model as things one can keep: list, undo, replace, save, load, export, journal."""

from __future__ import annotations

import logging
import os
from collections.abc import Sequence

import torch
from safetensors.torch import load_file
from torch import Tensor

from dafnet_plugin.artifacts.card import write_card
from dafnet_plugin.artifacts.export import Exported, export_peft
from dafnet_plugin.artifacts.identity import (
    check_base,
    check_network,
    identity_of_editor,
    sample_digest,
    warn_of_others,
)
from dafnet_plugin.artifacts.journal import SNAPSHOTS, Journal
from dafnet_plugin.artifacts.memory import memory_of
from dafnet_plugin.artifacts.saved_edits import (
    edits_of_editor,
    named_changes,
    read_edits,
    save_edits,
)
from dafnet_plugin.artifacts.snapshots import SnapshotFolder, SnapshotsInMemory
from dafnet_plugin.cases import EditRequest
from dafnet_plugin.editing.editor import DAFNetEditor
from dafnet_plugin.editing.modules import swapped_weights
from dafnet_plugin.editing.record import (
    Calls,
    Edit,
    Snapshot,
    edits_of,
    latest,
    with_other,
    without,
)
from dafnet_plugin.editing.weights_copy import WeightsCopy
from dafnet_plugin.errors import ConfigError, ModelError
from dafnet_plugin.versions import versions

logger = logging.getLogger(__name__)


class DAFNetEdits:
    """The edits that an editor's model carries.

    Args:
        editor: whose edits they are. Edits made through it, or through EasyEdit, are seen here.
        journal: a folder in which every change is on disk before the model has it. One that has
            edits already gives them to the model.
        snapshots: how many earlier states are kept in memory. Undoing an edit makes all later
            ones anew, and those between the edit and the last state kept before it. Each takes
            as much memory as the editor's own state, on the device that this is on: with least
            squares a matrix, after a consolidation two, of the squared input width of each
            edited module, its update, and some numbers an edit. None for the binary logarithm of
            the edits, so that what is between is about as much as what comes after.
        snapshot_room: bytes that these may take; two are kept even so. Only without ``snapshots``.
        snapshot_every: edits from one state in the journal to the next. Three are kept, each a
            file of the size that one takes in memory.

    Raises:
        ConfigError: the journal is open elsewhere, or it and the model have different edits.
        CheckpointError: the journal is damaged, or of another base model or network.
    """

    def __init__(
        self,
        editor: DAFNetEditor,
        journal: str | os.PathLike[str] | None = None,
        *,
        snapshots: int | None = None,
        snapshot_room: int = 2**30,
        snapshot_every: int = 50,
    ) -> None:
        if editor.keeper is not None:
            raise ConfigError("this editor's edits are kept already; close that DAFNetEdits first")
        self.editor = editor
        self._journal: Journal | None = None
        in_memory = SnapshotsInMemory(snapshots, snapshot_room)
        self._stores: list[SnapshotsInMemory | SnapshotFolder] = [in_memory]
        editor.synchronise()
        if journal is not None:
            self._open(journal, snapshot_every)
        editor.keeper = self

    def _open(self, folder: str | os.PathLike[str], every: int) -> None:
        identity = identity_of_editor(self.editor)
        calls = self.editor.snapshot().calls
        journal = Journal(folder)
        try:
            if journal.header is None:
                journal.begin(identity)
                journal.write(calls, sample_digest(self.editor.weights.parameters))
            else:
                check_base(identity["base"], journal.header["base"], str(journal.path))
                check_network(identity, journal.header, str(journal.path))
                here = {**identity, "versions": versions()}
                warn_of_others(here, journal.header, str(journal.path))
            if calls and calls != journal.calls:
                raise ConfigError(
                    f"{journal.path}: has {_edits(journal.calls)}, the model carries "
                    f"{_edits(calls)}, others; load the base model anew, or name another folder"
                )
            store = SnapshotFolder(journal.folder / SNAPSHOTS, self.editor, every, most=3)
            self._journal, self._stores = journal, [*self._stores, store]
            self.editor.keeper = self
            expected = journal.weights
            self.editor.remake(journal.calls)
            if expected not in (None, sample_digest(self.editor.weights.parameters)):
                logger.warning(
                    "%s: made again, by another kind of machine or other versions, the edits are "
                    "not bit for bit what they were",
                    journal.path,
                )
        except BaseException:
            self.editor.keeper = None
            journal.close()
            raise

    @property
    def journalled(self) -> bool:
        """Whether every change is on disk before the model has it."""
        return self._journal is not None

    # -- what the editor tells and asks ---------------------------------------------------------

    def keep(self, before: Snapshot, after: Snapshot, values: Sequence[Tensor]) -> None:
        """Write a change down; see :class:`dafnet_plugin.editing.record.Keeper`."""
        for store in self._stores:
            store.put(after)
        if self._journal is not None:
            self._journal.write(after.calls, sample_digest(values))

    def known(self, calls: Calls) -> Snapshot | None:
        """The latest snapshot that a sequence begins with."""
        return latest(store.best(calls) for store in self._stores)

    # -- edits ----------------------------------------------------------------------------------

    def edit(
        self, requests: Sequence[EditRequest], case_ids: Sequence[str] | None = None
    ) -> WeightsCopy:
        """Add edits, see :meth:`DAFNetEditor.edit`."""
        self._check_alive()
        return self.editor.edit(requests, case_ids)

    def list(self) -> list[Edit]:
        """The edits that the model carries, in the order they were made."""
        self._synchronise()
        return [*self.editor.snapshot().edits]

    def undo(self, case_id: str) -> WeightsCopy:
        """Remove one edit from the sequence as if it had never been made.

        The model then holds, bit for bit, what it would if the same calls had been made without
        that edit: later edits are made anew, since they looked at it.

        Returns:
            what brings it back.

        Raises:
            DataError: there is no such edit.
            NumericalError, ModelError: as in editing; nothing was changed.
        """
        self._synchronise()
        return self.editor.remake(without(self.editor.snapshot().calls, case_id))

    def replace(self, case_id: str, request: EditRequest) -> WeightsCopy:
        """Let another request stand in an edit's place, as if it had been made instead.

        Returns:
            what brings the old one back.

        Raises:
            DataError, NumericalError, ModelError: as :meth:`undo`.
        """
        self._synchronise()
        return self.editor.remake(with_other(self.editor.snapshot().calls, case_id, request))

    # -- keeping --------------------------------------------------------------------------------

    def save(
        self,
        folder: str | os.PathLike[str],
        *,
        memory: bool = False,
        license: str | None = None,
    ) -> None:
        """Write the edits as a folder that can be loaded, exported and pushed to a hub.

        Args:
            memory: write the edit memory, too, with which :meth:`load` need not make the edits
                again.
            license: for the model card; None for nothing said.

        Raises:
            DataError: the model carries no edits.
        """
        self._synchronise()
        saved = save_edits(self.editor, folder, memory=memory)
        write_card(saved, folder, license=license)

    @torch.no_grad()
    def load(self, folder: str | os.PathLike[str]) -> None:
        """Give the model the edits of a saved folder, to go on from there.

        Without saved memory they are made again, which on another kind of machine may differ in
        rounding; a warning says so. (To serve edits without an editor, see
        :meth:`dafnet_plugin.artifacts.saved_edits.SavedEdits.apply`.)

        Raises:
            CheckpointError: the folder is damaged, or of another base model or network.
            ConfigError: the model carries edits already.
        """
        saved, editor = read_edits(folder), self.editor
        self._synchronise()
        if editor.snapshot().calls:
            raise ConfigError(
                f"{folder}: the model carries {_edits(editor.snapshot().calls)} already; "
                "undo them first (editor.reset())"
            )
        identity = identity_of_editor(editor)
        check_base(identity["base"], saved.about["base"], str(folder))
        check_network(identity, saved.about, str(folder))
        warn_of_others(identity, saved.about, str(folder))
        if saved.memory is not None:
            state = memory_of(load_file(saved.memory), editor)
            editor.restore(Snapshot(state, saved.calls))
        else:
            editor.remake(saved.calls)
        now = named_changes(editor)
        apart = max(float((now[name] - saved.changes[name]).abs().max()) for name in now)
        if apart:
            logger.warning(
                "%s: made again on another kind of machine, or with other versions, the edits "
                "differ from those saved by up to %.1e a weight",
                folder,
                apart,
            )

    def export_peft(
        self, folder: str | os.PathLike[str], rank: int | None = None, **about: str | None
    ) -> Exported:
        """Write the edits as a LoRA adapter that PEFT loads and merges.

        Args:
            rank: highest rank of a module's adapter; None for whatever is exact.
            about: ``base_model`` and ``license``, see
                :func:`dafnet_plugin.artifacts.export.export_peft`.

        Returns:
            how far the adapter is from the edits, which its model card says as well.

        Raises:
            DataError: the model carries no edits, or they change nothing.
            ConfigError: a rank below 1, or PEFT is too old for edited biases.
        """
        self._synchronise()
        saved, weights = edits_of_editor(self.editor, folder), self.editor.weights
        with swapped_weights(weights.parameters, weights.originals):
            model, tokenizer = self.editor.model, self.editor.tokenizer
            return export_peft(saved, folder, rank, model, tokenizer, **about)

    def close(self) -> None:
        """Let go of the journal; the model keeps its edits, and further ones are not kept.

        What was restored by copying weights back is in the journal before.
        """
        try:
            if self.editor.keeper is self:
                self._synchronise()
        except ModelError as error:
            logger.warning("the edits last kept are not those of the model any more: %s", error)
        finally:
            if self.editor.keeper is self:
                self.editor.keeper = None
            if self._journal is not None:
                self._journal.close()

    def _synchronise(self) -> None:
        """Let the edits follow weights that somebody copied back."""
        self._check_alive()
        self.editor.synchronise()

    def _check_alive(self) -> None:
        try:
            self.editor.model.training  # noqa: B018  # EasyEdit's model is held weakly
        except ReferenceError as error:
            raise ModelError(
                "the model of these edits is gone, nothing refers to it any more; keep the editor: "
                "editor = BaseEditor.from_hparams(...); edits_of(editor)"
            ) from error


def _edits(calls: Calls) -> str:
    number = len(edits_of(calls))
    return f"{number} edit" + ("" if number == 1 else "s")
