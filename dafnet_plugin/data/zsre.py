"""ZsRE: MEND's fields (with EasyEdit's portability questions), and the structured form."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

from dafnet_plugin.cases import EditCase, EditRequest, Probe
from dafnet_plugin.data.records import Place, load_records

PORTABILITY = "Recalled_Relation"


def load_zsre(
    path: str | Path, *, size: int | None = None, skip_bad: bool = False
) -> list[EditCase]:
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
    return EditCase(
        case_id=str(record.get("case_id", f"zsre-{place.index}")),
        request=EditRequest(
            place.text(record, "prompt"),
            place.text(record, "target_new"),
            place.optional_text(record, "subject"),
            _first(place, record, "ground_truth"),
        ),
        generality=tuple(_rephrased(place, record, place.text(record, "target_new"))),
        locality=_pairs(place, record.get("locality", []), "locality"),
        portability=_structured_portability(place, record),
    )


def _mend(place: Place, record: dict[str, Any]) -> EditCase:
    target = place.text(record, "alt")
    return EditCase(
        case_id=str(record.get("case_id", f"zsre-{place.index}")),
        request=EditRequest(
            place.text(record, "src"),
            target,
            place.optional_text(record, "subject"),
            _first(place, record, "answers"),
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


def _rephrased(place: Place, record: dict[str, Any], target: str) -> Iterable[Probe]:
    prompts = record.get("rephrase_prompt") or record.get("rephrase") or []
    for prompt in prompts if isinstance(prompts, list) else [prompts]:
        yield Probe(place.as_text("rephrase_prompt", prompt), target)


def _pairs(place: Place, items: Any, name: str) -> tuple[Probe, ...]:
    """Probes from ``[{prompt, ground_truth}]``, or from such lists by name, as in EasyEdit."""
    if isinstance(items, dict):
        return tuple(probe for key in items for probe in _pairs(place, items[key], f"{name}.{key}"))
    return tuple(
        Probe(place.text(item, "prompt"), _first(place, item, "ground_truth") or "")
        for item in place.list(items, name)
    )


def _structured_portability(place: Place, record: dict[str, Any]) -> dict[str, tuple[Probe, ...]]:
    items = record.get("portability") or {}
    if isinstance(items, list):
        items = {PORTABILITY: items}
    entries = place.object(items, "portability").items()
    return {str(key): _pairs(place, value, f"portability.{key}") for key, value in entries}


def _first(place: Place, record: dict[str, Any], name: str) -> str | None:
    """A text, or the first of a list of texts (of texts, in EasyEdit's newer files)."""
    value = record.get(name)
    while isinstance(value, list):
        value = value[0] if value else None
    return None if value is None or value == "" else place.as_text(name, value)
