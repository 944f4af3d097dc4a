"""Snapshots decide how much an undo makes again, and how much room they take."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dafnet_plugin.artifacts.edits import DAFNetEdits
from dafnet_plugin.artifacts.memory import memory_size, memory_tensors
from dafnet_plugin.artifacts.snapshots import SnapshotsInMemory, enough, thinned
from dafnet_plugin.editing.record import Snapshot
from tests.artifacts.test_edits import FACTS, make


@pytest.mark.parametrize(("snapshots", "last", "last_but_one"), [(0, 5, 5), (1, 0, 5), (3, 0, 1)])
def test_only_later_edits_are_made_again(snapshots: int, last: int, last_but_one: int) -> None:
    one = make("least_squares")
    edits = DAFNetEdits(one, snapshots=snapshots)
    for fact in FACTS[:6]:
        edits.edit([fact])
    texts: list[int] = []
    one.model.transformer.wte.register_forward_pre_hook(
        lambda _, inputs: texts.append(inputs[0].shape[0])
    )
    edits.undo("6")
    assert sum(texts) == last
    edits.edit([FACTS[7]], ["new"])
    texts.clear()
    edits.undo("5")
    assert sum(texts) == last_but_one


@given(places=st.sets(st.integers(1, 200)), most=st.integers(0, 6))
def test_snapshots_kept_are_the_nearest_and_few(places: set[int], most: int) -> None:
    ascending = sorted(places)
    kept = thinned(ascending, most, ascending[-1] if ascending else 0)
    assert len(kept) == min(most, len(places)) and set(kept) <= places and kept == sorted(kept)
    one_by_one: list[int] = []
    for place in range(1, 65):
        one_by_one = thinned([*one_by_one, place], 4, place)
        assert len(one_by_one) == min(4, place)
    # Whatever is undone, hardly more is made again than has to be.
    for undone in range(1, 65):
        start = max((place for place in one_by_one if place < undone), default=0)
        assert undone - 1 - start <= 3 * (64 - undone) + 24


def test_by_default_what_is_made_again_grows_as_what_has_to_be() -> None:
    """The rule alone, at a thousand edits."""
    kept: list[int] = []
    for place in range(1, 1001):
        kept = thinned([*kept, place], enough(place), place)
    assert len(kept) == 10
    for undone in range(1, 1001):
        start = max((place for place in kept if place < undone), default=0)
        assert undone - 1 - start <= 2 * (1000 - undone) + 2


def test_snapshots_are_as_many_as_there_is_room_for() -> None:
    one = make("least_squares")
    one.edit(FACTS[:1])
    state = one.snapshot().state
    assert state is not None
    for room, most in ((0, 2), (3 * memory_size(state), 3), (2**30, 4)):
        store = SnapshotsInMemory(None, room)
        for number in range(1, 9):
            call = one.snapshot().calls[0]
            store.put(Snapshot(state, (call,) * number))
        assert len(store._kept) == most
    tensors = memory_tensors(state, one)
    assert memory_size(state) == sum(t.nbytes for name, t in tensors.items() if name != "edits")
