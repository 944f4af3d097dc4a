"""What is in a data set twice, and what two of them share."""

from __future__ import annotations

from collections import Counter
from collections.abc import Hashable, Iterable, Sequence
from typing import Any

from dafnet_plugin.dafset.analyse.sets import Fact, FactSet, fold
from dafnet_plugin.dafset.robustness.context import mentions
from dafnet_plugin.dafset.samples import SPLITS

EXAMPLES = 5


def overlap_table(sets: Sequence[FactSet]) -> dict[str, Any]:
    """Shared subjects, as share of the row's subjects; and shared questions, as counts.

    Rows and columns are the DAFSet's files, its splits, and the other data sets.
    """
    groups = {one.name: one.facts for one in sets} | splits(sets)
    subjects = {name: {fold(fact.subject) for fact in facts} for name, facts in groups.items()}
    asked = {name: {fact.asked for fact in facts} for name, facts in groups.items()}
    return {
        "names": list(groups),
        "subjects": [
            [_share(len(subjects[a] & subjects[b]), len(subjects[a])) for b in groups]
            for a in groups
        ],
        "questions": [[len(asked[a] & asked[b]) for b in groups] for a in groups],
    }


def splits(sets: Sequence[FactSet]) -> dict[str, list[Fact]]:
    """The DAFSet's facts by split; nothing if its samples do not say."""
    own = [fact for one in sets if one.own for fact in one.facts]
    found = {f"{s} split": [f for f in own if f.meta and f.meta.split == s] for s in SPLITS}
    return {name: facts for name, facts in found.items() if facts}


def duplicates(sets: Sequence[FactSet]) -> dict[str, Any]:
    """What should be there once in a DAFSet, and is there more often.

    Samples of two files may share a fact where it has both properties; within a file, none may
    be there twice, and no subject or fact may be in both splits.
    """
    own = [(one.name, fact) for one in sets if one.own for fact in one.facts]
    by_split = splits(sets)
    between = [
        {kind(fact) for fact in facts} for kind in (_subject, _fact) for facts in by_split.values()
    ]
    subjects, facts = between[: len(by_split)], between[len(by_split) :]
    return {
        "records": _repeated((name, fact.asked, fold(fact.target)) for name, fact in own),
        "facts_in_a_file": _repeated((name, *_fact(fact)) for name, fact in own),
        "facts_in_two_files": _repeated(
            key for key, _ in dict.fromkeys((_fact(fact), name) for name, fact in own)
        ),
        "subjects_in_both_splits": _common(subjects),
        "facts_in_both_splits": _common(facts),
        "targets_that_are_true": _listed(
            [fact.subject for _, fact in own if fact.true and fold(fact.true) == fold(fact.target)]
        ),
        "paraphrases_that_repeat_the_prompt": _listed(
            [
                fact.subject
                for _, fact in own
                if fact.sample and fold(fact.sample.rephrase_prompt) == fold(fact.prompt)
            ]
        ),
        "locality_probes_that_name_the_subject": _listed(
            [
                fact.subject
                for _, fact in own
                if fact.sample and mentions(fact.sample.locality_prompt, [fact.subject])
            ]
        ),
    }


def _subject(fact: Fact) -> tuple[str, ...]:
    return (fact.meta.subject_id,) if fact.meta else (fold(fact.subject),)


def _fact(fact: Fact) -> tuple[str, ...]:
    """Subject and relation where they are known; else subject and wording."""
    return (fact.meta.subject_id, fact.meta.relation) if fact.meta else fact.asked


def _repeated(keys: Iterable[Hashable]) -> dict[str, Any]:
    counts = Counter(keys)
    return _listed([_shown(key) for key, count in counts.items() if count > 1])


def _common(groups: Sequence[set[tuple[str, ...]]]) -> dict[str, Any]:
    if len(groups) < 2:
        return _listed([])
    return _listed(sorted(_shown(key) for key in set.intersection(*groups)))


def _listed(found: Sequence[str]) -> dict[str, Any]:
    return {"count": len(found), "examples": list(found[:EXAMPLES])}


def _shown(key: Any) -> str:
    return " / ".join(map(_shown, key)) if isinstance(key, tuple) else str(key)


def _share(part: int, whole: int) -> float | None:
    return part / whole if whole else None
