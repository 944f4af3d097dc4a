"""Snapshots of a sequence, so that going back, or starting again, need not begin at the beginning.

Later edits look at earlier ones, so undoing an edit makes all later ones anew. Snapshots decide
how much more than that has to be made: what lies between the last one before it and the edit.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from pathlib import Path

from safetensors import SafetensorError
from safetensors.torch import load_file, save

from dafnet_plugin.artifacts.memory import memory_of, memory_size, memory_tensors
from dafnet_plugin.artifacts.record_json import Beginnings
from dafnet_plugin.editing.editor import DAFNetEditor
from dafnet_plugin.editing.record import Calls, Snapshot, begins, edits_of, latest
from dafnet_plugin.errors import CheckpointError
from dafnet_plugin.files import atomic_path

logger = logging.getLogger(__name__)


def thinned(places: Sequence[int], most: int, now: int) -> list[int]:
    """Which of many snapshots to keep: the older, the farther apart.

    One is dropped after the other, each time that whose loss costs least: the edits that would
    have to be made again, beside those that have to be anyway.

    Args:
        places: edits that each covers, ascending.
        now: edits of the sequence.
    """
    left = list(places)
    while len(left) > most:
        costs = [
            (place - before) / (now - place + 1)
            for before, place in zip([0, *left], left, strict=False)
        ]
        del left[costs.index(min(costs))]
    return left


def enough(edits: int) -> int:
    """How many snapshots keep what an undo makes again near what it has to, as edits grow.

    Thinned out, they lie at distances that double towards the past: the logarithm of the edits.
    """
    return edits.bit_length()


class SnapshotsInMemory:
    """The latest few snapshots, thinned towards the past.

    Args:
        most: how many are kept; None for :func:`enough`.
        room: bytes that they may take, of which two are kept even so, where ``most`` is None.
            Each takes as much as the edit memory of the model.
    """

    def __init__(self, most: int | None, room: int = 0) -> None:
        self._most, self._room = most, room
        self._kept: list[Snapshot] = []

    def put(self, snapshot: Snapshot) -> None:
        """Keep a snapshot; those that do not lead to it are of no use any more."""
        earlier = [one for one in self._kept if _leads(one.calls, snapshot.calls)]
        kept = {len(one.edits): one for one in [*earlier, snapshot]}
        most = self._most if self._most is not None else self._affordable(snapshot)
        places = thinned(sorted(kept), most, len(snapshot.edits))
        self._kept = [kept[place] for place in places]

    def _affordable(self, snapshot: Snapshot) -> int:
        size = 0 if snapshot.state is None else memory_size(snapshot.state)
        fitting = self._room // max(1, size)
        return min(enough(len(snapshot.edits)), max(2, fitting))

    def best(self, calls: Calls) -> Snapshot | None:
        """The latest snapshot that a sequence begins with."""
        return latest(one for one in self._kept if begins(calls, one.calls))


class SnapshotFolder:
    """Snapshots as files, each named by the edits it covers and the digest of their record.

    A file is whole or not there at all, and belongs to one record: nothing can be half-applied
    or taken for something else.

    Args:
        editor: whose snapshots they are.
        every: edits from one to the next.
        most: how many are kept.
    """

    def __init__(self, folder: Path, editor: DAFNetEditor, every: int, most: int) -> None:
        self._folder, self._editor = folder, editor
        self._every, self._most = every, most
        self._beginnings = Beginnings()
        for left_over in folder.glob(".*.safetensors.*"):
            left_over.unlink(missing_ok=True)  # of a process that was killed while writing

    def put(self, snapshot: Snapshot) -> None:
        """Write a snapshot if it is time for one, and remove those that are of no more use."""
        now, files = len(snapshot.edits), self._files(snapshot.calls)
        if snapshot.state is None or now - max(files, default=0) < self._every:
            return
        digest = self._beginnings.of(snapshot.calls)[-1]
        path = self._folder / f"{now}-{digest[:32]}.safetensors"
        try:
            with atomic_path(path) as temporary:
                temporary.write_bytes(save(memory_tensors(snapshot.state, self._editor)))
        except OSError as error:
            # The edit itself is a line of the journal; a snapshot only saves time.
            logger.warning(
                "%s: not written (%s); when the journal is opened again, more edits are made again",
                path,
                error,
            )
            return
        files[now] = path
        keep = {files[place] for place in thinned(sorted(files), self._most, now)}
        for file in self._folder.glob("*.safetensors"):
            if file not in keep:
                file.unlink(missing_ok=True)

    def best(self, calls: Calls) -> Snapshot | None:
        """The latest snapshot that a sequence begins with."""
        files = self._files(calls)
        for place in sorted(files, reverse=True):
            try:
                state = memory_of(load_file(files[place]), self._editor)
            except (SafetensorError, CheckpointError) as error:
                logger.warning(
                    "%s is damaged and of no use; edits are made again from an earlier one: %s",
                    files[place],
                    error,
                )
                files[place].unlink(missing_ok=True)
                continue
            lengths = [len(edits_of(calls[:number])) for number in range(len(calls) + 1)]
            return Snapshot(state, calls[: lengths.index(place)])
        return None

    def _files(self, calls: Calls) -> dict[int, Path]:
        """Files of snapshots that a sequence begins with, by the edits they cover."""
        digests = {digest[:32] for digest in self._beginnings.of(calls)}
        found = {}
        for file in self._folder.glob("*.safetensors"):
            place, _, digest = file.stem.partition("-")
            if digest in digests and place.isdecimal():
                found[int(place)] = file
        return found


def _leads(start: Calls, calls: Calls) -> bool:
    return len(start) < len(calls) and begins(calls, start)
