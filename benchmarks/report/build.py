"""From a folder of results to the data of the report: averages, intervals, comparisons."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from benchmarks.intervals import Comparison, compare, intervals
from benchmarks.manifest import MANIFEST
from benchmarks.report.model import SCORES, WHEN, Group, Section, Study, Verdict, mean, tied
from benchmarks.results import Details, Result, details_path, read_details, read_results
from benchmarks.targets import targets_of
from dafnet_plugin.errors import DataError
from dafnet_plugin.files import read_json

RESULTS = "results.jsonl"


def read_study(results_dir: Path) -> Study:
    """Read a folder of results.

    Raises:
        DataError: there are no results, or one of its files is malformed.
    """
    path = results_dir / RESULTS
    results = read_results(path)
    if not results:
        raise DataError(f"{path}: no results; `python -m benchmarks run` writes them")
    places = dict.fromkeys((result.dataset, result.model) for result in results)
    manifest = results_dir / MANIFEST
    config = read_json(manifest).get("config", {}) if manifest.is_file() else {}
    return Study(
        name=config.get("name", results_dir.resolve().name),
        sections=tuple(
            build_section([r for r in results if (r.dataset, r.model) == place], results_dir)
            for place in places
        ),
        targets=tuple(targets_of(config.get("targets", {}))),
    )


def build_section(results: Sequence[Result], results_dir: Path) -> Section:
    """Group and compare the results of one data set and base model."""
    lengths = tuple(sorted({result.num_edits for result in results}))
    labels = list(dict.fromkeys(result.label for result in results))
    groups: dict[tuple[str, int], Group] = {}
    verdicts: dict[tuple[int, str], Verdict] = {}
    changes: dict[tuple[str, int], dict[str, Comparison]] = {}
    for n in lengths:
        some = [result for result in results if result.num_edits == n]
        here, details = {}, {}
        for label in labels:
            here[label], details[label] = _group(label, n, some, results_dir)
            groups[label, n] = here[label]
        verdicts |= {(n, name): verdict for name, verdict in _verdicts(here, details).items()}
        for first, *others in variants(results):
            for label in others:
                if here[first].shown and here[label].shown:
                    changes[label, n] = compare(
                        here[label].ok, here[first].ok, details[label], details[first]
                    )
    ranked = sorted(labels, key=lambda label: _rank([groups[label, n] for n in lengths]))
    place = results[0].dataset, results[0].model
    return Section(*place, lengths, tuple(ranked), groups, verdicts, changes)


def _group(
    label: str, num_edits: int, some: Sequence[Result], results_dir: Path
) -> tuple[Group, list[Details | None]]:
    """A method's group, of all results of so many edits; the details of those that did not fail."""
    own = [result for result in some if result.label == label]
    own.sort(key=lambda result: (result.seed, result.sequence))
    ok = [result for result in own if result.status == "ok"]
    details = [_details(results_dir, result) for result in ok]
    group = Group(
        label=label,
        num_edits=num_edits,
        expected=len({(result.seed, result.sequence) for result in some}),
        results=tuple(own),
        scores={when: intervals(ok, details, when=when) for when in WHEN},
        examples=next((tuple(found.examples) for found in details if found and found.examples), ()),
    )
    return group, details


def variants(results: Sequence[Result]) -> list[list[str]]:
    """Labels of each method that has several, the one without a variant first."""
    found: dict[str, set[tuple[str, str]]] = {}
    for result in results:
        found.setdefault(result.method, set()).add((result.variant, result.label))
    return [[label for _, label in sorted(some)] for some in found.values() if len(some) > 1]


def _details(results_dir: Path, result: Result) -> Details | None:
    """Details of a line; None if there are none, or those there are of an older line."""
    details = read_details(details_path(results_dir, result))
    return details if details and details.config_hash == result.config_hash else None


def _verdicts(
    groups: dict[str, Group], details: dict[str, list[Details | None]]
) -> dict[str, Verdict]:
    compared: dict[tuple[str, str], dict[str, Comparison]] = {}
    verdicts = {}
    for name in SCORES:
        values = {
            label: score.value for label, group in groups.items() if (score := group.score(name))
        }
        if not values:
            continue
        first = max(values, key=lambda label: values[label])
        best = [first, *(x for x in values if x != first and tied(values[x], values[first]))]
        comparisons: dict[str, Comparison | None] = {}
        for label in values.keys() - {*best}:
            if (first, label) not in compared:
                compared[first, label] = compare(
                    groups[first].ok, groups[label].ok, details[first], details[label]
                )
            comparisons[label] = compared[first, label].get(name)
        verdicts[name] = Verdict(tuple(best), comparisons)
    return verdicts


def _rank(groups: Sequence[Group]) -> tuple[int, float, str]:
    values = [score.value for group in groups if (score := group.score("average"))]
    return -len(values), -(mean(values) or 0.0), groups[0].label
