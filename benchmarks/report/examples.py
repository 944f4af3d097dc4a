"""What models said before, right after and at the end, for a few cases."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from benchmarks.report.model import Section
from benchmarks.results import Example

MOST_CASES = 3


@dataclass(frozen=True)
class Answer:
    """What some methods made the model say alike; ``*_right`` as :class:`Probe` judges it."""

    labels: tuple[str, ...]
    immediate: str
    final: str
    immediate_right: bool
    final_right: bool


@dataclass(frozen=True)
class Probe:
    """One prompt and the answers of all methods, those with the same answers together.

    What counts as right here is plain: the continuation starts with what is wanted, or, for
    locality, with what the unedited model says. Scores are EasyEdit's and may differ.
    """

    kind: str
    prompt: str
    wanted: str
    before: str
    answers: tuple[Answer, ...]


@dataclass(frozen=True)
class ExampleCase:
    """All probes of one case."""

    case_id: str
    num_edits: int
    probes: tuple[Probe, ...]


def example_cases(section: Section) -> list[ExampleCase]:
    """A few cases of the longest sequences that have any."""
    for n in reversed(section.lengths):
        found = {label: section.groups[label, n].examples for label in section.labels}
        if any(found.values()):
            cases = dict.fromkeys(e.case_id for some in found.values() for e in some)
            return [_case(case_id, n, found) for case_id in list(cases)[:MOST_CASES]]
    return []


def _case(case_id: str, num_edits: int, found: dict[str, tuple[Example, ...]]) -> ExampleCase:
    probes: dict[tuple[str, str, str], list[tuple[str, Example]]] = {}
    for label, examples in found.items():
        for example in examples:
            if example.case_id == case_id:
                key = example.kind, example.prompt, example.wanted
                probes.setdefault(key, []).append((label, example))
    return ExampleCase(
        case_id,
        num_edits,
        tuple(
            Probe(*key, some[0][1].before, tuple(_answers(some))) for key, some in probes.items()
        ),
    )


def _answers(some: list[tuple[str, Example]]) -> Iterable[Answer]:
    alike: dict[tuple[str, str, bool, bool], list[str]] = {}
    for label, example in some:
        wanted = example.before if example.kind == "locality" else example.wanted
        immediate, final = example.immediate, example.final
        answer = immediate, final, _starts(immediate, wanted), _starts(final, wanted)
        alike.setdefault(answer, []).append(label)
    return (Answer(tuple(labels), *answer) for answer, labels in alike.items())


def _starts(text: str, wanted: str) -> bool:
    return text.strip().casefold().startswith(wanted.strip().casefold())
