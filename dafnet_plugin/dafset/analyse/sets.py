"""What is analysed: a DAFSet's samples by property, and the data sets beside them."""

from __future__ import annotations

import string
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from dafnet_plugin.cases import EditCase
from dafnet_plugin.dafset.samples import Meta, Sample, read_samples
from dafnet_plugin.data import LOADERS, get_loader
from dafnet_plugin.errors import DataError, did_you_mean
from dafnet_plugin.files import read_json, read_jsonl

FORMATS = ("zsre", "counterfact", "knowedit", "uniedit", "ripple", "pararel", "cases", "dafset")
"""Of the data sets that one may be compared with."""


@dataclass(frozen=True, slots=True)
class Fact:
    """One edit of a data set.

    Attributes:
        true: the old answer, when known.
        meta: what a DAFSet of our own knows about it.
    """

    subject: str
    prompt: str
    target: str
    true: str | None = None
    meta: Meta | None = None
    sample: Sample | None = None

    @property
    def asked(self) -> tuple[str, str]:
        """What makes two edits the same question: subject and wording, in any case."""
        return fold(self.subject), fold(self.prompt)


@dataclass(frozen=True)
class FactSet:
    """The edits of one file.

    Attributes:
        name: ``"popular"``, or what another data set is called.
        own: whether it is part of the DAFSet.
    """

    name: str
    facts: Sequence[Fact]
    own: bool

    @property
    def subjects(self) -> dict[str, Fact]:
        """Distinct subjects, as compared, each with its first fact."""
        found: dict[str, Fact] = {}
        for fact in self.facts:
            found.setdefault(fold(fact.subject), fact)
        return found


Against = Mapping[str, str | Path] | Sequence[str | Path] | None


def load_sets(folder: str | Path, against: Against = None) -> list[FactSet]:
    """The DAFSet's files that have samples, then the other data sets.

    Args:
        against: name -> file; the name is that of the format (``zsre``, ``counterfact``, ...),
            or ``<name>=<format>``. Or just files, whose format is seen from their records.

    Raises:
        DataError: a file is malformed or of an unknown format, a name is taken, or the DAFSet has
            no sample.
    """
    parts = read_samples(folder)
    sets = [
        FactSet(name, [_of_sample(sample) for sample in samples], True)
        for name, samples in parts.items()
        if samples
    ]
    if not sets:
        raise DataError(f"{folder}: none of {', '.join(parts)} has a sample")
    for key, path in _named(against):
        name, _, kind = key.partition("=")
        if name in parts or any(other.name == name for other in sets):
            raise DataError(f"against: {name!r} is given twice, or is a property of DAFSet")
        sets.append(FactSet(name, [_of_case(case) for case in _load(kind or name, path)], False))
    return sets


def fold(text: str) -> str:
    """A name as it is compared: small letters, single spaces, no full stop at its end."""
    return " ".join(text.casefold().split()).rstrip(string.punctuation + " ")


def _named(against: Against) -> list[tuple[str, str | Path]]:
    if not against:
        return []
    if isinstance(against, Mapping):
        return list(against.items())
    found: dict[str, str | Path] = {}
    for path in against:
        kind = format_of(path)
        name = kind if kind not in found else Path(path).stem
        if f"{name}={kind}" in found or name in found:
            raise DataError(f"against: {path} is given twice")
        found[name if name == kind else f"{name}={kind}"] = path
    return list(found.items())


def format_of(path: str | Path) -> str:
    """The format of a data set, seen from its first record.

    Raises:
        DataError: the file cannot be read, or the record is of no format that is compared with.
    """
    if Path(path).is_dir():
        return "pararel" if (Path(path) / "triples").is_dir() else "dafset"
    records = read_jsonl(path) if Path(path).suffix == ".jsonl" else read_json(path)
    first = records[0] if isinstance(records, list) and records else None
    fields = set(first) if isinstance(first, Mapping) else set()
    for kind, marks in _MARKS:
        if marks <= fields:
            return kind
    raise DataError(
        f"{path}: of no known format: the first record has {sorted(fields) or 'no fields'}; "
        "allowed: files of ZsRE, CounterFact, DAFSet, or edit cases"
    )


_MARKS: Sequence[tuple[str, set[str]]] = (
    ("zsre", {"src", "alt"}),
    ("counterfact", {"requested_rewrite"}),
    ("cases", {"case_id", "request"}),
    ("counterfact", {"case_id", "prompt", "target_new"}),
    ("dafset", {"prompt", "target_new", "rephrase_prompt", "locality_prompt"}),
)


def _load(kind: str, path: str | Path) -> Sequence[EditCase]:
    if kind not in LOADERS:
        raise DataError(
            f"against: format {kind!r} is unknown{did_you_mean(kind, FORMATS)}; "
            f"allowed: {', '.join(FORMATS)}, or <name>=<one of these>"
        )
    return get_loader(kind)(path)


def _of_sample(sample: Sample) -> Fact:
    return Fact(
        sample.subject, sample.prompt, sample.target_new, sample.ground_truth, sample.meta, sample
    )


def _of_case(case: EditCase) -> Fact:
    request = case.request
    subject = request.subject or request.prompt
    return Fact(subject, request.prompt, request.target_new, request.ground_truth)
