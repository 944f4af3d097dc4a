"""DAFSet: ``long_tail.json``, ``popular.json``, ``recent.json`` and ``robust.json``.

Lists of ``{prompt, target_new, subject, rephrase_prompt, locality_prompt,
locality_ground_truth}``; records of ``robust.json`` also have ``prefix``, a list of contexts.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from dafnet_plugin.cases import EditCase, EditRequest, Probe
from dafnet_plugin.data.records import Place, Records, load_files, load_records
from dafnet_plugin.errors import DataError

PARTS = ("long_tail", "popular", "recent", "robust")
MAX_PREFIX_WORDS = 30


def load_dafset(
    path: str | Path,
    *,
    size: int | None = None,
    skip_bad: bool = False,
    prefixes: bool = False,
) -> Records[EditCase]:
    """Load the cases of one file, or of those of the four that a folder has.

    A case is called ``<file>-<index>``.

    Args:
        prefixes: ask the paraphrase and the locality probe again in every context of
            ``prefix``.

    Raises:
        DataError: a file or a record is malformed, or the folder has none of the files.
    """

    def load(file: Path, left: int | None) -> Records[EditCase]:
        return load_records(file, parse, size=left, skip_bad=skip_bad)

    def parse(place: Place, record: Any) -> EditCase:
        return parse_dafset(place, record, prefixes=prefixes)

    folder = Path(path)
    if not folder.is_dir():
        return load(folder, size)
    files = [file for part in PARTS if (file := folder / f"{part}.json").is_file()]
    if not files:
        raise DataError(f"{folder}: none of {', '.join(f'{part}.json' for part in PARTS)} is there")
    return load_files(files, load, size)


def parse_dafset(place: Place, record: Any, *, prefixes: bool = False) -> EditCase:
    """Read one record."""
    target = place.text(place.object(record), "target_new")
    contexts = [
        place.as_text("prefix", c) for c in place.list(record.get("prefix") or [], "prefix")
    ]
    asked = ["", *contexts] if prefixes else [""]
    paraphrase = place.text(record, "rephrase_prompt")
    unrelated = place.text(record, "locality_prompt")
    truth = place.text(record, "locality_ground_truth")
    return EditCase(
        case_id=f"{Path(place.path).stem}-{place.index}",
        request=EditRequest(
            place.text(record, "prompt"),
            target,
            place.optional_text(record, "subject"),
            place.optional_text(record, "ground_truth"),
        ),
        generality=tuple(Probe(with_prefix(prefix, paraphrase), target) for prefix in asked),
        locality=tuple(Probe(with_prefix(prefix, unrelated), truth) for prefix in asked),
    )


def with_prefix(prefix: str, prompt: str) -> str:
    """Put a context before a prompt: cut to 30 words, with a full stop if it lacks one."""
    words = prefix.split()[:MAX_PREFIX_WORDS]
    if not words:
        return prompt
    context = " ".join(words)
    return f"{context} {prompt}" if context.endswith(".") else f"{context}. {prompt}"
