"""What a reader should know first, in sentences with the numbers they rest on."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from dafnet_plugin.dafset.analyse.drawing import percent
from dafnet_plugin.dafset.analyse.style import readable

Data = Mapping[str, Any]
MUST_BE_NONE = {
    "records": "records that are there twice",
    "facts_in_a_file": "facts that a file has twice",
    "subjects_in_both_splits": "subjects in both splits",
    "facts_in_both_splits": "facts in both splits",
    "targets_that_are_true": "new answers that equal the old one",
    "paraphrases_that_repeat_the_prompt": "paraphrases that repeat the prompt",
    "locality_probes_that_name_the_subject": "locality probes that name the edited subject",
}
MAY_BE = {"facts_in_two_files": "facts in several files, as they have several properties"}


@dataclass(frozen=True, slots=True)
class Finding:
    """A sentence; ``good`` is None where nothing is to be judged."""

    text: str
    good: bool | None = None


def findings(data: Data) -> list[Finding]:
    """The most important things first."""
    return [_size(data), *_tails(data), *_overlaps(data), _sound(data), *_contexts(data)]


def _size(data: Data) -> Finding:
    own = [one for one in data["sets"] if one["own"]]
    facts = sum(one["facts"] for one in own)
    relations = len(data["relations"])
    held = sum(one["splits"].get("eval", 0) for one in own)
    parts = [f"{one['facts']:,} {readable(one['name'])}" for one in own]
    text = f"{facts:,} samples: {', '.join(parts)}"
    text += f"; {counted(relations, 'relation')}" if relations else ""
    text += f"; {percent(held / facts)} of the samples are held out for evaluation" if held else ""
    return Finding(f"{text}.")


def _tails(data: Data) -> list[Finding]:
    """Whether the long tail is long and the popular are popular, by each measure."""
    found = []
    words = {"frequency": "mention", "degree": "statement", "views": "page view"}
    for one in data["measures"]:
        medians = {s["set"]: s["median"] for s in one["series"] if s["median"] is not None}
        tail, head = medians.get("long_tail"), medians.get("popular")
        if one["name"] not in words or tail is None or head is None:
            continue
        others = [f"{name} {value:g}" for name, value in medians.items() if name not in _OWN]
        beside = f" ({', '.join(others)})" if others else ""
        text = (
            f"The median long-tail subject has {tail:g} {words[one['name']]}"
            f"{'' if tail == 1 else 's'}, "
            f"the median popular one {head:g}{beside}."
        )
        found.append(Finding(text, tail < head))
    return found


def counted(count: int, noun: str) -> str:
    """A number with its noun, in the plural where that is due."""
    return f"{count:,} {noun}{'' if count == 1 else 's'}"


_OWN = ("long_tail", "popular", "recent", "robust")


def _overlaps(data: Data) -> list[Finding]:
    found, table = [], data["overlap"]
    own = [one["name"] for one in data["sets"] if one["own"]]
    for one in data["sets"]:
        if one["own"]:
            continue
        column = table["names"].index(one["name"])
        shares = {name: table["subjects"][table["names"].index(name)][column] for name in own}
        most = max(shares, key=lambda name: shares[name] or 0.0)
        if not shares[most]:
            found.append(Finding(f"No subject is shared with {one['name']}."))
            continue
        found.append(
            Finding(
                f"{percent(shares[most])} of the {readable(most)} subjects are in {one['name']}, "
                "too; leave them out where one is trained on and the other tested."
            )
        )
    return found


def _sound(data: Data) -> Finding:
    bad = {name: data["duplicates"][name]["count"] for name in MUST_BE_NONE}
    wrong = [f"{count:,} {MUST_BE_NONE[name]}" for name, count in bad.items() if count]
    if wrong:
        return Finding(f"To be looked at: {'; '.join(wrong)}.", False)
    return Finding("No sample is there twice, and the splits share no subject and no fact.", True)


def _contexts(data: Data) -> list[Finding]:
    found = data["contexts"]
    if not found or not found["described"]:
        return []
    share = found["sentiment_as_described"] / found["described"]
    text = (
        f"{percent(share)} of the {found['described']:,} contexts have the sentiment that they are "
        f"described with (VADER); {percent(found['distinct'] / found['contexts'])} are unique."
    )
    return [Finding(text, share > 0.99)]
