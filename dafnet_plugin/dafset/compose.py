"""Samples made of chosen facts: sentences, new objects, paraphrases and locality probes."""

from __future__ import annotations

import hashlib
import random
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timezone
from typing import Any

from dafnet_plugin.dafset.evidence import Evidence, Row
from dafnet_plugin.dafset.relations import RelationTable, prompt_of, sentence_of
from dafnet_plugin.dafset.samples import PROPERTIES, Material, Meta, Sample

TRAIN, EVAL = "train", "eval"
CONTEXT_FACTS = 12
"""True sentences that are offered for the contexts of a sample, of each kind."""


@dataclass(frozen=True)
class Choice:
    """A fact that is to become a sample.

    Attributes:
        fact: a row of facts, with its measures.
        property: the file it goes to; ``properties`` are all that it has.
    """

    fact: Row
    property: str
    properties: tuple[str, ...]


def assign(pools: Mapping[str, Sequence[Row]], table: RelationTable, limit: int) -> list[Choice]:
    """Deal facts out to the properties, each fact once.

    The properties take turns, so that none takes what another one could have had too. A fact is
    left out when the fact that says the same from the other end was taken.

    Args:
        pools: property -> facts that have it, in the order of preference.
        limit: facts of a property at most.
    """
    has: dict[tuple[str, str], list[str]] = {}
    for name in PROPERTIES:
        for row in pools.get(name, ()):
            has.setdefault((row["subject"], row["relation"]), []).append(name)
    waiting = {name: iter(pools[name]) for name in PROPERTIES if name in pools}
    taken: set[tuple[str, str, str]] = set()
    chosen: list[Choice] = []
    for _ in range(limit):
        for name in list(waiting):
            row = next((row for row in waiting[name] if _is_free(row, table, taken)), {})
            if not row:
                del waiting[name]
                continue
            taken.add((row["subject"], row["relation"], row["object"]))
            properties = tuple(dict.fromkeys(has[row["subject"], row["relation"]]))
            chosen.append(Choice(row, name, properties))
    return chosen


def split_of(subject_label: str, eval_share: float, seed: int) -> str:
    """The split that a subject is in; by its name, so that namesakes are on one side."""
    digest = hashlib.md5(f"split {seed} {subject_label.casefold()}".encode()).hexdigest()
    return EVAL if int(digest[:8], 16) < eval_share * 16**8 else TRAIN


@dataclass
class Composer:
    """Makes samples, one after another; the same facts in the same order give the same ones.

    Attributes:
        targets: property -> whether the edit makes the graph's own object known (``True``), or
            a false one.
        drops: reason -> chosen facts that no sample could be made of.
    """

    table: RelationTable
    evidence: Evidence
    targets: Mapping[str, bool]
    eval_share: float
    seed: int
    drops: Counter[str] = field(default_factory=Counter)
    _used: Counter[tuple[str, str]] = field(default_factory=Counter, repr=False)
    _probes: dict[tuple[str, str], list[Row]] = field(default_factory=dict, repr=False)

    def __post_init__(self) -> None:
        for relation, rows in self.evidence.probes.items():
            for row in rows:
                split = split_of(row["subject_label"], self.eval_share, self.seed)
                self._probes.setdefault((relation, split), []).append(row)

    def samples(self, choices: Iterable[Choice], size: int) -> list[Sample]:
        """Up to ``size`` samples of each property, sorted by property and split."""
        made: dict[str, list[Sample]] = {name: [] for name in PROPERTIES}
        for choice in choices:
            if len(made[choice.property]) < size and (sample := self.sample(choice)):
                made[choice.property].append(sample)
        return [sample for name in PROPERTIES for sample in made[name]]

    def sample(self, choice: Choice) -> Sample | None:
        """Make one sample; None, and a count in ``drops``, if it cannot be."""
        fact = choice.fact
        rng = random.Random(f"sample {self.seed} {fact['subject']} {fact['relation']}")
        target = self._target(choice)
        if target is None:
            self.drops["no plausible new object"] += 1
            return None
        split = split_of(fact["subject_label"], self.eval_share, self.seed)
        probe = self._probe(fact, target, split, rng)
        if probe is None:
            self.drops["no locality probe that the edit leaves alone"] += 1
            return None
        self._used[probe["subject"], probe["relation"]] += 1
        relation = self.table[fact["relation"]]
        prompt, paraphrase = (
            prompt_of(pattern, fact["subject_label"])
            for pattern in rng.sample(relation.patterns, 2)
        )
        asked = rng.choice(self.table[probe["relation"]].patterns)
        return Sample(
            prompt=prompt,
            target_new=target["label"],
            subject=fact["subject_label"],
            ground_truth=self._truth(choice),
            rephrase_prompt=paraphrase,
            locality_prompt=prompt_of(asked, probe["subject_label"]),
            locality_ground_truth=probe["object_label"],
            meta=self._meta(choice, target, probe, split),
        )

    def material(self, samples: Iterable[Sample]) -> Material:
        """True sentences, and exclusive objects, for the contexts of some samples."""
        about, distracting, exclusive = {}, {}, {}
        for sample in samples:
            meta = sample.meta
            assert meta is not None
            rng = random.Random(f"contexts {self.seed} {meta.id}")
            others = [row for row in self.evidence.about.get(meta.subject_id, ())
                      if row["relation"] != meta.relation]  # fmt: skip
            about[meta.id] = tuple(self._sentence(row, rng) for row in others)
            same = [row for row in self._probes.get((meta.relation, meta.split), ())
                    if (row["subject"], meta.subject_id) not in self.evidence.linked
                    and row["subject"] not in (meta.object_id, meta.true_object_id)
                    and row["subject"] != meta.locality[0]]  # fmt: skip
            some = rng.sample(same, min(len(same), CONTEXT_FACTS))
            distracting[meta.id] = tuple(self._sentence(row, rng) for row in some)
            exclusive[meta.id] = tuple(
                (row["candidate"], row["label"])
                for row in self._false(meta.subject_id, meta.relation, meta.true_object_id)
                if row["candidate"] != meta.object_id
            )
        rng = random.Random(f"unrelated {self.seed}")
        unrelated = tuple(
            self._sentence(row, rng)
            for name in self.table
            for row in list(self.evidence.probes.get(name, ()))[:CONTEXT_FACTS]
        )
        return Material(about, distracting, unrelated, exclusive)

    def _target(self, choice: Choice) -> dict[str, Any] | None:
        """The new object: its id, its label and how far it is from the true one."""
        fact = choice.fact
        if self.targets.get(choice.property, False):
            return {"id": fact["object"], "label": fact["object_label"], "hops": None}
        truth, subject = fact["object_label"].casefold(), fact["subject_label"].casefold()
        for row in self._false(fact["subject"], fact["relation"], fact["object"]):
            label = row["label"].casefold()
            if label != truth and label not in subject and subject not in label:
                return {"id": row["candidate"], "label": row["label"], "hops": row["hops"]}
        return None

    def _false(self, subject: str, relation: str, object: str | None) -> list[Row]:
        """Objects that are not true of the subject and never were, the nearest first.

        Those equally near are in an order of their own for each subject: else all subjects with
        one true object would get the same new one.
        """
        if object is None:
            return []
        true = self.evidence.true.get((subject, relation), frozenset())
        rows = [
            row
            for row in self.evidence.candidates.get((relation, object), ())
            if row["candidate"] not in true and row["candidate"] not in (subject, object)
        ]
        rng = random.Random(f"object {self.seed} {subject} {relation}")
        rng.shuffle(rows)
        far = 10**6
        return sorted(rows, key=lambda row: far if row["hops"] is None else row["hops"])

    def _truth(self, choice: Choice) -> str | None:
        """What was true before the edit, when that is known."""
        fact = choice.fact
        if not self.targets.get(choice.property, False):
            return str(fact["object_label"])
        return self.evidence.names.get(fact.get("old") or "")

    def _probe(self, fact: Row, target: Row, split: str, rng: random.Random) -> Row | None:
        """A fact of the same relation, else of a near one, which the edit must not change."""
        for relation in (fact["relation"], *self.table[fact["relation"]].near):
            rows = [row for row in self._probes.get((relation, split), ())
                    if self._is_left_alone(row, fact, target)]  # fmt: skip
            rng.shuffle(rows)
            if rows:  # those asked least often so far
                return min(rows, key=lambda row: self._used[row["subject"], row["relation"]])
        return None

    def _is_left_alone(self, probe: Row, fact: Row, target: Row) -> bool:
        """Whether an edit of the fact cannot change the answer to the probe.

        Neither its subject nor its answer takes part in the edit, nothing in the graph leads
        from its subject to the edited one, and the answer is not what the edit writes.
        """
        return (
            probe["subject"] not in (fact["subject"], fact["object"], target["id"])
            and probe["object"] != fact["subject"]
            and probe["subject_label"].casefold() != fact["subject_label"].casefold()
            and probe["object_label"].casefold() != target["label"].casefold()
            and (probe["subject"], fact["subject"]) not in self.evidence.linked
        )

    def _sentence(self, row: Row, rng: random.Random) -> str:
        relation = self.table[row["relation"]]
        pattern = rng.choice(relation.cloze or relation.questions)
        return sentence_of(pattern, row["subject_label"], row["object_label"])

    def _meta(self, choice: Choice, target: Row, probe: Row, split: str) -> Meta:
        fact = choice.fact
        modified = fact.get("modified")
        return Meta(
            id=f"{fact['subject']}-{fact['relation']}",
            subject_id=fact["subject"],
            relation=fact["relation"],
            object_id=target["id"],
            true_object_id=fact["object"],
            property=choice.property,
            split=split,
            views=fact.get("views"),
            degree=fact.get("degree"),
            frequency=fact.get("frequency"),
            log_likelihood=fact.get("log_likelihood"),
            modified=None if modified is None else _iso(modified),
            hops=target["hops"],
            change=fact.get("change"),
            relation_label=self.table[fact["relation"]].label,
            domain=self.table.domain(fact["relation"]),
            properties=choice.properties,
            locality=(probe["subject"], probe["relation"], probe["object"]),
        )


def _is_free(row: Row, table: RelationTable, taken: set[tuple[str, str, str]]) -> bool:
    subject, relation, object = row["subject"], row["relation"], row["object"]
    inverse = table[relation].inverse
    return (subject, relation, object) not in taken and (object, inverse, subject) not in taken


def _iso(seconds: int) -> str:
    return datetime.fromtimestamp(seconds, timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ")
