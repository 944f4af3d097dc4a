"""DAFSet: ``long_tail.json``, ``popular.json``, ``recent.json`` and ``robust.json``.

Lists of ``{prompt, target_new, subject, rephrase_prompt, locality_prompt,
locality_ground_truth}``; records of ``robust.json`` also have ``prefix``, a list of contexts.
Sets that ``dafnet dafset build`` wrote say more about each record under the key ``dafset``.
"""

from __future__ import annotations

import dataclasses
import random
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, overload

from dafnet_plugin.cases import EditCase, EditRequest, Probe
from dafnet_plugin.data.counterfact import load_counterfact
from dafnet_plugin.data.dafset_files import (
    EVAL,
    HELD_OUT,
    PARTS,
    check_split,
    held_out_subjects,
    part_files,
)
from dafnet_plugin.data.records import Place, Records, load_records
from dafnet_plugin.data.zsre import load_zsre
from dafnet_plugin.errors import DataError

MAX_PREFIX_WORDS = 30


def load_dafset(
    path: str | Path,
    *,
    size: int | None = None,
    skip_bad: bool = False,
    prefixes: bool = False,
    split: str | None = None,
    held_out: float = HELD_OUT,
) -> Records[EditCase]:
    """Load the cases of one file, or of those of the four that a folder has.

    A case is called ``<file>-<index>``.

    Args:
        prefixes: ask the paraphrase and the locality probe again in every context of
            ``prefix``.
        split: ``"train"`` or ``"eval"``, see :func:`held_out_subjects`; None for all.
        held_out: share of the subjects in ``"eval"`` where the records do not say, 0 to 1.

    Raises:
        DataError: a file or a record is malformed, or the folder has none of the files; there is
            no such split, or nothing in it.
    """
    check_split(split, held_out)
    loaded = load_parts(
        path, skip_bad=skip_bad, prefixes=prefixes, size=size if not split else None
    )
    cases = Records(
        (case for part in loaded.values() for case in part),
        (problem for part in loaded.values() for problem in part.problems),
    )
    if split is None:
        return Records(cases[:size], cases.problems)
    held = held_out_subjects(path, cases, held_out)
    kept = [case for case in cases if (case.request.subject in held) == (split == EVAL)]
    if not kept:
        raise DataError(f"{path}: split {split!r} is empty; {len(held)} subjects are held out")
    return Records(kept[:size], cases.problems)


def load_parts(
    path: str | Path,
    *,
    parts: Iterable[str] = PARTS,
    size: int | None = None,
    skip_bad: bool = False,
    prefixes: bool = False,
) -> dict[str, Records[EditCase]]:
    """Load one file, or those of the four that a folder has, each by its name.

    Args:
        size: of all together, at most.

    Raises:
        DataError: see :func:`load_dafset`.
    """

    def parse(place: Place, record: Any) -> EditCase:
        return parse_dafset(place, record, prefixes=prefixes)

    loaded: dict[str, Records[EditCase]] = {}
    for file in part_files(path, parts):
        left = None if size is None else size - sum(map(len, loaded.values()))
        if left != 0:
            loaded[file.stem] = load_records(file, parse, size=left, skip_bad=skip_bad)
    return loaded


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


# -- a training or test set of several sources ---------------------------------------------------

BESIDE = {"zsre_train": load_zsre, "cf_train": load_counterfact}
"""Training sets of others that may lie beside DAFSet's files, each as ``<name>.json``."""

ANSWER_WORDS = 5
"""Words of a passage that a locality probe made of it asks for, at most."""


class DAFSetDataset(Sequence[EditCase]):
    """What is trained on: the files of a folder as sources, each sequence of edits from one.

    Meta-training as published draws a source at random, each as likely as any other, and the
    edits of a sequence from it alone; :meth:`sequence` does that, and
    :class:`~dafnet_plugin.training.trainer.DAFNetTrainer` does it with the data set itself. As a
    sequence, it has all cases of all sources, one source after another.

    Args:
        path: folder with any of DAFSet's four files, and for training also ``zsre_train.json``
            (MEND's form) and ``cf_train.json``; or one file.
        split: ``"train"`` or ``"eval"``, see :func:`held_out_subjects`; None for all there is.
            Cases of the files beside whose subject is held out are not trained on either.
        parts: DAFSet's files to use, by their names.
        beside: use the training sets of others too (never in ``"eval"``).
        text: a file of plain text, ``.txt`` (a passage a line) or ``.jsonl`` (``{"text": ...}``),
            such as Wikipedia's: every case gets a locality probe more, which asks how a passage
            goes on.
        held_out: share of the subjects in ``"eval"`` where records do not say, 0 to 1.
        prefixes: ask paraphrases and locality probes again in every context, as ``robust.json``
            is meant; false asks them without only.
        size: of the cases of all sources together, at most.
        skip_bad: leave malformed records out, see ``problems``.
        seed: of the passages and of where they are cut.

    Attributes:
        sources: cases by the name of their file.
        problems: what was left out, and why.

    Raises:
        DataError: a file is malformed, there is no such split or part, or nothing is left.
    """

    def __init__(
        self,
        path: str | Path,
        split: str | None = None,
        *,
        parts: Iterable[str] = PARTS,
        beside: bool = True,
        text: str | Path | None = None,
        held_out: float = HELD_OUT,
        prefixes: bool = True,
        size: int | None = None,
        skip_bad: bool = False,
        seed: int = 0,
    ) -> None:
        check_split(split, held_out)
        own = load_parts(path, parts=parts, skip_bad=skip_bad, prefixes=prefixes)
        cases = [case for part in own.values() for case in part]
        # Over all four files, whichever are used: a subject never changes sides.
        held = held_out_subjects(path, cases, held_out) if split else set()
        others = _beside(Path(path), skip_bad) if beside and split != EVAL else {}
        loaded = own | others
        self.problems = tuple(problem for part in loaded.values() for problem in part.problems)
        self.sources: dict[str, list[EditCase]] = {}
        for name, part in loaded.items():
            kept = [c for c in part if not split or (c.request.subject in held) == (split == EVAL)]
            left = None if size is None else size - sum(map(len, self.sources.values()))
            if kept[:left]:
                self.sources[name] = kept[:left]
        if not self.sources:
            raise DataError(f"{path}: no case in split {split!r}; {len(held)} subjects held out")
        if text is not None:
            self._add_text(text, seed)
        self._flat = [case for part in self.sources.values() for case in part]

    def sequence(self, edits: int, rng: random.Random) -> list[EditCase]:
        """Draw a sequence of edits from one source; a shorter one where it has fewer cases."""
        source = self.sources[rng.choice(list(self.sources))]
        return rng.sample(source, min(edits, len(source)))

    def _add_text(self, path: str | Path, seed: int) -> None:
        probes = text_probes(path, seed)
        rng = random.Random(f"text of cases {seed}")
        for name, part in self.sources.items():
            self.sources[name] = [
                dataclasses.replace(case, locality=(*case.locality, rng.choice(probes)))
                for case in part
            ]

    @overload
    def __getitem__(self, index: int) -> EditCase: ...

    @overload
    def __getitem__(self, index: slice) -> list[EditCase]: ...

    def __getitem__(self, index: int | slice) -> EditCase | list[EditCase]:
        return self._flat[index]

    def __len__(self) -> int:
        return len(self._flat)


def text_probes(path: str | Path, seed: int) -> list[Probe]:
    """Passages of plain text as questions how they go on, each cut at a random place.

    Raises:
        DataError: the file cannot be read, or no passage has two words.
    """
    from dafnet_plugin.training.text import read_texts  # which imports torch

    rng, probes = random.Random(f"text {seed}"), []
    for passage in read_texts(path):
        words = passage.split()[: MAX_PREFIX_WORDS + ANSWER_WORDS]
        if len(words) > 1:
            cut = rng.randint(max(1, len(words) - 2 * ANSWER_WORDS), len(words) - 1)
            answer = " ".join(words[cut : cut + ANSWER_WORDS])
            probes.append(Probe(" ".join(words[:cut]), answer))
    if not probes:
        raise DataError(f"{path}: no passage of at least two words")
    return probes


def _beside(path: Path, skip_bad: bool) -> dict[str, Records[EditCase]]:
    folder = path if path.is_dir() else path.parent
    return {
        name: load(file, skip_bad=skip_bad)
        for name, load in BESIDE.items()
        if (file := folder / f"{name}.json").is_file() and file != path
    }
