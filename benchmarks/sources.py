"""Sources of facts: made-up worlds, published data sets, files of the user's own."""

from __future__ import annotations

import random
from collections.abc import Mapping
from dataclasses import dataclass

from benchmarks.apart import (
    by_subject,
    independent,
    left_alone,
    once,
    read_statements,
    subject_of,
    unrelated,
)
from benchmarks.dafset_source import DAFSetSource
from benchmarks.source import Source, Task, World
from dafnet_plugin.cases import EditCase
from dafnet_plugin.data import LOADERS, counterfact, get_loader, tinyworld, zsre
from dafnet_plugin.data.consistency import ConsistencyPair
from dafnet_plugin.data.consistency.pararel import pararel_pairs
from dafnet_plugin.data.consistency.tinyworld import tinyworld_pairs
from dafnet_plugin.data.pararel import build_pararel, check_shares
from dafnet_plugin.data.wordings import Wordings
from dafnet_plugin.errors import ConfigError, did_you_mean

__all__ = ["SOURCES", "Source", "Task", "World"]

ZSRE_FILE = "zsre_mend_eval_portability_gpt4.json"


@dataclass
class TinyWorldSource(Source):
    """The embedded made-up world, with consequences of edits in the criteria of RippleEdits.

    Attributes:
        scale, train_share, eval_share, edits_per_subject, max_exposure: see
            :class:`dafnet_plugin.data.tinyworld.WorldConfig`. As they are here, there are more
            than a thousand evaluation edits that do not contradict each other.
    """

    scale: float = 2.2
    train_share: float = 0.34
    eval_share: float = 0.54
    edits_per_subject: int | None = 4
    max_exposure: int = 3

    def problems(self) -> list[str]:
        """See :meth:`YamlConfig.problems`."""
        try:
            self.config()
        except ConfigError as error:
            return [str(error)]
        return []

    def config(self) -> tinyworld.WorldConfig:
        """The shape of the world."""
        return tinyworld.WorldConfig(
            scale=self.scale,
            train_share=self.train_share,
            eval_share=self.eval_share,
            edits_per_subject=self.edits_per_subject,
            max_exposure=self.max_exposure,
            min_exposure=min(3, self.max_exposure),
        )

    def world(self, task: Task) -> World:
        """See :meth:`Source.world`."""
        made = tinyworld.load(tinyworld.build(task.seed, task.out / "world", self.config()))
        return World(made.train, made.evaluation, made.statements, made.probes, made.bystanders)

    def pairs(
        self, task: Task, cases: list[EditCase], *, sentences: int, untouched: int
    ) -> list[ConsistencyPair]:
        """See :meth:`Source.pairs`."""
        made, ids = tinyworld.make(task.seed, self.config()), [case.case_id for case in cases]
        return tinyworld_pairs(made, ids, seed=task.seed, sentences=sentences, untouched=untouched)


@dataclass
class ParaRelSource(Source):
    """Real facts of ParaRel, from ``pararel/`` of the data directory.

    Attributes:
        relations, facts_per_relation, min_patterns, max_patterns, train_share, eval_share,
            bystander_share: see :func:`dafnet_plugin.data.pararel.build_pararel`. As they are
            here: 1,175 training cases and more than 1,000 evaluation cases. Of those that the
            function makes, the few are left out whose locality probe names another subject
            ("Papua New Guinea", where "Guinea" is edited).
    """

    relations: int = 25
    facts_per_relation: int = 106
    min_patterns: int = 3
    max_patterns: int = 6
    train_share: float = 0.44
    eval_share: float = 0.395
    bystander_share: float = 0.06

    def problems(self) -> list[str]:
        """See :meth:`YamlConfig.problems`."""
        try:
            check_shares(self.train_share, self.eval_share, self.bystander_share)
        except ConfigError as error:
            return [str(error)]
        return []

    def world(self, task: Task) -> World:
        """See :meth:`Source.world`."""
        made = build_pararel(task.folder("pararel"), seed=task.seed, **self.to_dict())
        statements = made.statements()
        evaluation, _ = independent(made.evaluation)
        edited = {subject_of(case) for case in evaluation}
        bystanders = [
            fact.statements()[0]
            for fact in made.bystanders
            if not any(name in fact.subject for name in edited)
        ]
        return World(made.train, evaluation, statements, statements, bystanders)

    def pairs(
        self, task: Task, cases: list[EditCase], *, sentences: int, untouched: int
    ) -> list[ConsistencyPair]:
        """See :meth:`Source.pairs`."""
        folder, size = task.folder("pararel"), {"sentences": sentences, "untouched": untouched}
        made = build_pararel(folder, seed=task.seed, **self.to_dict())
        return pararel_pairs(made, folder, cases, seed=task.seed, **size)


@dataclass
class CounterFactSource(Source):
    """CounterFact in EasyEdit's flat form, from ``counterfact/`` of the data directory.

    A tiny model cannot know the facts of all ten thousand cases: 1,000 of each part are used
    unless the benchmark says otherwise.

    Attributes:
        bystanders: facts of unused cases that the base model learns besides.
        wordings: other wordings in which it reads each fact
            (:class:`dafnet_plugin.data.wordings.Wordings`); without them it knows sentences.
    """

    bystanders: int = 200
    wordings: int = 3

    def problems(self) -> list[str]:
        """See :meth:`YamlConfig.problems`."""
        return [
            f"{name}: {value}; allowed: at least 0"
            for name, value in (("bystanders", self.bystanders), ("wordings", self.wordings))
            if value < 0
        ]

    def world(self, task: Task) -> World:
        """See :meth:`Source.world`."""
        folder, rng = task.folder("counterfact"), random.Random(f"counterfact {task.seed}")
        train, evaluation = (
            counterfact.load_counterfact(folder / f"counterfact-{part}.json")
            for part in ("train", "edit")
        )
        chosen = rng.sample(train, min(task.train_cases or 1000, len(train)))
        unseen = unrelated(evaluation, chosen)
        kept, rest = independent(rng.sample(unseen, len(unseen)), task.eval_cases or 1000)
        spare = left_alone(rest, [*chosen, *kept])[: self.bystanders]
        known = once([*counterfact.statements([*chosen, *kept]), *spare])
        wordings = Wordings([*train, *evaluation])
        others = wordings.restated([*chosen, *kept], self.wordings, rng)
        return World(chosen, kept, once([*known, *others]), known, spare)


@dataclass
class ZsreSource(Source):
    """ZsRE with MEND's fields, from ``zsre/`` of the data directory.

    Records on one subject ask for the same fact in other words, so an evaluation edits one of
    them. Training has them all.

    Attributes:
        max_answer_words: records with a longer answer, old or new or of the locality probe, are
            left out: a tiny model learns words, not sentences.
        train_share, bystander_share: of the subjects; the rest is for evaluations.
    """

    max_answer_words: int = 6
    train_share: float = 0.4
    bystander_share: float = 0.1

    def problems(self) -> list[str]:
        """See :meth:`YamlConfig.problems`."""
        shares = self.train_share, self.bystander_share
        found = []
        if not (shares[0] > 0 and shares[1] >= 0 and sum(shares) < 1):
            found.append(
                f"train_share: {shares[0]}, bystander_share: {shares[1]}; allowed: positive "
                "numbers (the second may be 0) with a sum below 1"
            )
        if self.max_answer_words < 1:
            found.append(f"max_answer_words: {self.max_answer_words}; allowed: above 0")
        return found

    def world(self, task: Task) -> World:
        """See :meth:`Source.world`."""
        cases = [
            case for case in zsre.load_zsre(task.folder("zsre") / ZSRE_FILE) if self.fits(case)
        ]
        groups = by_subject(cases)
        names = random.Random(f"zsre {task.seed}").sample(list(groups), len(groups))
        train_end = round(self.train_share * len(names))
        eval_end = len(names) - round(self.bystander_share * len(names))
        seen, edited, spare = (
            [case for name in part for case in groups[name]]
            for part in (names[:train_end], names[train_end:eval_end], names[eval_end:])
        )
        kept, _ = independent(edited, task.eval_cases)
        asked = {probe.prompt for case in kept for probe in case.locality}
        train = [case for case in seen if not asked & {probe.prompt for probe in case.locality}]
        statements = counterfact.statements(cases)
        return World(train, kept, statements, statements, left_alone(spare, [*train, *kept]))

    def fits(self, case: EditCase) -> bool:
        """Whether all answers are short, and the edit changes something."""
        request = case.request
        texts = [request.target_new, request.ground_truth or ""]
        texts += [probe.answer for probe in case.locality]
        short = all(len(text.split()) <= self.max_answer_words for text in texts)
        return short and request.ground_truth not in (None, request.target_new)


@dataclass
class CasesSource(Source):
    """Files of the user's own, in any format that there is a loader for.

    Attributes:
        train, eval: files (or folders, for formats that are); relative to the data directory.
        format: one of :data:`dafnet_plugin.data.LOADERS`.
        skip_bad: leave malformed records out.
        independent: leave out evaluation cases that get in each other's way, see
            :func:`benchmarks.apart.independent`.
        bystanders: file of facts that no case edits or asks for, ``{"prompt", "answer"}`` a
            line; without one, cases are used that the limits on their number leave over.
    """

    train: str
    eval: str
    format: str = "cases"
    skip_bad: bool = False
    independent: bool = True
    bystanders: str | None = None

    def problems(self) -> list[str]:
        """See :meth:`YamlConfig.problems`."""
        if self.format in LOADERS:
            return []
        hint = did_you_mean(self.format, LOADERS)
        return [f"format: {self.format!r}{hint}; allowed: {', '.join(LOADERS)}"]

    def world(self, task: Task) -> World:
        """See :meth:`Source.world`."""
        load = get_loader(self.format)
        seen = load(task.data_dir / self.train, skip_bad=self.skip_bad)
        loaded = load(task.data_dir / self.eval, skip_bad=self.skip_bad)
        train = seen[: task.train_cases]
        unseen = unrelated(loaded, train)
        evaluation, rest = unseen[: task.eval_cases], unseen[len(unseen[: task.eval_cases]) :]
        if self.independent:
            evaluation, rest = independent(unseen, task.eval_cases)
        spare = left_alone([*seen[len(train) :], *rest], [*train, *evaluation])
        if self.bystanders is not None:
            spare = read_statements(task.data_dir / self.bystanders)
        known = once([*counterfact.statements([*train, *evaluation]), *spare])
        return World(train, evaluation, known, known, spare)


SOURCES: Mapping[str, type[Source]] = {
    "tinyworld": TinyWorldSource,
    "pararel": ParaRelSource,
    "counterfact": CounterFactSource,
    "zsre": ZsreSource,
    "cases": CasesSource,
    "dafset": DAFSetSource,
}
"""Sources of facts by name."""
