"""The main message: who is best where."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

from benchmarks.report.model import FOCUS, Section, Study, Verdict
from benchmarks.report.view import (
    NONE,
    TIMES,
    Body,
    Cell,
    Row,
    Table,
    counted,
    difference_text,
    interval_title,
    range_text,
    score_text,
)

MOST_NAMED = 3
"""Methods named in one cell as not distinguishable from the best."""


def headlines(study: Study) -> list[str]:
    """A few sentences: how often each method has the best average, and how the focus does.

    Columns in which one method alone has a score are left out.
    """
    columns = [column for column in _columns(study) if column[2].contested]
    if not columns:
        return ["No column has scores of two methods: there is nothing to compare."]
    wins = Counter(label for _, _, verdict in columns for label in verdict.best)
    clear = Counter(verdict.best[0] for _, _, verdict in columns if verdict.clear)
    first, *others = sorted(wins, key=lambda label: (-wins[label], -clear[label], label))
    found = [
        f"{first} has the best final average in {wins[first]} of {counted(len(columns), 'column')} "
        f"(data set {TIMES} base model {TIMES} number of edits), in {clear[first]} of them beyond "
        "the 95 % interval of its difference from every other method."
    ]
    if others:
        listed = ", ".join(f"{label} in {wins[label]}" for label in others)
        beyond = ", ".join(f"{label} in {clear[label]}" for label in others if clear[label])
        found.append(
            f"Also best: {listed}; beyond the interval: {beyond or 'none'}. A tie counts for each."
        )
    if FOCUS in study.entries:
        found.append(_standing(columns))
    return found


def _columns(study: Study) -> Iterator[tuple[Section, int, Verdict]]:
    for section in study.sections:
        for n in section.lengths:
            if (n, "average") in section.verdicts:
                yield section, n, section.verdicts[n, "average"]


def _standing(columns: list[tuple[Section, int, Verdict]]) -> str:
    """How the focus does: best, as good as the best, behind, or not there."""
    counts: Counter[str] = Counter()
    for section, n, verdict in columns:
        group = section.groups.get((FOCUS, n))
        if group is None or not group.shown:
            counts["failed or not run" if group else ""] += 1
        elif FOCUS in verdict.best:
            counts["best"] += 1
        elif verdict.close(FOCUS):
            counts["not distinguishable from the best"] += 1
        else:
            counts["behind the best"] += 1
    del counts[""]
    return f"{FOCUS}: " + ", ".join(f"{what} in {count}" for what, count in counts.items()) + "."


def ahead_table(study: Study) -> Table | None:
    """Where another method is ahead of the focus; None if nowhere."""
    rows = []
    for section, n, verdict in _columns(study):
        comparison = verdict.comparisons.get(FOCUS)
        own = section.groups[FOCUS, n].score("average") if FOCUS in section.labels else None
        if own and FOCUS not in verdict.best:
            score = section.groups[verdict.best[0], n].score("average")
            cells = [
                Cell(f"{n:,}"),
                Cell(", ".join(verdict.best), marks=("text",)),
                Cell(score_text(score.value if score else None)),
                Cell(score_text(own.value)),
                Cell(
                    difference_text(comparison) if comparison else NONE,
                    marks=("strong",) if comparison and comparison.clear else (),
                ),
            ]
            rows.append(Row(section.title, cells))
    if not rows:
        return None
    return Table(
        name="ahead",
        caption=f"Where another method has a better average than {FOCUS}",
        corner="data set, base model",
        columns=["edits", "best", "its average", FOCUS, "difference, 95 % interval"],
        bodies=[Body(rows)],
        notes=["On the same sequences; in bold where the interval excludes 0."],
    )


def targets_table(study: Study) -> Table | None:
    """Averages that were to be reached, beside those that were; None if there are none."""
    lengths = sorted({target.num_edits for target in study.targets})
    wanted: dict[tuple[str, str], dict[int, float]] = {}
    for target in study.targets:
        wanted.setdefault((target.label, target.dataset), {})[target.num_edits] = target.average
    rows = [
        Row(
            f"{label}, {section.title}",
            [_target_cell(section, label, n, averages.get(n)) for n in lengths],
        )
        for (label, dataset), averages in wanted.items()
        for section in study.sections
        if section.dataset == dataset
    ]
    if not rows:
        return None
    return Table(
        name="targets",
        caption="Final averages that this benchmark sets out to reach",
        corner="method, data set, base model",
        columns=[counted(n, "edit") for n in lengths],
        bodies=[Body(rows)],
        notes=["As the config says: what was reached, and what was to be."],
    )


def _target_cell(section: Section, label: str, n: int, wanted: float | None) -> Cell:
    if wanted is None:
        return Cell(NONE)
    group = section.groups.get((label, n))
    score = group.score("average") if group else None
    if score is None:
        return Cell("not measured", note=f"at least {score_text(wanted)}", marks=("missing",))
    reached = score.value >= wanted
    return Cell(
        score_text(score.value),
        small=range_text(score),
        note=f"{'reached' if reached else 'missed'}: at least {score_text(wanted)}",
        title=interval_title(score),
        marks=() if reached else ("failed",),
    )


def summary_table(study: Study) -> Table:
    """The best average for each data set, base model and number of edits."""
    rows = [
        Row(section.title, [_summary_cell(section, n) for n in study.lengths])
        for section in study.sections
    ]
    return Table(
        name="summary",
        caption="Best final average, and who reaches it",
        corner="data set, base model",
        columns=[counted(n, "edit") for n in study.lengths],
        bodies=[Body(rows)],
        notes=[
            "Average of reliability, generality and locality after the last edit. “Clear”: the "
            "95 % interval of the difference from every other method, on the same sequences, "
            "excludes 0; “≈” names those of which it does not."
        ],
    )


def _summary_cell(section: Section, n: int) -> Cell:
    verdict = section.verdicts.get((n, "average"))
    score = verdict and section.groups[verdict.best[0], n].score("average")
    if not verdict or not score:
        return Cell(NONE, marks=("missing",), title="no average was measured")
    close = [label for label in section.labels if verdict.close(label)]
    if verdict.clear:
        note = "clear"
    elif close:
        more = f" and {len(close) - MOST_NAMED} more" if len(close) > MOST_NAMED else ""
        note = f"≈ {', '.join(close[:MOST_NAMED])}{more}"
    else:
        note = "the only one" if not verdict.comparisons else ""
    own = section.groups[FOCUS, n].score("average") if FOCUS in section.labels else None
    if own and FOCUS not in verdict.best and FOCUS not in close:
        note = f"{note}; {FOCUS} {score_text(own.value)}".removeprefix("; ")
    return Cell(
        f"{', '.join(verdict.best)} {score_text(score.value)}",
        small=range_text(score),
        note=note,
        title=interval_title(score),
        marks=("focus",) if FOCUS in verdict.best else (),
    )
