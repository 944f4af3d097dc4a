"""What was edited, call after call: enough to make every edit again exactly as it was made."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Protocol

from torch import Tensor

from dafnet_plugin.cases import EditRequest
from dafnet_plugin.editing.consolidation import ConsolidationConfig
from dafnet_plugin.editing.dafnet import SequenceState
from dafnet_plugin.errors import DataError, did_you_mean


@dataclass(frozen=True)
class Settings:
    """What a call was made with besides its requests.

    Attributes:
        batch_size: edits per forward pass when signals are taken (it decides on rounding).
        use_chat_template: requests are edited inside the tokenizer's chat template.
        consolidation: how the sequence was gone over again; None for never.
    """

    batch_size: int
    use_chat_template: bool
    consolidation: ConsolidationConfig | None


@dataclass(frozen=True)
class Edit:
    """One edit of a sequence, and the name it goes by."""

    case_id: str
    request: EditRequest


@dataclass(frozen=True)
class Call:
    """Edits that were made together."""

    edits: tuple[Edit, ...]
    settings: Settings


Calls = tuple[Call, ...]
"""A sequence. The same calls on the same model give the same weights, bit for bit."""


@dataclass(frozen=True)
class Snapshot:
    """What an editor had done at some moment; cheap, since states are immutable.

    Attributes:
        state: the sequence state, None before the first edit.
        calls: how it came about.
    """

    state: SequenceState | None
    calls: Calls = ()

    @property
    def edits(self) -> tuple[Edit, ...]:
        """The edits made so far, in order."""
        return edits_of(self.calls)

    @property
    def requests(self) -> tuple[EditRequest, ...]:
        """Their requests."""
        return tuple(edit.request for edit in self.edits)


class Keeper(Protocol):
    """Who is told of every change of an editor's edits before the model gets it.

    It may refuse by raising: the model and its edits then stay as they were.
    """

    def keep(self, before: Snapshot, after: Snapshot, values: Sequence[Tensor]) -> None:
        """The edits are going to be other ones, and these what the edited parameters hold."""

    def known(self, calls: Calls) -> Snapshot | None:
        """The latest snapshot it has that a sequence begins with."""


def edits_of(calls: Calls) -> tuple[Edit, ...]:
    """All edits of a sequence, in order."""
    return tuple(edit for call in calls for edit in call.edits)


def latest(snapshots: Iterable[Snapshot | None]) -> Snapshot | None:
    """The one of most calls; None if there is none."""
    found = [one for one in snapshots if one is not None]
    return max(found, key=lambda one: len(one.calls), default=None)


def named(
    calls: Calls, requests: Sequence[EditRequest], case_ids: Sequence[str] | None
) -> tuple[Edit, ...]:
    """New edits of a sequence with the names they are to go by.

    Args:
        case_ids: None to number them on.

    Raises:
        DataError: a name is there already, is given twice or is empty, or there are too few.
    """
    known = [edit.case_id for edit in edits_of(calls)]
    if case_ids is None:
        last = max((int(name) for name in known if name.isdecimal()), default=0)
        case_ids = [str(last + 1 + number) for number in range(len(requests))]
    if isinstance(case_ids, str) or len(case_ids) != len(requests):
        raise DataError(
            f"case_ids: {case_ids!r}; allowed: one for each of the {len(requests)} requests"
        )
    for name in case_ids:
        if not isinstance(name, str) or not name.strip():
            raise DataError(f"case_id: {name!r}; allowed: a non-empty string")
    counts = Counter([*known, *case_ids])
    twice = sorted({name for name in case_ids if counts[name] > 1})
    if twice:
        raise DataError(
            f"case_id {', '.join(map(repr, twice))}: a sequence has one edit of each name; undo "
            "or replace the one that is there, or choose another name"
        )
    return tuple(Edit(name, request) for name, request in zip(case_ids, requests, strict=True))


def without(calls: Calls, case_id: str) -> Calls:
    """The same calls without one edit; a call that made no other is gone, too.

    Raises:
        DataError: there is no such edit.
    """
    place = _place(calls, case_id)
    left = tuple(edit for edit in calls[place].edits if edit.case_id != case_id)
    instead = (replace(calls[place], edits=left),) if left else ()
    return (*calls[:place], *instead, *calls[place + 1 :])


def with_other(calls: Calls, case_id: str, request: EditRequest) -> Calls:
    """The same calls with another request under the name of one edit.

    Raises:
        DataError: there is no such edit.
    """
    place = _place(calls, case_id)
    edits = tuple(
        Edit(case_id, request) if edit.case_id == case_id else edit for edit in calls[place].edits
    )
    return (*calls[:place], replace(calls[place], edits=edits), *calls[place + 1 :])


def common(one: Calls, other: Calls) -> int:
    """How many calls two sequences begin with alike."""
    for number, (mine, theirs) in enumerate(zip(one, other)):
        if mine is not theirs and mine != theirs:
            return number
    return min(len(one), len(other))


def begins(calls: Calls, start: Calls) -> bool:
    """Whether a sequence begins with all calls of another."""
    return common(calls, start) == len(start)


def _place(calls: Calls, case_id: str) -> int:
    for number, call in enumerate(calls):
        if any(edit.case_id == case_id for edit in call.edits):
            return number
    names = [edit.case_id for edit in edits_of(calls)]
    raise DataError(
        f"no edit {case_id!r} among the {len(names)} of this model{did_you_mean(case_id, names)}"
    )
