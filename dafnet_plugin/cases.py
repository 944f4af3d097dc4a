"""What is edited and what is asked afterwards: one vocabulary for every data set.

Loaders in :mod:`dafnet_plugin.data` turn published formats into these objects; everything
after them (tokens, training, harness) knows only these.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from dafnet_plugin.errors import DataError
from dafnet_plugin.files import read_jsonl, write_text


@dataclass(frozen=True, slots=True)
class EditRequest:
    """One fact to be written into a model.

    Attributes:
        prompt: text before the answer, without a trailing space.
        target_new: the answer the edited model shall give; never empty.
        subject: the entity the fact is about, when known; occurs in ``prompt`` for ROME.
        ground_truth: the answer before the edit, when known.
    """

    prompt: str
    target_new: str
    subject: str | None = None
    ground_truth: str | None = None

    def __post_init__(self) -> None:
        for name in ("prompt", "target_new"):
            value = getattr(self, name)
            if not isinstance(value, str) or not value.strip():
                raise DataError(
                    f"edit request {self.prompt!r} -> {self.target_new!r}: "
                    f"{name} is {value!r}, a non-empty string is needed"
                )


@dataclass(frozen=True, slots=True)
class Probe:
    """A question with the answer expected of it.

    Attributes:
        prompt: text before the answer.
        answer: for generality and portability what the edited model shall say; for locality
            the text over whose tokens the predictions before and after are compared.
        aliases: other texts that count as the same answer.
    """

    prompt: str
    answer: str
    aliases: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        for name in ("prompt", "answer"):
            value = getattr(self, name)
            if not isinstance(value, str) or not value.strip():
                raise DataError(
                    f"probe {self.prompt!r} -> {self.answer!r}: "
                    f"{name} is {value!r}, a non-empty string is needed"
                )


@dataclass(frozen=True, slots=True)
class Query:
    """A question about one or several objects, each of which has names.

    Attributes:
        prompt: text before the answer.
        answers: for each object its name, followed by its aliases. As RippleEdits scores it,
            the question is answered when every object is named, by any of its names.
    """

    prompt: str
    answers: tuple[tuple[str, ...], ...]

    def __post_init__(self) -> None:
        if not isinstance(self.prompt, str) or not self.prompt.strip():
            raise DataError(f"query: prompt is {self.prompt!r}, a non-empty string is needed")
        names = [name for answer in self.answers for name in answer]
        if not all(self.answers) or not self.answers:
            raise DataError(f"query {self.prompt!r}: answers without a name; one each is needed")
        for name in names:
            if not isinstance(name, str) or not name.strip():
                raise DataError(
                    f"query {self.prompt!r}: answer is {name!r}, a non-empty string is needed"
                )

    def probe(self) -> Probe:
        """The question as a probe: any object of several, by any of its names, is right."""
        names = tuple(dict.fromkeys(name for answer in self.answers for name in answer))
        return Probe(self.prompt, names[0], names[1:])


CONDITIONS = ("OR", "AND")


@dataclass(frozen=True, slots=True)
class PortabilityTest:
    """Questions that together are passed or failed (RippleEdits).

    Attributes:
        queries: asked after the edit; at least one.
        condition: ``"OR"`` when one right answer is enough, ``"AND"`` when all must be right.
        condition_queries: the test counts only if the unedited model answers all of them.
    """

    queries: tuple[Query, ...]
    condition: str = "OR"
    condition_queries: tuple[Query, ...] = ()

    def __post_init__(self) -> None:
        if self.condition not in CONDITIONS:
            raise DataError(
                f"portability test: condition is {self.condition!r}; "
                f"allowed: {', '.join(CONDITIONS)}"
            )
        if not self.queries:
            raise DataError("portability test without queries; at least one is needed")


@dataclass(frozen=True, slots=True)
class EditCase:
    """An edit request with the probes that judge it.

    Attributes:
        case_id: unique within a data set.
        generality: paraphrases of the request; answer is ``request.target_new``.
        locality: questions whose predictions the edit must not change.
        portability: criterion (for RippleEdits its own names) -> consequences of the edit.
        tests: criterion -> tests with their conditions, for data sets that group their
            questions so; the questions of a criterion are then in ``portability`` as well.
        generation: prompts to be continued freely, for the fluency of the edited model.
    """

    case_id: str
    request: EditRequest
    generality: tuple[Probe, ...] = ()
    locality: tuple[Probe, ...] = ()
    portability: Mapping[str, tuple[Probe, ...]] = field(default_factory=dict)
    tests: Mapping[str, tuple[PortabilityTest, ...]] = field(default_factory=dict)
    generation: tuple[str, ...] = ()


def case_to_json(case: EditCase) -> dict[str, Any]:
    """Return the case as plain JSON data, the inverse of :func:`case_from_json`."""
    data = {
        "case_id": case.case_id,
        "request": _fields(case.request),
        "generality": [_fields(probe) for probe in case.generality],
        "locality": [_fields(probe) for probe in case.locality],
        "portability": {
            name: [_fields(probe) for probe in probes] for name, probes in case.portability.items()
        },
    }
    if case.tests:
        data["tests"] = {
            name: [_test_fields(test) for test in tests] for name, tests in case.tests.items()
        }
    if case.generation:
        data["generation"] = list(case.generation)
    return data


def case_from_json(data: Mapping[str, Any]) -> EditCase:
    """Build a case from JSON data.

    Raises:
        DataError: a field is missing or has the wrong type; the message names it.
    """
    if not isinstance(data, Mapping):
        raise DataError(f"edit case {data!r}: allowed: an object with case_id, request, ...")
    try:
        return EditCase(
            case_id=str(data["case_id"]),
            request=EditRequest(**data["request"]),
            generality=_probes(data.get("generality", ())),
            locality=_probes(data.get("locality", ())),
            portability={
                name: _probes(probes) for name, probes in data.get("portability", {}).items()
            },
            tests={name: _tests(tests) for name, tests in data.get("tests", {}).items()},
            generation=_texts(data.get("generation", ())),
        )
    except KeyError as error:
        raise DataError(f"edit case without the field {error.args[0]!r}") from error
    except (TypeError, AttributeError) as error:
        raise DataError(f"edit case {data.get('case_id', '?')!r}: {error}") from error


def read_request(record: Mapping[str, Any]) -> EditRequest:
    """Read one of EasyEdit's requests: ``prompt`` and ``target_new``, and perhaps more.

    Raises:
        DataError: not a mapping, or one of the two is missing or empty.
    """
    if not isinstance(record, Mapping):
        raise DataError(f"edit request {record!r}; allowed: a mapping with prompt and target_new")
    lacking = [name for name in ("prompt", "target_new") if name not in record]
    if lacking:
        raise DataError(f"edit request {dict(record)!r} lacks {' and '.join(lacking)}")
    truth = record.get("ground_truth")
    return EditRequest(
        record["prompt"],
        record["target_new"],
        record.get("subject"),
        truth if isinstance(truth, str) else None,
    )


def read_cases(path: str | Path) -> list[EditCase]:
    """Read edit cases, one JSON object a line.

    Raises:
        DataError: names file, line and what is wrong.
    """
    cases = []
    for number, record in enumerate(read_jsonl(path), start=1):
        try:
            cases.append(case_from_json(record))
        except DataError as error:
            raise DataError(f"{path}: record {number}: {error}") from error
    return cases


def write_cases(path: str | Path, cases: Iterable[EditCase]) -> None:
    """Write cases atomically, one JSON object a line."""
    write_text(path, "".join(json.dumps(case_to_json(c), ensure_ascii=False) + "\n" for c in cases))


def _probes(items: Sequence[Mapping[str, Any]]) -> tuple[Probe, ...]:
    return tuple(
        Probe(item["prompt"], item["answer"], tuple(item.get("aliases", ()))) for item in items
    )


def _texts(items: Sequence[str]) -> tuple[str, ...]:
    for item in items:
        if isinstance(items, str) or not isinstance(item, str) or not item.strip():
            raise DataError(f"generation is {items!r}, a list of non-empty strings is needed")
    return tuple(items)


def _tests(items: Sequence[Mapping[str, Any]]) -> tuple[PortabilityTest, ...]:
    return tuple(
        PortabilityTest(
            _queries(item["queries"]),
            item.get("condition", "OR"),
            _queries(item.get("condition_queries", ())),
        )
        for item in items
    )


def _queries(items: Sequence[Mapping[str, Any]]) -> tuple[Query, ...]:
    return tuple(
        Query(item["prompt"], tuple(_names(names) for names in item["answers"])) for item in items
    )


def _names(names: Sequence[str]) -> tuple[str, ...]:
    if isinstance(names, str):  # would be taken for a list of letters
        raise DataError(f"answers hold {names!r}, a list of names for each object is needed")
    return tuple(names)


def _test_fields(test: PortabilityTest) -> dict[str, Any]:
    def plain(queries: Iterable[Query]) -> list[dict[str, Any]]:
        return [
            {"prompt": q.prompt, "answers": [list(names) for names in q.answers]} for q in queries
        ]

    return {
        "queries": plain(test.queries),
        "condition": test.condition,
        "condition_queries": plain(test.condition_queries),
    }


def _fields(value: EditRequest | Probe) -> dict[str, Any]:
    data = {name: getattr(value, name) for name in value.__slots__}
    return {key: list(item) if isinstance(item, tuple) else item for key, item in data.items()}
