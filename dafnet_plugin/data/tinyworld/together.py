"""Edits of a tiny world that can all be made, one after another, without contradiction."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from dafnet_plugin.data.ripple_records import RippleTest
from dafnet_plugin.data.tinyworld.world import Edit, Key, World


@dataclass(frozen=True, slots=True)
class Together:
    """Edits that hold together.

    Attributes:
        edits: no simple fact is changed or ended by two of them.
        owners: simple fact -> which of the edits changes or ends it.
    """

    edits: tuple[Edit, ...]
    owners: Mapping[Key, int]

    def stands(self, test: RippleTest, index: int) -> bool:
        """Whether a test of one edit asks for nothing that another edit changes."""
        queries = (*test.queries, *test.condition_queries)
        return all(
            self.owners.get(key, index) == index
            for query in queries
            for key in _facts_behind(query.details)
        )


def choose_together(world: World, edits: Iterable[Edit], edits_per_subject: int) -> Together:
    """Keep, in their order, edits that contradict none kept before.

    Args:
        world: before all edits.
        edits: each of a simple fact.
        edits_per_subject: at most; the other facts about a subject stay as they are.
    """
    kept: list[Edit] = []
    owners: dict[Key, int] = {}
    subjects: Counter[str] = Counter()
    for edit in edits:
        if subjects[edit.subject] == edits_per_subject:
            continue
        changes = world.changes(edit)
        touched = [key for key in (*changes.changed, *changes.retracted) if _simple(world, key)]
        if any(key in owners for key in touched):
            continue
        owners |= dict.fromkeys(touched, len(kept))
        kept.append(edit)
        subjects[edit.subject] += 1
    return Together(tuple(kept), owners)


def _simple(world: World, key: Key) -> bool:
    return world.relations[key[1]].path is None


def _facts_behind(details: Mapping[str, object]) -> Iterable[Key]:
    """The simple facts that the answer to a query rests on."""
    yield str(details["subject_id"]), str(details["relation"])
    if details["query_type"] == "two_hop":
        middle = details["target_ids"]
        assert isinstance(middle, list)
        yield str(middle[0]), str(details["second_relation"])
