"""What is asked about a case, each text once, and how the answers are judged.

A name (an answer or one of its aliases) is asked for as EasyEdit asks, ``prompt + ' ' + name``,
and is what the model says if the arg-max is right at *every* token of it: greedy decoding would
then write exactly this name. RippleEdits' own code lets the model write on and looks for the name
anywhere in the text; here a name has to come at once.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace

from benchmarks.scoring.scores import Scores, mean
from dafnet_plugin.cases import EditCase, PortabilityTest, Probe
from dafnet_plugin.tokens import Encoded

Tokens = tuple[int, ...]
Answers = Mapping[int, Tokens]
"""Text, by its index -> the arg-max at each position that predicts a token of its target."""

Question = tuple[int, ...]
"""Indices of texts with one prompt: one for each name that is right."""


@dataclass(frozen=True)
class AskedTest:
    """Questions that are passed or failed together, and those that must be known before."""

    queries: tuple[Question, ...]
    needs_all: bool
    conditions: tuple[Question, ...]


@dataclass(frozen=True)
class Questions:
    """All that is asked about one case.

    Attributes:
        texts: what the indices in all other fields refer to.
        probes: criterion -> questions that count by themselves.
        tests: criterion -> tests; no criterion is in both.
        excluded: criterion -> tests that were left out, see :meth:`counting`.
    """

    texts: list[Encoded]
    request: int
    generality: list[int]
    locality: list[int]
    probes: dict[str, list[Question]]
    tests: dict[str, list[AskedTest]]
    excluded: dict[str, int] = field(default_factory=dict)

    @classmethod
    def of(
        cls, case: EditCase, encode: Callable[[Sequence[tuple[str, str]]], list[Encoded]]
    ) -> Questions:
        """Collect the texts of a case and tokenise them."""
        places = _Places()
        request = places.text(case.request.prompt, case.request.target_new)
        generality = [places.text(probe.prompt, probe.answer) for probe in case.generality]
        locality = [places.text(probe.prompt, probe.answer) for probe in case.locality]
        probes = {
            name: [places.question(probe) for probe in probes]
            for name, probes in case.portability.items()
            if probes and name not in case.tests
        }
        tests = {
            name: [places.test(test) for test in tests]
            for name, tests in case.tests.items()
            if tests
        }
        return cls(encode(list(places)), request, generality, locality, probes, tests)

    def asked(self, portability: bool = True) -> list[int]:
        """The texts that an edited model is asked."""
        found = [self.request, *self.generality, *self.locality]
        if portability:
            tests = [test for tests in self.tests.values() for test in tests]
            questions = [q for probes in self.probes.values() for q in probes]
            questions += [q for test in tests for q in test.queries]
            found += [text for question in questions for text in question]
        return list(dict.fromkeys(found))

    def conditions(self) -> list[int]:
        """The texts that the unedited model is asked in addition."""
        tests = [test for tests in self.tests.values() for test in tests]
        found = [text for test in tests for question in test.conditions for text in question]
        return list(dict.fromkeys(found))

    def counting(self, before: Answers) -> Questions:
        """The same without the tests of which the unedited model fails a condition.

        As RippleEdits prescribes: whether an edit has a consequence cannot be seen in a model
        that does not know what the consequence rests on.
        """
        kept = {
            name: [t for t in tests if all(self._right(q, before) for q in t.conditions)]
            for name, tests in self.tests.items()
        }
        excluded = {name: len(tests) - len(kept[name]) for name, tests in self.tests.items()}
        return replace(self, tests=kept, excluded=dict.fromkeys(self.probes, 0) | excluded)

    def judge(self, answers: Answers, before: Answers, portability: bool = True) -> Scores:
        """Score a model by its answers and those of the unedited model."""
        criteria = self._criteria(answers) if portability else {}
        return Scores(
            self._share(self.request, answers),
            mean(self._share(text, answers) for text in self.generality),
            mean(agreement(answers[text], before[text]) for text in self.locality),
            mean(criteria.values()),
            criteria,
        )

    def _criteria(self, answers: Answers) -> dict[str, float]:
        scores = {
            name: [self._share_of_names(question, answers) for question in questions]
            for name, questions in self.probes.items()
        }
        for name, tests in self.tests.items():
            scores[name] = [float(self._passed(test, answers)) for test in tests]
        return {name: value for name, found in scores.items() if (value := mean(found)) is not None}

    def _passed(self, test: AskedTest, answers: Answers) -> bool:
        right = [self._right(question, answers) for question in test.queries]
        return all(right) if test.needs_all else any(right)

    def _right(self, question: Question, answers: Answers) -> bool:
        return any(self._share(text, answers) == 1 for text in question)

    def _share_of_names(self, question: Question, answers: Answers) -> float:
        """EasyEdit's share for the answer; whoever says an alias instead is right as well."""
        return 1.0 if self._right(question, answers) else self._share(question[0], answers)

    def _share(self, text: int, answers: Answers) -> float:
        encoded = self.texts[text]
        return agreement(answers[text], encoded.ids[encoded.target_start :])


def agreement(found: Sequence[int], wanted: Sequence[int]) -> float:
    """Share of equal tokens."""
    return sum(a == b for a, b in zip(found, wanted, strict=True)) / len(wanted)


class _Places(dict[tuple[str, str], int]):
    """Pairs of prompt and answer, numbered in the order in which they come up first."""

    def text(self, prompt: str, answer: str) -> int:
        return self.setdefault((prompt, answer), len(self))

    def question(self, probe: Probe) -> Question:
        return tuple(self.text(probe.prompt, name) for name in (probe.answer, *probe.aliases))

    def test(self, test: PortabilityTest) -> AskedTest:
        return AskedTest(
            tuple(self.question(query.probe()) for query in test.queries),
            test.condition == "AND",
            tuple(self.question(query.probe()) for query in test.condition_queries),
        )
