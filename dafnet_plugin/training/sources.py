"""Training and validation sets, in whatever form they are given, as edit cases by source."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from dafnet_plugin.cases import EditCase, EditRequest, Probe
from dafnet_plugin.errors import DataError


def cases_of(data: Any) -> dict[str, list[EditCase]]:
    """Return edit cases by source name.

    Args:
        data: edit cases; an EasyEdit data set (``prompt, target_new, ground_truth,
            rephrase_prompt, locality_prompt, locality_ground_truth``); or a mapping of source
            names to either.

    Raises:
        DataError: an item is neither, or a source is empty; names source, index and field.
    """
    named = data if isinstance(data, Mapping) else {"train": data}
    sources = {}
    for name, items in named.items():
        sources[name] = [_case(items[index], f"{name}[{index}]") for index in range(len(items))]
        if not sources[name]:
            raise DataError(f"source {name!r} has no case")
    return sources


def _case(item: EditCase | Mapping[str, Any], where: str) -> EditCase:
    if isinstance(item, EditCase):
        return item
    if not isinstance(item, Mapping):
        raise DataError(f"{where}: {type(item).__name__} is neither an EditCase nor a record")
    for field in ("prompt", "target_new"):
        if not isinstance(item.get(field), str):
            raise DataError(f"{where}: field {field!r} is {item.get(field)!r}; allowed: text")
    rephrase, locality = item.get("rephrase_prompt"), item.get("locality_prompt")
    answers = item.get("locality_ground_truth")
    return EditCase(
        case_id=str(item.get("case_id", where)),
        request=EditRequest(
            item["prompt"], item["target_new"], item.get("subject"), item.get("ground_truth")
        ),
        generality=tuple(Probe(prompt, item["target_new"]) for prompt in _list(rephrase)),
        locality=tuple(
            Probe(prompt, answer)
            for prompt, answer in zip(_list(locality), _list(answers), strict=True)
        ),
    )


def _list(value: str | Sequence[str] | None) -> list[str]:
    if not value:
        return []
    return [value] if isinstance(value, str) else list(value)
