"""UniEdit (Chen et al. 2025): ``{id: {edit, generality, locality}}``, one file a domain.

``edit`` has ``prompt, target, subject``. ``generality`` and ``locality`` map numbers to
questions with ``prompt, target, path_type, paths``: a chain of facts (``single``), or two that
meet (``double``, a question to be answered with yes or no). A hop of a path is
``[from, relation, to, direction, ...]``, in which ``h_e, r_e, t_e`` is the edited fact and the
direction ``b`` means that it is asked backwards.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from dafnet_plugin.cases import EditCase, EditRequest, Probe
from dafnet_plugin.data.records import Place, Records, load_files, load_records
from dafnet_plugin.errors import DataError

YES_NO = " The answer is (Yes/No):"  # which UniEdit's own evaluation appends
PATH_TYPES = ("single", "double")
FORWARD = ["h_e", "r_e", "t_e", "f"]


def load_uniedit(
    path: str | Path, *, size: int | None = None, skip_bad: bool = False
) -> Records[EditCase]:
    """Load the cases of one file, or of all ``.json`` files of a folder (by name).

    A case is called ``<file>-<id>``, as in UniEdit's code. What UniEdit calls generality is
    split: questions for the edited fact itself are generality, and what follows from it is
    portability, by criterion: ``Relation_Reversal``, ``Multi_Hop``, ``Same_Entity_Reasoning``.

    Raises:
        DataError: a file or a record is malformed, or the folder has no such file.
    """

    def load(file: Path, left: int | None) -> Records[EditCase]:
        return load_records(file, parse_uniedit, size=left, skip_bad=skip_bad, keyed=True)

    folder = Path(path)
    if not folder.is_dir():
        return load(folder, size)
    files = sorted(folder.glob("*.json"))
    if not files:
        raise DataError(f"{folder}: no .json files; UniEdit has one for each domain")
    return load_files(files, load, size)


def parse_uniedit(place: Place, record: Any) -> EditCase:
    """Read one record."""
    edit = place.object(place.field(record, "edit"), "edit")
    request = EditRequest(
        place.text(edit, "prompt"), place.text(edit, "target"), place.optional_text(edit, "subject")
    )
    groups: dict[str, list[Probe]] = {}
    for question in _questions(place, record, "generality"):
        criterion = _criterion(place, question, request)
        groups.setdefault(criterion, []).append(_probe(place, question))
    generality = groups.pop("", [])
    return EditCase(
        case_id=f"{Path(place.path).stem}-{place.index}",
        request=request,
        generality=tuple(generality),
        locality=tuple(_probe(place, item) for item in _questions(place, record, "locality")),
        portability={name: tuple(probes) for name, probes in groups.items()},
    )


def _questions(place: Place, record: dict[str, Any], name: str) -> list[dict[str, Any]]:
    questions = place.object(place.field(record, name), name)
    return [place.object(item, f"{name}.{key}") for key, item in questions.items()]


def _probe(place: Place, question: dict[str, Any]) -> Probe:
    ending = YES_NO if _path_type(place, question) == "double" else ""
    return Probe(place.text(question, "prompt") + ending, place.text(question, "target"))


def _criterion(place: Place, question: dict[str, Any], request: EditRequest) -> str:
    """What a question of ``generality`` asks for; empty if it is the edited fact."""
    if _path_type(place, question) == "double":
        return "Same_Entity_Reasoning"
    paths = [place.list(hop, "paths") for hop in place.list(question.get("paths", []), "paths")]
    if len(paths) > 1:
        return "Multi_Hop"
    if not paths:  # as in files that were cut down to prompts and targets
        same = place.text(question, "target") == request.target_new
        return "" if same else "Multi_Hop"
    return "" if paths[0][:4] == FORWARD else "Relation_Reversal"


def _path_type(place: Place, question: dict[str, Any]) -> str:
    kind = question.get("path_type", "single")
    if kind not in PATH_TYPES:
        raise DataError(f"{place}: field 'path_type' is {kind!r}; allowed: {', '.join(PATH_TYPES)}")
    return str(kind)
