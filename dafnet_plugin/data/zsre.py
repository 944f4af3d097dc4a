"""ZsRE: MEND's fields (with EasyEdit's portability questions), and the structured form."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from dafnet_plugin.cases import EditCase, EditRequest, Probe
from dafnet_plugin.data.records import Place, Records, load_records
from dafnet_plugin.data.structured import answers, paraphrases, probes, structured_request

PORTABILITY = "Recalled_Relation"


def load_zsre(
    path: str | Path, *, size: int | None = None, skip_bad: bool = False
) -> Records[EditCase]:
    """Load ZsRE cases.

    Read are ``src, rephrase, alt, answers, loc, loc_ans`` (``loc`` with its ``nq question: ``,
    which is part of what models are asked in EasyEdit) and ``prompt, target_new, subject,
    ground_truth, rephrase_prompt, locality``.

    Raises:
        DataError: the file or a record is malformed.
    """
    return load_records(path, parse_zsre, size=size, skip_bad=skip_bad)


def parse_zsre(place: Place, record: Any) -> EditCase:
    """Read one record of either form."""
    if "src" in place.object(record) or "alt" in record:
        return _mend(place, record)
    request = structured_request(place, record)
    locality = probes(place, record.get("locality"), "locality")
    portability = record.get("portability") or {}
    if isinstance(portability, list):
        portability = {PORTABILITY: portability}
    return EditCase(
        case_id=str(record.get("case_id", f"zsre-{place.index}")),
        request=request,
        generality=paraphrases(place, record, request.target_new),
        locality=tuple(probe for group in locality.values() for probe in group),
        portability=probes(place, portability, "portability"),
    )


def _mend(place: Place, record: dict[str, Any]) -> EditCase:
    target = place.text(record, "alt")
    truth = answers(place, "answers", record.get("answers"))
    return EditCase(
        case_id=str(record.get("case_id", f"zsre-{place.index}")),
        request=EditRequest(
            place.text(record, "src"),
            target,
            place.optional_text(record, "subject"),
            truth[0] if truth else None,
        ),
        generality=(Probe(place.text(record, "rephrase"), target),),
        locality=(Probe(place.text(record, "loc"), place.text(record, "loc_ans")),),
        portability=_recalled(place, record),
    )


def _recalled(place: Place, record: dict[str, Any]) -> dict[str, tuple[Probe, ...]]:
    """EasyEdit's one question that needs a second fact besides the edited one."""
    if not record.get("portability"):
        return {}
    entry = place.object(record["portability"], "portability")
    probe = Probe(place.text(entry, "New Question"), place.text(entry, "New Answer"))
    return {PORTABILITY: (probe,)}
