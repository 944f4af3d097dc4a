"""DAFSet's files, and who of their subjects is held out."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from dafnet_plugin.cases import EditCase
from dafnet_plugin.data.records import Place
from dafnet_plugin.errors import DataError, did_you_mean
from dafnet_plugin.files import read_json, read_jsonl

PARTS = ("long_tail", "popular", "recent", "robust")
"""DAFSet's files, without ``.json``: one for each property."""

TRAIN, EVAL = "train", "eval"
SPLITS = (TRAIN, EVAL)
HELD_OUT = 0.1
"""Share of the subjects that are held out where the records themselves do not say."""


def part_files(path: str | Path, parts: Iterable[str] = PARTS) -> list[Path]:
    """The files of a folder, or the one file that was given.

    Raises:
        DataError: there is none, or a part is asked for that DAFSet does not have.
    """
    folder, parts = Path(path), tuple(parts)
    for part in parts:
        if part not in PARTS:
            raise DataError(
                f"part {part!r} of DAFSet is unknown{did_you_mean(part, PARTS)}; "
                f"allowed: {', '.join(PARTS)}"
            )
    if not folder.is_dir():
        return [folder]
    files = [
        file
        for part in PARTS
        if part in parts and (file := folder / f"{part}.json").is_file() and not _is_empty(file)
    ]
    if not files:
        names = ", ".join(f"{part}.json" for part in parts)
        raise DataError(f"{folder}: none of {names} is there, or they have no record")
    return files


def _is_empty(file: Path) -> bool:
    """Whether it is an empty list: a property for which the graph had nothing."""
    return file.stat().st_size < 8 and not file.read_bytes().strip(b"[] \n\r\t")


def check_split(split: str | None, held_out: float) -> None:
    """Refuse a split that there is not.

    Raises:
        DataError: names what is allowed.
    """
    if split is not None and split not in SPLITS:
        allowed = f"{', '.join(SPLITS)}, or none for all"
        raise DataError(f"split is {split!r}{did_you_mean(str(split), SPLITS)}; allowed: {allowed}")
    if not 0 < held_out < 1:
        raise DataError(f"held_out is {held_out}; allowed: above 0, below 1")


def held_out_subjects(path: str | Path, cases: Iterable[EditCase], share: float) -> set[str]:
    """The subjects whose cases are tested and never trained on.

    Where a file's records say to which split they belong (``dafset.split``), a subject with any
    record in ``"eval"`` is held out, whatever its others say. Elsewhere chance decides by the
    subject's name alone, so that a subject is on the same side in every file, today and after
    the set was built anew.
    """
    said: dict[str, str] = {}
    for file in part_files(path):
        for place, record in _raw(file):
            split = metadata(record).get("split")
            if split is None:
                continue
            if split not in SPLITS:
                raise DataError(
                    f"{place}: field 'dafset.split' is {split!r}; allowed: {', '.join(SPLITS)}"
                )
            subject = str(record.get("subject", "")).strip()
            said[subject] = EVAL if EVAL in (split, said.get(subject)) else TRAIN
    subjects = {case.request.subject for case in cases if case.request.subject}
    return {
        subject
        for subject in subjects
        if (said[subject] == EVAL if subject in said else _drawn(subject) < share)
    }


def metadata(record: Any) -> Mapping[str, Any]:
    """What ``dafnet dafset build`` says about a record; nothing where another hand wrote it."""
    found = record.get("dafset") if isinstance(record, Mapping) else None
    return found if isinstance(found, Mapping) else {}


def _drawn(subject: str) -> float:
    """A number from 0 to 1 that depends on the text alone."""
    return int.from_bytes(hashlib.sha256(subject.encode()).digest()[:8], "big") / 2**64


def _raw(file: Path) -> list[tuple[Place, Any]]:
    records = read_jsonl(file) if file.suffix == ".jsonl" else read_json(file)
    return [(Place(file, index), record) for index, record in enumerate(records)]
