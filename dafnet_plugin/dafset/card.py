"""``dataset.json`` and the data card: where a DAFSet comes from and what is in it."""

from __future__ import annotations

import hashlib
import html
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

from dafnet_plugin import __version__
from dafnet_plugin.dafset.config import BuildConfig
from dafnet_plugin.dafset.relations import RelationTable
from dafnet_plugin.dafset.samples import PROPERTIES, SPLITS, Sample

FORMAT = 1
_PATHS = ("sources", "store", "previous", "pageviews", "corpus", "contexts", "relations", "model",
          "context_model")  # fmt: skip
# How it was computed, not what: another engine or machine gives the same bytes.
_MACHINE = ("engine", "threads", "memory", "jobs", "device", "batch_size")
_WHAT = {
    "recent": "of entities modified lately, and what changed since an earlier state",
    "popular": "about much-read subjects",
    "long_tail": "rarely mentioned, weakly connected, unlikely to a model",
    "robust": "with contexts to be put before the questions, and counter-samples",
}


def provenance(
    config: BuildConfig,
    table: RelationTable,
    info: Mapping[str, Any],
    selection: Mapping[str, Any],
    samples: Sequence[Sample],
) -> dict[str, Any]:
    """What ``dataset.json`` says; plain JSON data without a path of this machine.

    Args:
        info: of the store.
        selection: how many facts there were, why others were not used, what was measured.
    """
    return {
        "format": FORMAT,
        "made_by": f"dafnet-plugin {__version__}",
        "config": {
            key: _names_only(value) if key in _PATHS else value
            for key, value in config.to_dict().items()
            if key not in _MACHINE
        },
        "source": _without_paths({k: v for k, v in info.items() if k != "complete"}),
        "relations": {
            "sha256": hashlib.sha256(repr((table.relations, table.types)).encode()).hexdigest(),
            "properties": list(table),
        },
        "selection": dict(selection),
        "samples": counts_of(samples),
    }


def counts_of(samples: Iterable[Sample]) -> dict[str, Any]:
    """How many samples there are by property, split, relation and domain."""
    metas = [sample.meta for sample in samples if sample.meta]
    return {
        "total": len(metas),
        "by_property": {
            name: {split: sum(m.property == name and m.split == split for m in metas)
                   for split in SPLITS}
            for name in PROPERTIES
        },
        "by_relation": dict(sorted(Counter(m.relation for m in metas).items(), key=_by_number)),
        "by_domain": dict(sorted(Counter(m.domain or "other" for m in metas).items())),
    }  # fmt: skip


def data_card(record: Mapping[str, Any], table: RelationTable, samples: Sequence[Sample]) -> str:
    """The README of a data set, in Markdown."""
    counts, config = record["samples"], record["config"]
    rows = [
        (f"`{name}.json`", _WHAT[name], *(by[split] for split in SPLITS), _kind(name, config))
        for name, by in counts["by_property"].items()
    ]
    relations = [
        (name, _text(table[name].label), count) for name, count in counts["by_relation"].items()
    ]
    parts = [
        "# DAFSet",
        f"{counts['total']} edits of facts from Wikidata, for training and testing model editing. "
        f"Made by {record['made_by']} with seed {config['seed']}; `dataset.json` has the whole "
        "recipe. The same sources, recipe and seed give the same bytes.",
        "## What is in it",
        _table(("file", "edits", *SPLITS, "what an edit says"), rows),
        "A record has `prompt`, `target_new`, `subject`, `rephrase_prompt` (the same question in "
        "other words), `locality_prompt` and `locality_ground_truth` (a question that the edit "
        "must not touch, and its answer), `ground_truth` where the answer before the edit is "
        "known, in `robust.json` also `prefix` (contexts). Under `dafset` is where it comes from: "
        "ids, split, page views, degree, mentions, log-likelihood, contexts, counter-sample.",
        "Splits are by name of the subject: no subject is in both. No pair of subject and "
        "relation occurs twice. Locality probes ask about subjects that no edit is about, to "
        "which at most the graph's longer paths lead; those of evaluation about other subjects "
        "than those of training.",
        "## Where it comes from",
        _sources(record),
        "## How it was selected",
        _selection(record["selection"]),
        "## Relations",
        _table(("property", "label", "edits"), relations),
        "## Examples",
        _examples(samples),
        "## What to know before using it",
        "- What counts as true is what Wikidata said, with its gaps and biases: people, places "
        "and works of some countries are far better covered than others.\n"
        "- A false object is of the right kind and is not among those that Wikidata has or had "
        "for the subject; it may be true in the world nevertheless.\n"
        "- Edits that say something false are for research on editing; do not train models that "
        "people rely on with them.\n"
        "- Living people are among the subjects.",
        "Data from Wikidata is in the public domain (CC0); contexts from a corpus are under the "
        "corpus's terms.",
    ]
    return "\n\n".join(parts) + "\n"


def _kind(name: str, config: Mapping[str, Any]) -> str:
    return "what is true" if name in config["true_targets"] else "something plausible and false"


def _sources(record: Mapping[str, Any]) -> str:
    source = record["source"]
    plan = source.get("plan") or {}
    lines = []
    for item in plan.get("sources", ()):
        for file in item.get("files", ()):
            name = _text(file.get("file", "a file"))
            digest = file.get("sha256", "?")
            lines.append(f"- {name}, {file.get('size', '?')} bytes, SHA-256 `{digest}`")
        address = item.get("endpoint") or item.get("url")
        if address:
            lines.append(f"- {_text(address)}")
    lines += [f"- {_text(name)}" for name in record["config"]["sources"] or () if not lines]
    if plan.get("as_of"):
        lines.append(f"- state of {_text(plan['as_of'])}")
    for title, values in (("read", source.get("counts")), ("not read", source.get("drops"))):
        if values:
            lines.append(f"- {title}: {_listed(values)}")
    return "\n".join(lines) or "- a store without a record of its sources"


def _selection(selection: Mapping[str, Any]) -> str:
    lines = [f"- facts that could be used: {selection['facts']}"]
    for key, title in (
        ("statements_not_used", "statements of the relations that could not"),
        ("facts_not_used", "chosen facts that no edit could be made of"),
        ("recent_changes", "facts that differ from the earlier state"),
    ):
        if selection.get(key):
            lines.append(f"- {title}: {_listed(selection[key])}")
    if selection.get("objects_named_by_hand"):
        lines.append(
            f"- **{selection['objects_named_by_hand']} of these facts have an object that the "
            "sources do not name: its name is from a list written by hand, not from Wikidata**"
        )
    recent = selection.get("recent")
    if isinstance(recent, Mapping):
        lines.append(f"- recent: modified from {_day(recent['since'])} to {_day(recent['until'])}")
    elif recent:
        lines.append(f"- recent: {_text(recent)}")
    if selection.get("popular"):
        lines.append(f"- popular: {_text(selection['popular'])}")
    tail = selection.get("long_tail")
    if tail:
        how = f"{tail['combine']} of {', '.join(tail['by']) or 'no measure'}"
        lines.append(
            f"- long tail: the lowest {tail['quantile']:.0%} of {tail['pool']} facts, {how}"
        )
    if selection.get("model"):
        lines.append(f"- likelihoods of {_text(selection['model']['name'])}")
    return "\n".join(lines)


def _examples(samples: Sequence[Sample]) -> str:
    rows = []
    for name in PROPERTIES:
        some = [sample for sample in samples if sample.meta and sample.meta.property == name]
        for sample in some[:2]:
            asked = f"{sample.locality_prompt} → {sample.locality_ground_truth}"
            rows.append((name, _text(sample.prompt), _text(sample.target_new),
                         _text(sample.ground_truth or "not known"), _text(sample.rephrase_prompt),
                         _text(asked)))  # fmt: skip
    return _table(("property", "prompt", "new", "before", "paraphrase", "locality"), rows)


def _table(head: Sequence[str], rows: Iterable[Sequence[Any]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join("| " + " | ".join(map(str, line)) + " |" for line in lines)


def _listed(values: Mapping[str, Any]) -> str:
    return ", ".join(f"{_text(key)} {value}" for key, value in values.items())


def _text(value: Any) -> str:
    """A label as text: nothing in it is HTML, a link, or a cell of a table."""
    text = html.escape(" ".join(str(value).split()), quote=False)
    for mark in "\\`*_[]|~!":
        text = text.replace(mark, f"\\{mark}")
    return text


def _day(seconds: int) -> str:
    return datetime.fromtimestamp(seconds, timezone.utc).strftime("%Y-%m-%d")


def _by_number(item: tuple[str, int]) -> tuple[int, str]:
    return int(item[0][1:]), item[0]


def _names_only(value: Any) -> Any:
    if isinstance(value, list):
        return [_names_only(item) for item in value]
    return Path(value).name if isinstance(value, str) else value


def _without_paths(value: Any, key: str = "") -> Any:
    if isinstance(value, Mapping):
        return {k: _without_paths(v, k) for k, v in value.items() if k != "retrieved"}
    if isinstance(value, (list, tuple)):
        return [_without_paths(item, key) for item in value]
    return Path(value).name if key in ("path", "file", "name") and isinstance(value, str) else value
