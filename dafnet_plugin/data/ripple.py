"""RippleEdits (Cohen et al. 2023): what should follow from an edit, in six criteria.

Two published forms are read: the original (an ``edit`` with a whole sentence, and for each
criterion tests with their conditions) and the flattened one (``prompt``, ``target_new``, and
for each criterion a list of ``{prompt, targets}``).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from dafnet_plugin.cases import CONDITIONS, EditCase, EditRequest
from dafnet_plugin.data.records import Place, Records, load_records
from dafnet_plugin.data.ripple_records import CRITERIA, RippleQuery, RippleRecord, RippleTest
from dafnet_plugin.data.structured import answers
from dafnet_plugin.errors import DataError

# How published files spell a criterion otherwise.
SPELLINGS = {"Relation_Specificity": ("Relation_Specifity",)}


def load_ripple(
    path: str | Path, *, size: int | None = None, skip_bad: bool = False
) -> Records[EditCase]:
    """Load cases from either form of RippleEdits.

    Raises:
        DataError: the file or a record is malformed.
    """
    records = load_ripple_records(path, size=size, skip_bad=skip_bad)
    cases = (record.case(f"ripple-{index}") for index, record in enumerate(records))
    return Records(cases, records.problems)


def load_ripple_records(
    path: str | Path, *, size: int | None = None, skip_bad: bool = False
) -> Records[RippleRecord]:
    """Load records with all that the file says about their queries.

    Questions without a named answer, of which the published files have some (Wikidata has no
    English label for it), cannot be asked; tests that have one are left out.

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
    tests = {
        name: tuple(
            parsed
            for test in _criterion(place, record, name)
            if (parsed := _test(place, name, test)) is not None
        )
        for name in CRITERIA
    }
    subject = place.optional_text(edit, "subject") or subject_in(prompt, _alike(edit, tests))
    return RippleRecord(
        example_type=str(record.get("example_type", "unknown")),
        request=EditRequest(prompt, target, subject, truth),
        tests=tests,
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


def subject_in(prompt: str, others: Iterable[str]) -> str | None:
    """Find the subject of a prompt, which the original form only gives by id.

    The prompts end in it, and then a verb: ``The name of the mother of Ada is``. What most pairs
    of prompts about one subject end in is its name.

    Args:
        prompt: of the edit.
        others: prompts of the same form about the same subject and other relations.

    Returns:
        None if that tells nothing.
    """
    words = prompt.split(" ")[:-1]
    ends: Counter[str] = Counter()
    for other in others:
        theirs = other.split(" ")[:-1]
        shared = 0
        while shared < min(len(words), len(theirs)) and words[-1 - shared] == theirs[-1 - shared]:
            shared += 1
        end = words[len(words) - shared :]
        while end and end[0] in ("of", "which", "in"):
            end = end[1:]
        if end:
            ends[" ".join(end)] += 1
    return ends.most_common(1)[0][0] if ends else None


def _alike(edit: Mapping[str, Any], tests: Mapping[str, Iterable[RippleTest]]) -> list[str]:
    """Prompts about the subject of the edit that are made from the templates of relations."""
    relations = {
        query.details.get("relation"): query.prompt
        for group in tests.values()
        for test in group
        for query in test.queries
        if query.details.get("query_type") == "regular"
        and query.details.get("phrase") is None
        and query.details.get("subject_id") == edit.get("subject_id")
        and query.details.get("relation") != edit.get("relation")
    }
    return list(relations.values())


def _criterion(place: Place, record: Mapping[str, Any], name: str) -> list[Any]:
    for spelling in (name, *SPELLINGS.get(name, ())):
        if spelling in record:
            return place.list(record[spelling], spelling)
    return []


def _test(place: Place, name: str, test: Any) -> RippleTest | None:
    """A test; None if one of its questions has no answer."""
    place.object(test, name)
    condition = test.get("test_condition", "OR")
    if condition not in CONDITIONS:
        raise DataError(
            f"{place}: field '{name}.test_condition' is {condition!r}; allowed: OR, AND"
        )
    asked = place.list(place.field(test, "test_queries"), f"{name}.test_queries")
    if not asked:
        raise DataError(f"{place}: field '{name}.test_queries' is empty")
    conditions = place.list(test.get("condition_queries", []), f"{name}.condition_queries")
    queries = tuple(_query(place, query) for query in asked)
    known = tuple(_query(place, query) for query in conditions)
    whole = all(query.answers and all(query.answers) for query in (*queries, *known))
    return RippleTest(queries, condition, known) if whole else None


def _query(place: Place, query: Any) -> RippleQuery:
    place.object(query, "test_queries")
    names = []
    for answer in place.list(place.field(query, "answers"), "answers"):
        aliases = place.list(place.object(answer, "answers").get("aliases", []), "aliases")
        value = place.field(answer, "value")
        texts = [place.as_text("answers", text) for text in (value, *aliases) if text != ""]
        names.append(tuple(dict.fromkeys(texts)))
    details = {key: value for key, value in query.items() if key not in ("prompt", "answers")}
    return RippleQuery(place.text(query, "prompt"), tuple(names), details)


def _flat_tests(place: Place, record: Mapping[str, Any], name: str) -> Iterable[RippleTest]:
    for item in _criterion(place, record, name):
        prompt = place.field(place.object(item, name), "prompt")
        names = answers(place, f"{name}.targets", place.field(item, "targets"))
        # Blank ones are left out by those who published this form, too.
        if names and prompt != "":
            yield RippleTest((RippleQuery(place.text(item, "prompt"), (names,)),))
