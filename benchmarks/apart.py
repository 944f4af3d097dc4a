"""Keeping facts apart: what is trained on, what is edited, what is asked, what is left alone."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from dafnet_plugin.cases import EditCase
from dafnet_plugin.data.records import Place
from dafnet_plugin.data.statements import Statement
from dafnet_plugin.files import read_jsonl


def read_statements(path: Path) -> list[Statement]:
    """Read ``{"prompt", "answer"}`` lines.

    Raises:
        DataError: the file is missing or malformed; names line and field.
    """
    return [
        Statement(place.text(item, "prompt"), place.text(item, "answer"))
        for index, item in enumerate(read_jsonl(path))
        if (place := Place(path, index))
    ]


def by_subject(cases: Iterable[EditCase]) -> dict[str, list[EditCase]]:
    """Cases by what they are about, in order."""
    groups: dict[str, list[EditCase]] = {}
    for case in cases:
        groups.setdefault(subject_of(case), []).append(case)
    return groups


def subject_of(case: EditCase) -> str:
    """The subject of the edit; its prompt where that is not known."""
    return case.request.subject or case.request.prompt


def unrelated(cases: Iterable[EditCase], train: Iterable[EditCase]) -> list[EditCase]:
    """The cases whose subject no training case edits."""
    seen = {subject_of(case) for case in train}
    return [case for case in cases if subject_of(case) not in seen]


def independent(
    cases: Iterable[EditCase], size: int | None = None
) -> tuple[list[EditCase], list[EditCase]]:
    """Cases that do not get in each other's way, the first ones kept.

    One edit a subject, and no locality probe about a subject that is edited: what it should say
    after the edit would then be another question.

    Args:
        size: keep so many at most.

    Returns:
        The cases kept, and all others.
    """
    kept: list[EditCase] = []
    rest: list[EditCase] = []
    subjects: set[str] = set()
    asked: list[str] = []
    for case in cases:
        subject = subject_of(case)
        prompts = [probe.prompt for probe in case.locality]
        if (
            len(kept) == size
            or subject in subjects
            or any(subject in prompt for prompt in asked)
            or any(name in prompt for name in subjects for prompt in prompts)
        ):
            rest.append(case)
            continue
        kept.append(case)
        subjects.add(subject)
        asked += prompts
    return kept, rest


def left_alone(spare: Iterable[EditCase], used: Iterable[EditCase]) -> list[Statement]:
    """The facts of cases that are not used, as they were: one for each subject.

    Facts about a subject that a used case edits, or that a locality probe asks for or mentions,
    are left out.
    """
    used = list(used)
    subjects = {subject_of(case) for case in used}
    asked = [probe.prompt for case in used for probe in case.locality]
    found: dict[str, Statement] = {}
    for case in spare:
        subject, truth = subject_of(case), case.request.ground_truth
        if (
            truth is not None
            and subject not in found
            and subject not in subjects
            and not any(name in case.request.prompt for name in subjects)
            and not any(subject in prompt for prompt in asked)
        ):
            found[subject] = Statement(case.request.prompt, truth)
    return list(found.values())


def once(statements: Iterable[Statement]) -> list[Statement]:
    """Each prompt once, with the answer met first: no model can know two."""
    found: dict[str, Statement] = {}
    for statement in statements:
        found.setdefault(statement.prompt, statement)
    return list(found.values())
