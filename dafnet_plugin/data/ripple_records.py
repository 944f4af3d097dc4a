"""What a record of RippleEdits holds: an edit, and tests of what should follow from it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from dafnet_plugin.cases import EditCase, EditRequest, PortabilityTest, Probe, Query

CRITERIA = (
    "Relation_Specificity",
    "Logical_Generalization",
    "Subject_Aliasing",
    "Compositionality_I",
    "Compositionality_II",
    "Forgetfulness",
)


@dataclass(frozen=True, slots=True)
class RippleQuery:
    """A question.

    Attributes:
        prompt: text before the answer, without a trailing space.
        answers: objects, each as its name followed by its aliases.
        details: the other fields of the file (ids, relations), kept as they are.
    """

    prompt: str
    answers: tuple[tuple[str, ...], ...]
    details: Mapping[str, Any] = field(default_factory=dict)

    def query(self) -> Query:
        """The question without its details."""
        return Query(self.prompt, self.answers)


@dataclass(frozen=True, slots=True)
class RippleTest:
    """Questions that together are passed or failed.

    Attributes:
        queries: asked after the edit.
        condition: ``"OR"`` when one right answer is enough, ``"AND"`` when all must be right.
        condition_queries: the test counts only if the unedited model answers these.
    """

    queries: tuple[RippleQuery, ...]
    condition: str = "OR"
    condition_queries: tuple[RippleQuery, ...] = ()

    def test(self) -> PortabilityTest:
        """The test without the details of its questions."""
        return PortabilityTest(
            tuple(query.query() for query in self.queries),
            self.condition,
            tuple(query.query() for query in self.condition_queries),
        )


@dataclass(frozen=True, slots=True)
class RippleRecord:
    """An edit with its tests by criterion."""

    example_type: str
    request: EditRequest
    tests: Mapping[str, tuple[RippleTest, ...]]
    edit: Mapping[str, Any] = field(default_factory=dict)

    def case(self, case_id: str) -> EditCase:
        """The record as an edit case.

        Portability has a probe for each query; queries of an ``OR`` test with one prompt are
        one probe whose answers count alike. Locality repeats Relation_Specificity, which is
        what must not change.
        """
        portability = {name: tuple(_probes(tests)) for name, tests in self.tests.items()}
        return EditCase(
            case_id=case_id,
            request=self.request,
            locality=portability.get("Relation_Specificity", ()),
            portability={name: probes for name, probes in portability.items() if probes},
            tests={
                name: tuple(test.test() for test in tests)
                for name, tests in self.tests.items()
                if tests
            },
        )

    def to_json(self) -> dict[str, Any]:
        """The record in the original form; ``edit`` also has prompt and target apart."""
        request = self.request
        apart = {
            "request_prompt": request.prompt,
            "target": request.target_new,
            "subject": request.subject,
            "ground_truth": request.ground_truth,
        }
        edit = {"prompt": f"{request.prompt} {request.target_new}.", **self.edit, **apart}
        tests = {name: [_test_json(test) for test in self.tests.get(name, ())] for name in CRITERIA}
        return {"example_type": self.example_type, "edit": edit, **tests}


def _probes(tests: Iterable[RippleTest]) -> Iterable[Probe]:
    for test in tests:
        if test.condition == "AND":
            yield from (query.query().probe() for query in test.queries)
            continue
        merged: dict[str, tuple[tuple[str, ...], ...]] = {}
        for query in test.queries:
            merged[query.prompt] = merged.get(query.prompt, ()) + query.answers
        yield from (Query(prompt, objects).probe() for prompt, objects in merged.items())


def _test_json(test: RippleTest) -> dict[str, Any]:
    return {
        "test_queries": [_query_json(query) for query in test.queries],
        "test_condition": test.condition,
        "condition_queries": [_query_json(query) for query in test.condition_queries],
    }


def _query_json(query: RippleQuery) -> dict[str, Any]:
    answers = [{"value": names[0], "aliases": list(names[1:])} for names in query.answers]
    return {"prompt": query.prompt, "answers": answers, **query.details}
