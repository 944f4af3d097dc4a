"""Samples of DAFSet: what a record says, where it comes from, and the four files."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

from dafnet_plugin.data.records import Place, load_records
from dafnet_plugin.errors import DataError
from dafnet_plugin.files import write_json

PROPERTIES = ("long_tail", "popular", "recent", "robust")
"""The four properties; each has a JSON file of that name."""
SPLITS = ("train", "eval")
META = "dafset"
"""Key of a record under which its origin is; loaders of the format do not look at it."""


@dataclass(frozen=True, slots=True)
class Context:
    """Text put before a question.

    Attributes:
        length: its bucket, such as ``"short"``.
        content: ``"related"``, ``"unrelated"`` or ``"distracting"``.
        sentiment: ``"positive"``, ``"negative"`` or ``"neutral"``.
    """

    text: str
    length: str
    content: str
    sentiment: str


@dataclass(frozen=True, slots=True)
class Counter:
    """The opposite attribute: an exclusive value of the same relation, with its request."""

    prompt: str
    target_new: str
    object_id: str | None = None
    kind: str = "exclusive"


@dataclass(frozen=True, slots=True)
class Meta:
    """Where a sample comes from and what was measured; None is "not measured" throughout.

    Attributes:
        id: unique in the data set.
        subject_id, relation, object_id: of the statement that the edit makes; Wikidata ids.
        true_object_id: the object the graph has; equal to ``object_id`` when the edit is true.
        property: the file it is in; ``properties`` are all that it has.
        split: ``"train"`` or ``"eval"``; by subject.
        views: page views of the subject. degree: statements from and to it.
        frequency: mentions of the subject in the text corpus.
        log_likelihood: of the true object given the subject, mean nats per token over patterns.
        modified: of the subject's entity, ISO 8601, UTC.
        hops: statements between true and new object; None when the edit is true, or when the
            new object was drawn from the relation's other objects.
        change: ``"new"`` or ``"changed"`` against the state before, for recent samples.
        domain: the field that the relation belongs to.
        locality: (subject, relation, object) of the locality probe.
    """

    id: str
    subject_id: str
    relation: str
    object_id: str
    true_object_id: str | None
    property: str
    split: str
    views: int | None = None
    degree: int | None = None
    frequency: int | None = None
    log_likelihood: float | None = None
    modified: str | None = None
    hops: int | None = None
    change: str | None = None
    relation_label: str | None = None
    domain: str | None = None
    properties: tuple[str, ...] = ()
    locality: tuple[str, ...] = ()
    contexts: tuple[Context, ...] = ()
    counter: Counter | None = None

    def __post_init__(self) -> None:
        for name, allowed in (("property", PROPERTIES), ("split", SPLITS)):
            if getattr(self, name) not in allowed:
                raise DataError(
                    f"sample {self.id!r}: {name} is {getattr(self, name)!r}; "
                    f"allowed: {', '.join(allowed)}"
                )


@dataclass(frozen=True, slots=True)
class Sample:
    """An edit with its paraphrase, its locality probe, its contexts and its origin."""

    prompt: str
    target_new: str
    subject: str
    ground_truth: str | None
    rephrase_prompt: str
    locality_prompt: str
    locality_ground_truth: str
    prefix: tuple[str, ...] = ()
    meta: Meta | None = None

    def __post_init__(self) -> None:
        for name in _TEXTS:
            value = getattr(self, name)
            if not isinstance(value, str) or not value.strip():
                raise DataError(
                    f"sample {self.prompt!r}: {name} is {value!r}, a non-empty string is needed"
                )


_TEXTS = (
    "prompt",
    "target_new",
    "subject",
    "rephrase_prompt",
    "locality_prompt",
    "locality_ground_truth",
)


@dataclass(frozen=True, slots=True)
class Material:
    """True sentences that contexts for samples can be made of.

    Attributes:
        about: sample id -> sentences about its subject, in other relations.
        distracting: sample id -> sentences that say of other subjects what the sample asks.
        unrelated: sentences about anything that no sample edits.
        exclusive: sample id -> (object id, label) of the same relation, neither the new object
            nor one that is true.
    """

    about: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    distracting: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    unrelated: tuple[str, ...] = ()
    exclusive: Mapping[str, tuple[tuple[str, str], ...]] = field(default_factory=dict)


def sample_to_json(sample: Sample) -> dict[str, Any]:
    """Return the record, the inverse of :func:`sample_from_json`."""
    record: dict[str, Any] = {name: getattr(sample, name) for name in _TEXTS[:3]}
    if sample.ground_truth is not None:
        record["ground_truth"] = sample.ground_truth
    record |= {name: getattr(sample, name) for name in _TEXTS[3:]}
    if sample.prefix:
        record["prefix"] = list(sample.prefix)
    if sample.meta:
        record[META] = _plain(sample.meta)
    return record


def sample_from_json(place: Place, record: Any) -> Sample:
    """Read a record; one without ``"dafset"`` is of unknown origin.

    Raises:
        DataError: names file, record and field.
    """
    texts = {name: place.text(record, name) for name in _TEXTS}
    prefix = place.list(record.get("prefix") or [], "prefix")
    meta = record.get(META)
    return Sample(
        **texts,
        ground_truth=place.optional_text(record, "ground_truth"),
        prefix=tuple(place.as_text("prefix", text) for text in prefix),
        meta=None if meta is None else _meta(place, meta),
    )


def write_samples(folder: str | Path, samples: Iterable[Sample]) -> dict[str, int]:
    """Write the four files, one for each property, in the order given.

    Returns:
        how many samples each file has; one of them may have none.

    Raises:
        DataError: a sample without its origin.
    """
    parts: dict[str, list[dict[str, Any]]] = {name: [] for name in PROPERTIES}
    for sample in samples:
        if sample.meta is None:
            raise DataError(f"sample {sample.prompt!r}: without 'dafset', of which file is it?")
        parts[sample.meta.property].append(sample_to_json(sample))
    for name, records in parts.items():
        write_json(Path(folder) / f"{name}.json", records)
    return {name: len(records) for name, records in parts.items()}


def read_samples(folder: str | Path) -> dict[str, list[Sample]]:
    """Read those of the four files that a folder has.

    Raises:
        DataError: none is there, or a record is malformed.
    """
    files = {name: Path(folder) / f"{name}.json" for name in PROPERTIES}
    there = {name: file for name, file in files.items() if file.is_file()}
    if not there:
        raise DataError(f"{folder}: none of {', '.join(f'{p}.json' for p in PROPERTIES)} is there")
    read: dict[str, list[Sample]] = {}
    for name, file in there.items():
        if file.stat().st_size < 8 and file.read_text(encoding="utf-8").split() == ["[]"]:
            read[name] = []  # a property for which the graph had nothing
        else:
            read[name] = list(load_records(file, sample_from_json))
    return read


def _plain(value: Any) -> Any:
    if hasattr(value, "__dataclass_fields__"):
        return {item.name: _plain(getattr(value, item.name)) for item in fields(value)}
    if isinstance(value, (tuple, list)):
        return [_plain(item) for item in value]
    return value


def _meta(place: Place, data: Any) -> Meta:
    data = dict(place.object(data, META))
    try:
        contexts = [
            Context(**place.object(item, "contexts"))
            for item in place.list(data.pop("contexts", None) or [], "contexts")
        ]
        counter = data.pop("counter", None)
        return Meta(
            **{key: _tuple(value) for key, value in data.items()},
            contexts=tuple(contexts),
            counter=None if counter is None else Counter(**place.object(counter, "counter")),
        )
    except TypeError as error:  # a key too many or too few
        raise DataError(f"{place}: field {META!r}: {error}") from error


def _tuple(value: Any) -> Any:
    return tuple(value) if isinstance(value, Sequence) and not isinstance(value, str) else value
