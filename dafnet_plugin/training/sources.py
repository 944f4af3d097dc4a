"""Training and validation sets, in whatever form they are given, as edit cases by source."""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from typing import Any

from dafnet_plugin.cases import EditCase, EditRequest, Probe
from dafnet_plugin.errors import DataError


def cases_of(data: Any) -> dict[str, list[EditCase]]:
    """Return edit cases by source name.

    Args:
        data: edit cases; an EasyEdit data set (``prompt, target_new, ground_truth,
            rephrase_prompt, locality_prompt, locality_ground_truth``); a mapping of source
            names to either; or a data set that has such a mapping as ``sources``.

    Raises:
        DataError: an item is neither, or a source is empty; names source, index and field.
    """
    data = getattr(data, "sources", data)
    named = data if isinstance(data, Mapping) else {"train": data}
    sources = {}
    for name, items in named.items():
        sources[name] = [_case(items[index], f"{name}[{index}]") for index in range(len(items))]
        if not sources[name]:
            raise DataError(f"source {name!r} has no case")
    return sources


def hold_out(
    sources: Mapping[str, Sequence[EditCase]], share: float, seed: int
) -> tuple[dict[str, list[EditCase]], list[EditCase]]:
    """Split cases by subject, so that no subject is on both sides.

    Args:
        share: of the subjects to hold out, 0 to 1.

    Returns:
        the remaining cases by source, and those held out.

    Raises:
        DataError: a source would be left without a case, or nothing would be held out.
    """
    subjects = sorted({_subject(case) for cases in sources.values() for case in cases})
    random.Random(seed).shuffle(subjects)
    held = set(subjects[: round(share * len(subjects))])
    kept = {name: [c for c in cases if _subject(c) not in held] for name, cases in sources.items()}
    out = [case for cases in sources.values() for case in cases if _subject(case) in held]
    if not out or not all(kept.values()):
        raise DataError(
            f"val_share: {share} of {len(subjects)} subjects leaves nothing to train on or "
            "nothing to validate on; give more cases, another share, or 0 for no validation"
        )
    return kept, out


def _subject(case: EditCase) -> str:
    return case.request.subject or case.request.prompt


def _case(item: EditCase | Mapping[str, Any], where: str) -> EditCase:
    if isinstance(item, EditCase):
        return item
    if not isinstance(item, Mapping):
        raise DataError(f"{where}: {type(item).__name__} is neither an EditCase nor a record")
    for field in ("prompt", "target_new"):
        if not isinstance(item.get(field), str):
            raise DataError(f"{where}: field {field!r} is {item.get(field)!r}; allowed: text")
    prompts, answers = _list(item.get("locality_prompt")), _list(item.get("locality_ground_truth"))
    if len(prompts) != len(answers):
        raise DataError(
            f"{where}: {len(prompts)} of locality_prompt but {len(answers)} of "
            "locality_ground_truth; allowed: as many of one as of the other"
        )
    try:
        return EditCase(
            case_id=str(item.get("case_id", where)),
            request=EditRequest(
                item["prompt"], item["target_new"], item.get("subject"), item.get("ground_truth")
            ),
            generality=tuple(
                Probe(prompt, item["target_new"]) for prompt in _list(item.get("rephrase_prompt"))
            ),
            locality=tuple(map(Probe, prompts, answers)),
        )
    except DataError as error:
        raise DataError(f"{where}: {error}") from error


def _list(value: str | Sequence[str] | None) -> list[str]:
    if not value:
        return []
    return [value] if isinstance(value, str) else list(value)
