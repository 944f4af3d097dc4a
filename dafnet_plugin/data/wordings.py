"""The wordings in which a data set asks for its facts, so that a base model hears more than one.

CounterFact asks for each fact in one or two wordings, of a few hundred that all facts share. A
model that has read a fact in no other words knows sentences, not facts: nothing links the two,
and no edit of the one can reach the other. Large models have read their facts in many wordings,
in the middle of other text; this gives a tiny one the same, from nothing but the data set.
"""

from __future__ import annotations

import random
import re
from collections import Counter, defaultdict
from collections.abc import Iterable

from dafnet_plugin.cases import EditCase
from dafnet_plugin.data.statements import Statement

SLOT = "{}"
SENTENCE_END = re.compile(r"[.!?\"'”)]\s+")


class Wordings:
    """Wordings that ask for the same, and texts that stand before them.

    Two wordings are alike when at least ``min_pairs`` cases ask for their fact in one and for
    its paraphrase in the other.

    Args:
        cases: of the data set, the more the better; only those with a subject and a true
            answer count.
    """

    def __init__(self, cases: Iterable[EditCase], *, min_pairs: int = 2) -> None:
        self._answers: dict[str, set[str]] = defaultdict(set)
        alike: dict[str, set[str]] = defaultdict(set)
        self.before: list[str] = []
        pairs: Counter[tuple[str, str]] = Counter()
        for case in cases:
            subject, truth = case.request.subject, case.request.ground_truth
            if subject is None or truth is None or subject not in case.request.prompt:
                continue
            _, asked = split(case.request.prompt, subject)
            self._answers[asked] |= {truth, case.request.target_new}
            for probe in case.generality:
                if subject in probe.prompt:
                    before, other = split(probe.prompt, subject)
                    pairs[asked, other] += 1
                    self._answers[other] |= {truth, case.request.target_new}
                    self.before += [before] * bool(before)
        for (one, other), count in pairs.items():
            if count >= min_pairs and one != other:
                alike[one].add(other)
                alike[other].add(one)
        self._alike = {wording: sorted(others) for wording, others in alike.items()}
        self._known = sorted(self._answers, key=len, reverse=True)

    def of(self, prompt: str) -> tuple[str, str] | None:
        """The wording and the subject of a prompt: the longest wording that fits, or None."""
        for wording in self._known:
            start, end = wording.split(SLOT, 1)
            subject = prompt[len(start) : len(prompt) - len(end)]
            if subject.strip() and prompt == start + subject + end:
                return wording, subject
        return None

    def others(self, wording: str, answer: str) -> list[str]:
        """Wordings like this one in which somebody's fact has this answer.

        "{} is located in" asks for countries and for cities; whoever is in Spain is not to be
        said to be in the city of Spain.
        """
        return [other for other in self._alike.get(wording, []) if answer in self._answers[other]]

    def restated(
        self, cases: Iterable[EditCase], number: int, rng: random.Random
    ) -> list[Statement]:
        """The true facts of cases and of their locality probes in other words.

        Args:
            number: wordings of each fact at most; every second one stands after other text.
        """
        found = []
        for case in cases:
            told = [(probe.prompt, probe.answer) for probe in case.locality]
            if case.request.ground_truth is not None:
                told.append((case.request.prompt, case.request.ground_truth))
            for prompt, answer in told:
                wording, subject = self.of(prompt) or ("", "")
                others = self.others(wording, answer)
                for other in rng.sample(others, min(number, len(others))):
                    before = rng.choice(self.before) if self.before and rng.random() < 0.5 else ""
                    found.append(Statement(before + other.replace(SLOT, subject), answer))
        return found


def split(prompt: str, subject: str) -> tuple[str, str]:
    """The text before the sentence on the subject, and that sentence with a slot for it."""
    at = prompt.index(subject)
    ends = [match.end() for match in SENTENCE_END.finditer(prompt[:at])]
    start = ends[-1] if ends else 0
    return prompt[:start], prompt[start:at] + SLOT + prompt[at + len(subject) :]
