"""Where every number comes from, and what is not there."""

from __future__ import annotations

import json
from collections import Counter, defaultdict
from collections.abc import Mapping
from typing import Any

from benchmarks.report.model import Section, Study, slug
from benchmarks.report.view import TIMES, Body, Cell, Row, Table, counted, errors
from benchmarks.results import Result

Run = tuple[str, str, str]
"""Command line, versions and machine, the last two as JSON."""


def run_names(study: Study) -> dict[Run, str]:
    """A short name for every command, set of versions and machine that results come from."""
    return {
        run: f"R{number}" for number, run in enumerate(dict.fromkeys(map(_run, study.results)), 1)
    }


def runs_table(study: Study) -> Table:
    """What each of :func:`run_names` stands for."""
    times: dict[Run, list[str]] = defaultdict(list)
    for result in study.results:
        times[_run(result)].append(result.time)
    rows = []
    for run, name in run_names(study).items():
        command, versions, machine = run[0], json.loads(run[1]), json.loads(run[2])
        commit = str(versions.pop("commit", "unknown"))
        cells = [
            Cell(command or "unknown", marks=("text", "wrap")),
            Cell(commit, marks=("text", "code")),
            Cell(_pairs(versions), marks=("text", "wrap")),
            Cell(_pairs(machine), marks=("text", "wrap")),
            Cell(_times(times[run]), marks=("text", "wrap")),
        ]
        rows.append(Row(name, cells))
    return Table(
        name="runs",
        caption="Runs: commands, versions and machines",
        corner="run",
        columns=["command", "commit", "versions", "machine", "time, UTC"],
        bodies=[Body(rows)],
        notes=["“-dirty” behind a commit: with changes that were not committed."],
    )


def provenance_table(section: Section, names: Mapping[Run, str]) -> Table:
    """For each method the seed, config hash and run behind its numbers."""
    found: dict[tuple[str, int, str, str], list[Result]] = defaultdict(list)
    for result in section.results:
        found[result.label, result.seed, result.config_hash, names[_run(result)]].append(result)
    rows = []
    for (label, seed, config_hash, name), results in found.items():
        lengths = Counter(result.num_edits for result in results)
        failed = sum(result.status == "failed" for result in results)
        sequences = ", ".join(f"{n:,} {TIMES} {count}" for n, count in sorted(lengths.items()))
        cells = [
            Cell(str(seed)),
            Cell(config_hash, marks=("text", "code")),
            Cell(sequences, marks=("text",)),
            Cell(str(failed), marks=("failed",) if failed else ()),
            Cell(name, marks=("text",), link=anchor(name)),
            Cell(_times([result.time for result in results]), marks=("text",)),
        ]
        rows.append(Row(label, cells, label=label))
    return Table(
        name=f"{section.slug}-provenance",
        caption=f"Where these numbers come from: {section.title}",
        corner="method",
        columns=["seed", "config hash", f"edits {TIMES} sequences", "failed", "run", "time, UTC"],
        bodies=[Body(rows)],
        notes=["Runs are listed at the end of the page."],
    )


def failures_table(study: Study) -> Table | None:
    """Every failed sequence and every cell that others have and a method lacks."""
    rows = []
    for section in study.sections:
        for label in section.labels:
            for n in section.lengths:
                group = section.groups[label, n]
                run = counted(len(group.results), "sequence")
                what = {
                    "failed": f"{len(group.failed)} of {run} failed",
                    "missing": "not run",
                    "partial": f"only {run} of {group.expected}",
                }.get(group.status)
                if what:
                    cells = [
                        Cell(section.title, marks=("text",)),
                        Cell(f"{n:,}"),
                        Cell(what, marks=("text",)),
                        Cell("; ".join(errors(group.failed)), marks=("text", "wrap")),
                    ]
                    rows.append(Row(label, cells, label=label))
    if not rows:
        return None
    return Table(
        name="failures",
        caption="Failed and missing cells",
        corner="method",
        columns=["data set, base model", "edits", "what", "error"],
        bodies=[Body(rows)],
    )


def anchor(name: str) -> str:
    """Of a run in the page."""
    return f"run-{slug(name)}"


def _run(result: Result) -> Run:
    return result.command, _json(result.versions), _json(result.machine)


def _json(value: Mapping[str, Any]) -> str:
    return json.dumps(value, sort_keys=True, ensure_ascii=False)


def _pairs(values: Mapping[str, Any]) -> str:
    return ", ".join(f"{name} {value}" for name, value in values.items()) or "unknown"


def _times(times: list[str]) -> str:
    known = sorted(time for time in times if time)
    if not known:
        return "unknown"
    first, last = (time[:16].replace("T", " ") for time in (known[0], known[-1]))
    return first if first == last else f"{first} to {last}"
