"""Tables of scores: the main one, right after against at the end, variants, criteria."""

from __future__ import annotations

from collections.abc import Sequence

from benchmarks.methods import repair_of
from benchmarks.report.build import variants
from benchmarks.report.figures import curve
from benchmarks.report.model import SCORES, Group, Section
from benchmarks.report.view import (
    NONE,
    TIMES,
    Body,
    Cell,
    Row,
    Table,
    absent,
    counted,
    difference_text,
    hashes,
    interval_title,
    range_text,
    score_text,
)
from dafnet_plugin.data.ripple import CRITERIA

SHORT = {"reliability": "Rel", "generality": "Gen", "locality": "Loc", "average": "Avg"}
UNEDITED = "unedited model"
AS_IS = "as-is"
"""Variant of a method that the harness does not repair."""


def main_table(section: Section) -> Table:
    """Final scores: methods by numbers of edits and scores, best in bold."""
    rows = [
        Row(
            label,
            [cell for n in section.lengths for cell in _main_cells(section, label, n)],
            label=label,
        )
        for label in section.labels
    ]
    unedited = [_unedited(section, n) for n in section.lengths]
    if any(value is not None for scores in unedited for value in scores):
        cells = [Cell(score_text(value)) for scores in unedited for value in scores]
        rows.append(Row(UNEDITED, cells, reference=True))
    return Table(
        name=f"{section.slug}-main",
        caption=f"Scores after the last edit: {section.title}",
        corner="method",
        groups=[(_heading(section, n), len(SCORES)) for n in section.lengths],
        columns=[SHORT[name] for _ in section.lengths for name in SCORES],
        bodies=[Body(rows)],
    )


def _heading(section: Section, n: int) -> str:
    expected = max(section.groups[label, n].expected for label in section.labels)
    return f"{counted(n, 'edit')} {TIMES} {expected}"


def _main_cells(section: Section, label: str, n: int) -> list[Cell]:
    group = section.groups[label, n]
    if cell := absent(group, span=len(SCORES)):
        return [cell]
    return [_main_cell(section, group, name) for name in SCORES]


def _main_cell(section: Section, group: Group, name: str) -> Cell:
    score = group.score(name)
    if score is None:
        return Cell(NONE, title="not measured", marks=("missing",))
    said = [f"{score_text(score.value)}: {interval_title(score)}"]
    marks: list[str] = []
    verdict = section.verdicts[group.num_edits, name]
    comparison = verdict.comparisons.get(group.label)
    if group.label in verdict.best:
        marks.append("best")
    elif verdict.close(group.label):
        marks.append("close")
    if comparison is not None:
        said.append(
            f"{verdict.best[0]} minus this, on the same sequences: {difference_text(comparison)}"
        )
    note = ""
    if group.status == "partial":
        marks.append("partial")
        said.append(f"{len(group.results)} of {group.expected} sequences have been run")
        note = f"{len(group.results)} of {group.expected}" if name == "average" else ""
    said.append(f"config {hashes(group.results)}")
    return Cell(score_text(score.value), range_text(score), note, "\n".join(said), tuple(marks))


def _unedited(section: Section, n: int) -> tuple[float | None, ...]:
    """Scores of the unedited model on the same cases; its locality is 1 by definition."""
    for label in section.labels:
        before = section.groups[label, n].scores["before"]
        if before.keys() & {"reliability", "generality"}:
            return tuple(before[name].value if name in before else None for name in SCORES)
    return (None,) * len(SCORES)


def before_after_table(section: Section) -> Table | None:
    """Each score right after the edits and at the end, and retention; None for single edits."""
    lengths = [n for n in section.lengths if n > 1]
    if not lengths:
        return None
    rows = [
        Row(
            label,
            [cell for n in lengths for cell in _before_after_cells(section.groups[label, n])],
            label=label,
        )
        for label in section.labels
    ]
    return Table(
        name=f"{section.slug}-immediate",
        caption=f"Right after each edit → after the last one: {section.title}",
        corner="method",
        groups=[(_heading(section, n), 4) for n in lengths],
        columns=["Rel", "Gen", "Loc", "retention"] * len(lengths),
        bodies=[Body(rows)],
        notes=[
            f"Retention: final over immediate reliability. {NONE} : nothing was learnt, "
            "so there is nothing to retain."
        ],
    )


def _before_after_cells(group: Group) -> list[Cell]:
    if cell := absent(group, span=4):
        return [cell]
    cells = []
    for name in SCORES[:3]:
        pair = group.score(name, "immediate"), group.score(name)
        first, last = (score_text(score.value if score else None) for score in pair)
        ranges = " → ".join(range_text(score) for score in pair)
        cells.append(Cell(f"{first} → {last}", ranges if ranges != " → " else ""))
    return [*cells, Cell(score_text(group.mean("retention")))]


def forgetting_table(section: Section, num_edits: int) -> Table | None:
    """The numbers of the forgetting curves; None if nobody has any."""
    curves = {label: curve(section.groups[label, num_edits]) for label in section.labels}
    columns = sorted({followed for points in curves.values() for followed in points})
    if not columns:
        return None
    rows = []
    for label, points in curves.items():
        if cell := absent(section.groups[label, num_edits], span=len(columns)):
            rows.append(Row(label, [cell], label=label))
            continue
        cells = []
        for followed in columns:
            point = points.get(followed, {})
            text = " / ".join(score_text(point.get(name)) for name in SCORES[:3])
            edits = point.get("edits")
            title = f"mean of {counted(int(edits), 'edit')}" if edits else "not measured"
            cells.append(Cell(text, title=title))
        rows.append(Row(label, cells, label=label))
    return Table(
        name=f"{section.slug}-forgetting-{num_edits}-table",
        caption=f"Rel / Gen / Loc by edits made since, of {num_edits:,}: {section.title}",
        corner="method",
        columns=[f"{followed:,}" for followed in columns],
        bodies=[Body(rows)],
    )


def variants_table(section: Section) -> Table | None:
    """Variants of a method against its first; None where no method has several."""
    found = variants(section.results)
    if not found:
        return None
    bodies = []
    for labels in found:
        rows = []
        for label in labels:
            cells = []
            for n in section.lengths:
                group = section.groups[label, n]
                score = group.score("average")
                change = section.changes.get((label, n), {}).get("average")
                cells.append(
                    absent(group)
                    or Cell(
                        score_text(score.value if score else None),
                        small=range_text(score),
                        note=difference_text(change) if change else "",
                        marks=("differs",) if change and change.clear else (),
                    )
                )
            rows.append(Row(label, cells, label=label))
        bodies.append(Body(rows))
    return Table(
        name=f"{section.slug}-variants",
        caption=f"Variants of one method, final average: {section.title}",
        corner="method",
        columns=[_heading(section, n) for n in section.lengths],
        bodies=bodies,
        notes=[
            "Below an average: its difference from that of the method's first row on the same "
            "sequences, with the 95 % interval; in bold where the interval excludes 0.",
            *_repairs(section),
        ],
    )


def _repairs(section: Section) -> list[str]:
    """What the harness changes about methods that are there as EasyEdit has them, too."""
    methods = dict.fromkeys(r.method for r in section.results if r.variant == AS_IS)
    return [f"{m}, if not {AS_IS}: {words}." for m in methods if (words := repair_of(m))]


def criteria_table(section: Section, lengths: Sequence[int]) -> Table | None:
    """Portability by criterion; None where it was not measured."""
    names = {name for result in section.results for name in result.criteria}
    if not names:
        return None
    order = [name for name in CRITERIA if name in names]
    order += sorted(names - {*order})
    bodies = []
    for n in lengths:
        rows = [
            Row(label, _criteria_cells(section.groups[label, n], order), label=label)
            for label in section.labels
        ]
        known = [label for label in section.labels if section.groups[label, n].shown]
        if known:
            rows.append(_criteria_before(section.groups[known[0], n], order))
        bodies.append(Body(rows, _heading(section, n)))
    return Table(
        name=f"{section.slug}-criteria-{'-'.join(map(str, lengths))}",
        caption=f"Portability by criterion, after the last edit: {section.title}",
        corner="method",
        columns=["all", *(name.replace("_", " ") for name in order)],
        bodies=bodies,
        notes=[
            "“All” averages over cases. Counts: cases with a test that counts; excluded are tests "
            "whose condition the unedited model fails, as RippleEdits prescribes."
        ],
    )


def _criteria_cells(group: Group, order: list[str]) -> list[Cell]:
    if cell := absent(group, span=len(order) + 1):
        return [cell]
    overall = group.score("portability")
    cells = [Cell(score_text(overall.value if overall else None), range_text(overall))]
    for name in order:
        cases, excluded = criterion_counts(group, name)
        immediate = criterion(group, name, "immediate")
        cells.append(
            Cell(
                score_text(criterion(group, name, "final")),
                title=f"right after the edit {score_text(immediate)}; {cases:,} cases, "
                f"{counted(excluded, 'test')} excluded",
            )
        )
    return cells


def _criteria_before(group: Group, order: list[str]) -> Row:
    overall = group.score("portability", "before")
    cells = [Cell(score_text(overall.value if overall else None))]
    for name in order:
        cases, excluded = criterion_counts(group, name)
        cells.append(
            Cell(
                score_text(criterion(group, name, "before")),
                note=f"{cases:,} cases, {excluded:,} excl.",
            )
        )
    return Row(UNEDITED, cells, reference=True)


def criterion(group: Group, name: str, when: str) -> float | None:
    """Mean over the cases of all sequences."""
    known = [
        (found["cases"] or 0, value)
        for result in group.ok
        if (found := result.criteria.get(name)) and (value := found.get(when)) is not None
    ]
    cases = sum(number for number, _ in known)
    return sum(number * value for number, value in known) / cases if cases else None


def criterion_counts(group: Group, name: str) -> tuple[int, int]:
    some = [result.criteria.get(name, {}) for result in group.ok]
    return sum(int(c.get("cases") or 0) for c in some), sum(
        int(c.get("excluded") or 0) for c in some
    )
