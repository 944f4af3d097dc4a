"""CounterFact: EasyEdit's flat form, and the original with ``requested_rewrite``."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

from dafnet_plugin.cases import EditCase, EditRequest, Probe
from dafnet_plugin.data.records import Place, Records, load_records
from dafnet_plugin.data.statements import Statement


def load_counterfact(
    path: str | Path,
    *,
    size: int | None = None,
    skip_bad: bool = False,
    attributes: bool = False,
) -> Records[EditCase]:
    """Load CounterFact cases of either form.

    Args:
        attributes: ``attribute_prompts`` (of the original form: other subjects of which the new
            object is true already) are locality probes as well. CounterFact's own score has
            the neighbourhood prompts only.

    Raises:
        DataError: the file or a record is malformed.
    """

    def parse(place: Place, record: Any) -> EditCase:
        return parse_counterfact(place, record, attributes=attributes)

    return load_records(path, parse, size=size, skip_bad=skip_bad)


def parse_counterfact(place: Place, record: Any, *, attributes: bool = False) -> EditCase:
    """Read one record of either form."""
    if "requested_rewrite" in place.object(record):
        return _original(place, record, attributes)
    target = place.text(record, "target_new")
    return EditCase(
        case_id=str(record.get("case_id", place.index)),
        request=EditRequest(
            place.text(record, "prompt"),
            target,
            place.optional_text(record, "subject"),
            place.optional_text(record, "ground_truth"),
        ),
        generality=(Probe(place.text(record, "rephrase_prompt"), target),),
        locality=(
            Probe(
                place.text(record, "locality_prompt"), place.text(record, "locality_ground_truth")
            ),
        ),
    )


def _original(place: Place, record: dict[str, Any], attributes: bool) -> EditCase:
    """Neighbourhood prompts ask about other subjects of which the old object is true."""
    rewrite = place.object(record["requested_rewrite"], "requested_rewrite")
    subject = place.text(rewrite, "subject")
    target = place.text(place.field(rewrite, "target_new"), "str")
    truth = place.text(place.field(rewrite, "target_true"), "str")
    prompt = place.text(rewrite, "prompt").replace("{}", subject)
    neighbours = _each(place, record, "neighborhood_prompts", truth)
    sharers = _each(place, record, "attribute_prompts", target)
    continued = place.list(record.get("generation_prompts", []), "generation_prompts")
    return EditCase(
        case_id=str(record.get("case_id", place.index)),
        request=EditRequest(prompt, target, subject, truth),
        generality=_each(place, record, "paraphrase_prompts", target),
        locality=(*neighbours, *sharers) if attributes else neighbours,
        generation=tuple(place.as_text("generation_prompts", text) for text in continued),
    )


def _each(place: Place, record: dict[str, Any], name: str, answer: str) -> tuple[Probe, ...]:
    prompts = place.list(record.get(name, []), name)
    return tuple(Probe(place.as_text(name, prompt), answer) for prompt in prompts)


def statements(cases: Iterable[EditCase]) -> list[Statement]:
    """What a base model must know before the cases can be edited: the facts as they were.

    The request and its paraphrases with the true answer, and the locality probes; each
    prompt once. Cases that contradict each other (one prompt, several answers, which no
    model can know) keep the answer met first.
    """
    known: dict[str, str] = {}
    for case in cases:
        truth = case.request.ground_truth
        if truth is not None:
            for prompt in (case.request.prompt, *(probe.prompt for probe in case.generality)):
                known.setdefault(prompt, truth)
        for probe in case.locality:
            known.setdefault(probe.prompt, probe.answer)
    return [Statement(prompt, answer) for prompt, answer in known.items()]


def about_other_subjects(cases: Iterable[EditCase], seen: Iterable[EditCase]) -> list[EditCase]:
    """Return cases on subjects that are not in ``seen``, one for each subject.

    The published training and evaluation files share some subjects. A sequence that edits a
    subject's fact twice would ask the first of two contradicting edits to last.
    """
    taken = {case.request.subject for case in seen}
    kept: list[EditCase] = []
    for case in cases:
        if case.request.subject not in taken:
            kept.append(case)
            taken.add(case.request.subject)
    return kept
