"""Fields that several data sets share: a request, paraphrases, and probes grouped by name.

Probes are lists of ``{prompt, ground_truth}``, or such lists by name. A ``ground_truth`` is a
text, a list of texts (names of one answer), or a list of such lists (several answers).
"""

from __future__ import annotations

from typing import Any

from dafnet_plugin.cases import EditRequest, Probe
from dafnet_plugin.data.records import Place
from dafnet_plugin.errors import DataError


def structured_request(place: Place, record: dict[str, Any]) -> EditRequest:
    """Read ``prompt, target_new, subject, ground_truth``; the last two may be missing."""
    truth = answers(place, "ground_truth", record.get("ground_truth"))
    return EditRequest(
        place.text(record, "prompt"),
        place.text(record, "target_new"),
        place.optional_text(record, "subject"),
        truth[0] if truth else None,
    )


def paraphrases(place: Place, record: dict[str, Any], target: str) -> tuple[Probe, ...]:
    """Read ``rephrase_prompt`` (or ``rephrase``), a text or a list of texts; it may be missing."""
    name = "rephrase_prompt" if record.get("rephrase_prompt") else "rephrase"
    prompts = record.get(name) or []
    return tuple(
        Probe(place.as_text(name, prompt), target)
        for prompt in (prompts if isinstance(prompts, list) else [prompts])
    )


def probes(
    place: Place, items: Any, name: str, *, skip_blank: bool = False
) -> dict[str, tuple[Probe, ...]]:
    """Read probes by their names; those of a plain list are all called ``name``.

    Args:
        items: ``[{prompt, ground_truth}, ...]``, such lists by name, or nothing.
        name: of the field, for errors.
        skip_blank: leave out questions without an answer, as EasyEdit does; else they are
            errors.

    Raises:
        DataError: the field is malformed; names it.
    """
    groups = items if isinstance(items, dict) else {name: items}
    found = {}
    for key, group in groups.items():
        where = key if key == name else f"{name}.{key}"
        members = [
            probe
            for item in place.list(group or [], where)
            if (probe := _probe(place, place.object(item, where), where, skip_blank)) is not None
        ]
        if members:
            found[str(key)] = tuple(members)
    return found


def answers(place: Place, name: str, value: Any) -> tuple[str, ...]:
    """Every text of an answer that is not blank, each once; the first is the one to be given."""
    if value is None:
        return ()
    if isinstance(value, list):
        names = [text for item in value for text in answers(place, name, item)]
        return tuple(dict.fromkeys(names))
    if isinstance(value, str) and not value.strip():
        return ()
    return (place.as_text(name, value),)


def _probe(place: Place, item: dict[str, Any], where: str, skip_blank: bool) -> Probe | None:
    prompt = place.field(item, "prompt")
    if isinstance(prompt, list) and prompt:  # EasyEdit takes the first of several wordings
        prompt = prompt[0]
    names = answers(place, f"{where}.ground_truth", place.field(item, "ground_truth"))
    if not names:
        if skip_blank:
            return None
        raise DataError(f"{place}: field '{where}.ground_truth' of {prompt!r} is blank")
    return Probe(place.as_text(f"{where}.prompt", prompt), names[0], names[1:])
