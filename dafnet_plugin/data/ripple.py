"""RippleEdits (Cohen et al. 2023): what should follow from an edit, in six criteria.

Two published forms are read: the original (an ``edit`` with a whole sentence, and for each
criterion tests with their conditions) and the flattened one (``prompt``, ``target_new``, and
for each criterion a list of ``{prompt, targets}``).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from dafnet_plugin.cases import EditCase, EditRequest, Probe
from dafnet_plugin.data.records import Place, load_records
from dafnet_plugin.errors import DataError

CRITERIA = (
    "Relation_Specificity",
    "Logical_Generalization",
    "Subject_Aliasing",
    "Compositionality_I",
    "Compositionality_II",
    "Forgetfulness",
)
# How published files spell a criterion otherwise.
SPELLINGS = {"Relation_Specificity": ("Relation_Specifity",)}
CONDITIONS = ("OR", "AND")


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

    def probe(self) -> Probe:
        """The question as a probe: any object of several, by any of its names, is right."""
        names = [name for answer in self.answers for name in answer]
        return Probe(self.prompt, names[0], tuple(dict.fromkeys(names[1:])))


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
        what must not change. The conditions are not in the case: they need the model.
        """
        portability = {name: tuple(_probes(tests)) for name, tests in self.tests.items()}
        return EditCase(
            case_id=case_id,
            request=self.request,
            locality=portability.get("Relation_Specificity", ()),
            portability={name: probes for name, probes in portability.items() if probes},
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


def load_ripple(
    path: str | Path, *, size: int | None = None, skip_bad: bool = False
) -> list[EditCase]:
    """Load cases from either form of RippleEdits.

    Raises:
        DataError: the file or a record is malformed.
    """
    records = load_ripple_records(path, size=size, skip_bad=skip_bad)
    return [record.case(f"ripple-{index}") for index, record in enumerate(records)]


def load_ripple_records(
    path: str | Path, *, size: int | None = None, skip_bad: bool = False
) -> list[RippleRecord]:
    """Load records with their tests and conditions, for a harness that checks these.

    Raises:
        DataError: the file or a record is malformed.
    """
    return load_records(path, parse_ripple, size=size, skip_bad=skip_bad)


def parse_ripple(place: Place, record: Any) -> RippleRecord:
    """Read one record of either form."""
    if "edit" in place.object(record):
        return _original(place, record)
    place.text(record, "prompt")
    return RippleRecord(
        example_type=str(record.get("example_type", "flattened")),
        request=EditRequest(
            place.text(record, "prompt"),
            place.text(record, "target_new"),
            place.optional_text(record, "subject"),
            place.optional_text(record, "ground_truth"),
        ),
        tests={name: tuple(_flat_tests(place, record, name)) for name in CRITERIA},
    )


def _original(place: Place, record: Mapping[str, Any]) -> RippleRecord:
    edit = place.object(place.field(record, "edit"), "edit")
    original = edit.get("original_fact")
    if "request_prompt" in edit:
        prompt = place.text(edit, "request_prompt")
        target = place.text(edit, "target")
        truth = place.optional_text(edit, "ground_truth")
    else:
        old = place.text(original, "prompt") if original else None
        prompt, target, truth = split_sentence(place, place.text(edit, "prompt"), old)
    return RippleRecord(
        example_type=str(record.get("example_type", "unknown")),
        request=EditRequest(prompt, target, place.optional_text(edit, "subject"), truth),
        tests={
            name: tuple(_test(place, name, test) for test in _criterion(place, record, name))
            for name in CRITERIA
        },
        edit=dict(edit),
    )


def split_sentence(place: Place, new: str, old: str | None) -> tuple[str, str, str | None]:
    """Split the sentence of an edit, which the published files do not, into prompt and target.

    The sentence about the original fact is made from the same template, so the words that the
    two share at the beginning are the prompt. Without one, the prompt ends at the last `` is ``
    or `` are ``, with which the templates of RippleEdits end.

    Returns:
        Prompt, new target, and old target when ``old`` is given.
    """
    words = new.removesuffix(".").split(" ")
    if old is not None:
        others = old.removesuffix(".").split(" ")
        shared = 0
        while shared < min(len(words), len(others)) - 1 and words[shared] == others[shared]:
            shared += 1
        # New York, New Jersey: the targets themselves may begin alike.
        verbs = [at for at in range(shared) if words[at] in ("is", "are")]
        cut = verbs[-1] + 1 if verbs else shared
        if cut:
            return " ".join(words[:cut]), " ".join(words[cut:]), " ".join(others[cut:])
    verbs = [at for at in range(len(words) - 1) if words[at] in ("is", "are")]
    if not verbs:
        raise DataError(f"{place}: field 'edit.prompt' is {new!r}: no target can be told in it")
    return " ".join(words[: verbs[-1] + 1]), " ".join(words[verbs[-1] + 1 :]), None


def _criterion(place: Place, record: Mapping[str, Any], name: str) -> list[Any]:
    for spelling in (name, *SPELLINGS.get(name, ())):
        if spelling in record:
            return place.list(record[spelling], spelling)
    return []


def _test(place: Place, name: str, test: Any) -> RippleTest:
    place.object(test, name)
    condition = test.get("test_condition", "OR")
    if condition not in CONDITIONS:
        raise DataError(
            f"{place}: field '{name}.test_condition' is {condition!r}; allowed: OR, AND"
        )
    queries = place.list(place.field(test, "test_queries"), f"{name}.test_queries")
    if not queries:
        raise DataError(f"{place}: field '{name}.test_queries' is empty")
    conditions = place.list(test.get("condition_queries", []), f"{name}.condition_queries")
    return RippleTest(
        tuple(_query(place, query) for query in queries),
        condition,
        tuple(_query(place, query) for query in conditions),
    )


def _query(place: Place, query: Any) -> RippleQuery:
    place.object(query, "test_queries")
    answers = place.list(place.field(query, "answers"), "answers")
    if not answers:
        raise DataError(f"{place}: field 'answers' of {query.get('prompt')!r} is empty")
    names = []
    for answer in answers:
        aliases = place.list(place.object(answer, "answers").get("aliases", []), "aliases")
        names.append((place.text(answer, "value"), *(alias for alias in aliases if alias)))
    details = {key: value for key, value in query.items() if key not in ("prompt", "answers")}
    return RippleQuery(place.text(query, "prompt"), tuple(names), details)


def _flat_tests(place: Place, record: Mapping[str, Any], name: str) -> Iterable[RippleTest]:
    for item in _criterion(place, record, name):
        prompt = place.text(place.object(item, name), "prompt")
        targets = place.field(item, "targets")
        names = [
            name
            for target in (targets if isinstance(targets, list) else [targets])
            for name in (target if isinstance(target, list) else [target])
        ]
        if not names:
            raise DataError(f"{place}: field '{name}.targets' of {prompt!r} is empty")
        answers = tuple(place.as_text(f"{name}.targets", target) for target in names)
        yield RippleTest((RippleQuery(prompt, (answers,)),))


def _probes(tests: Iterable[RippleTest]) -> Iterable[Probe]:
    for test in tests:
        if test.condition == "AND":
            yield from (query.probe() for query in test.queries)
            continue
        merged: dict[str, tuple[tuple[str, ...], ...]] = {}
        for query in test.queries:
            merged[query.prompt] = merged.get(query.prompt, ()) + query.answers
        yield from (RippleQuery(prompt, answers).probe() for prompt, answers in merged.items())


def _test_json(test: RippleTest) -> dict[str, Any]:
    return {
        "test_queries": [_query_json(query) for query in test.queries],
        "test_condition": test.condition,
        "condition_queries": [_query_json(query) for query in test.condition_queries],
    }


def _query_json(query: RippleQuery) -> dict[str, Any]:
    answers = [{"value": names[0], "aliases": list(names[1:])} for names in query.answers]
    return {"prompt": query.prompt, "answers": answers, **query.details}
