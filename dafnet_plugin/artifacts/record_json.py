"""A record of calls as plain JSON data, and digests of its beginnings."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from dafnet_plugin.cases import EditRequest
from dafnet_plugin.editing.consolidation import ConsolidationConfig
from dafnet_plugin.editing.record import Call, Calls, Edit, Settings
from dafnet_plugin.errors import DataError


def calls_to_json(calls: Calls) -> dict[str, Any]:
    """Return ``{"settings": [...], "calls": [...]}``; settings that repeat are written once."""
    settings = list(dict.fromkeys(call.settings for call in calls))
    return {
        "settings": [asdict(one) for one in settings],
        "calls": [
            {"settings": settings.index(call.settings), "edits": [_edit(e) for e in call.edits]}
            for call in calls
        ],
    }


def calls_from_json(data: Mapping[str, Any]) -> Calls:
    """Build calls from what :func:`calls_to_json` returned.

    Raises:
        DataError: a field is missing, unknown or of the wrong type; names it.
    """
    try:
        settings = [_settings(one) for one in data["settings"]]
        return tuple(
            Call(
                tuple(Edit(str(e["case_id"]), EditRequest(**e["request"])) for e in call["edits"]),
                settings[call["settings"]],
            )
            for call in data["calls"]
        )
    except KeyError as error:
        raise DataError(f"record of edits without the field {error.args[0]!r}") from error
    except (AttributeError, IndexError, TypeError) as error:
        raise DataError(f"record of edits: {error}") from error


def _edit(edit: Edit) -> dict[str, Any]:
    request = {name: getattr(edit.request, name) for name in edit.request.__slots__}
    known = {name: value for name, value in request.items() if value is not None}
    return {"case_id": edit.case_id, "request": known}


def _settings(data: Mapping[str, Any]) -> Settings:
    config = data["consolidation"]
    consolidation = ConsolidationConfig(**config) if config is not None else None
    return Settings(data["batch_size"], data["use_chat_template"], consolidation)


class Beginnings:
    """Digests of the beginnings of a sequence; only what is new is computed."""

    def __init__(self) -> None:
        self._calls: Calls = ()
        self._digests = [""]

    def of(self, calls: Calls) -> list[str]:
        """The digest of the first n calls at index n, for n from 0 to all of them."""
        same = 0
        while same < min(len(calls), len(self._calls)) and calls[same] is self._calls[same]:
            same += 1
        digests = self._digests[: same + 1]
        for call in calls[same:]:
            text = json.dumps(calls_to_json((call,)), sort_keys=True)
            digests.append(hashlib.sha256(f"{digests[-1]}\n{text}".encode()).hexdigest())
        self._calls, self._digests = calls, digests
        return list(digests)
