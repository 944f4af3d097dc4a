"""A DAFSet as a source of facts, alone or beside ZsRE and CounterFact."""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

from benchmarks.apart import independent, left_alone, once, unrelated
from benchmarks.mixing import tagged
from benchmarks.source import Source, Task, World, locate
from dafnet_plugin.cases import EditCase
from dafnet_plugin.data import counterfact
from dafnet_plugin.data.dafset import DAFSetDataset
from dafnet_plugin.data.dafset_files import EVAL, PARTS, TRAIN
from dafnet_plugin.errors import did_you_mean
from dafnet_plugin.schema import not_positive

DAFSET = "dafset"
BESIDE = ("zsre", "counterfact")
"""Sources that a DAFSet may be trained on and compared with."""


@dataclass
class DAFSetSource(Source):
    """A DAFSet, alone or beside other sets: what is trained on, and what is edited.

    The base model knows the facts of all the sets, whichever are trained on and edited: entries
    of a benchmark that differ in ``train``, ``evaluate`` or ``properties`` share it. No subject
    that an evaluation of any of the sets edits is in training. Each sequence of meta-training is
    drawn from one source: a property of the DAFSet, or one of the other sets.

    Attributes:
        folder: of the DAFSet, relative to the data directory or to the repository.
        beside: other sets, ``zsre`` and ``counterfact``.
        train: sets that are trained on: ``dafset`` and those of ``beside``.
        evaluate: the set that is edited.
        properties: files of the DAFSet that are trained on.
        cases_of_each: of each set for training, and as many for evaluations, at most.
        contexts: of each sample of ``robust.json``, in which its paraphrase and its locality
            probe are asked again, at most; the base model reads its facts in these, too.
    """

    folder: str = DAFSET
    beside: list[str] = field(default_factory=list)
    train: list[str] = field(default_factory=lambda: [DAFSET])
    evaluate: str = DAFSET
    properties: list[str] = field(default_factory=lambda: list(PARTS))
    cases_of_each: int = 400
    contexts: int = 2

    def problems(self) -> list[str]:
        """See :meth:`YamlConfig.problems`."""
        here = (DAFSET, *self.beside)
        checked: list[tuple[str, Sequence[str], Sequence[str]]] = [
            ("beside", self.beside, BESIDE),
            ("train", self.train, here),
            ("evaluate", [self.evaluate], here),
            ("properties", self.properties, PARTS),
        ]
        found = [
            f"{key}: {name!r}{did_you_mean(name, allowed)}; allowed: {', '.join(allowed)}"
            for key, given, allowed in checked
            for name in given
            if name not in allowed
        ]
        found += [
            f"{key}: []; at least one is needed"
            for key in ("train", "properties")
            if not getattr(self, key)
        ]
        if self.contexts < 0:
            found.append(f"contexts: {self.contexts}; allowed: at least 0")
        return [*found, *not_positive(self, ["cases_of_each"], "")]

    def world(self, task: Task) -> World:
        """See :meth:`Source.world`."""
        sets = {DAFSET: self._dafset(task)} | {
            name: self._other(name, task) for name in self.beside
        }
        edited = [case for one in sets.values() for case in one.evaluation]
        train = {name: unrelated(one.train, edited) for name, one in sets.items()}
        cases = [*edited, *(case for part in train.values() for case in part)]
        told = counterfact.statements(cases)
        prompts = {statement.prompt for statement in told}
        bystanders = once(
            statement
            for one in sets.values()
            for statement in one.bystanders
            if statement.prompt not in prompts
        )
        known = once([*told, *bystanders])
        evaluation = sets[self.evaluate].evaluation
        return World(self._tagged(train), evaluation, known, known, bystanders)

    def _dafset(self, task: Task) -> World:
        """Both splits: as many cases of each property, and evaluation cases that stand apart."""
        folder, rng = locate(task.data_dir, self.folder), random.Random(f"dafset {task.seed}")
        seen = DAFSetDataset(folder, TRAIN, beside=False).sources
        each = -(-self.cases_of_each // len(seen))
        train = [case for part in seen.values() for case in rng.sample(part, min(each, len(part)))]
        unseen = list(DAFSetDataset(folder, EVAL, beside=False))
        kept, rest = independent(rng.sample(unseen, len(unseen)), self.cases_of_each)
        train, kept = ([self._shortened(case) for case in part] for part in (train, kept))
        return World(train, kept, (), (), left_alone(rest, [*train, *kept]))

    def _shortened(self, case: EditCase) -> EditCase:
        """With the probes without context, which come first, and some of the others."""
        size = 1 + self.contexts
        return replace(case, generality=case.generality[:size], locality=case.locality[:size])

    def _other(self, name: str, task: Task) -> World:
        from benchmarks.sources import SOURCES  # which has this source, too

        limit = self.cases_of_each
        made = SOURCES[name]().world(replace(task, train_cases=limit, eval_cases=limit))
        return replace(made, train=made.train[:limit], evaluation=made.evaluation[:limit])

    def _tagged(self, train: Mapping[str, Sequence[EditCase]]) -> list[EditCase]:
        """What is trained on, each case with its source."""
        found = []
        for name in self.train:
            for case in train[name]:
                part = case.case_id.rpartition("-")[0] if name == DAFSET else name
                if name != DAFSET or part in self.properties:
                    found.append(tagged(part, case))
        return found
