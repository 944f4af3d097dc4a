"""Tables of what editing costs: time, memory, and what the model was otherwise."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import groupby

from benchmarks.intervals import field_interval
from benchmarks.report.model import Group, Section, mean
from benchmarks.report.score_tables import UNEDITED
from benchmarks.report.view import (
    NONE,
    Body,
    Cell,
    Row,
    Table,
    absent,
    counted,
    number_text,
    range_text,
)

Measure = tuple[str, str | None, str, int]
"""Header, field of the unedited model (None: 0 by definition), of the edited one, digits."""
SIDE_EFFECTS: tuple[Measure, ...] = (
    ("perplexity", "perplexity_before", "perplexity_after", 4),
    ("KL, nats a token", None, "kl", 3),
    ("unrelated accuracy", "unrelated_before", "unrelated_after", 3),
    ("fluency, bits", "fluency_before", "fluency_after", 3),
    ("weight change", None, "weight_change", 3),
)
GROWTH_FROM = 20
"""Shorter sequences have no growth of the time, see :class:`benchmarks.results.Result`."""


def cost_table(section: Section) -> Table | None:
    """Time, memory and storage; None where none was measured."""
    long = [n for n in section.lengths if n >= GROWTH_FROM]
    blocks: list[tuple[str, Sequence[int], str, int]] = [
        ("seconds per edit", section.lengths, "seconds_per_edit", 2),
        ("growth of it", long, "seconds_growth", 2),
        ("peak memory, MiB", section.lengths, "peak_memory_mb", 3),
        ("before editing, MiB", section.lengths[-1:], "memory_mb", 3),
        ("kept, MiB", section.lengths[-1:], "stored_mb", 3),
    ]
    blocks = [block for block in blocks if block[1] and _measured(section, block[2])]
    if not blocks:
        return None
    rows = []
    for label in section.labels:
        cells = [
            _measure(section.groups[label, n], name, digits)
            for _, lengths, name, digits in blocks
            for n in lengths
        ]
        training = mean([r.training_seconds for r in section.results if r.label == label])
        rows.append(Row(label, [*cells, Cell(number_text(training))], label=label))
    return Table(
        name=f"{section.slug}-cost-table",
        caption=f"Time, memory and storage: {section.title}",
        corner="method",
        groups=[(title, len(lengths)) for title, lengths, _, _ in blocks] + [("meta-training", 1)],
        columns=[f"{n:,}" for _, lengths, _, _ in blocks for n in lengths] + ["seconds"],
        bodies=[Body(rows)],
        notes=[
            "Columns are numbers of edits. Growth: seconds per edit in the last tenth of a "
            "sequence over those in its first tenth. Kept: what must be stored beside the base "
            "model to serve the edited one."
        ],
    )


def side_effects_table(section: Section, lengths: Sequence[int]) -> Table | None:
    """What the model was like on text and facts that no edit is about; None if not measured."""
    return measures_table(
        section,
        lengths,
        SIDE_EFFECTS,
        name="side-effects",
        caption="The model otherwise, after the last edit",
        note="Perplexity and KL divergence from the unedited model on held-out text; accuracy on "
        "facts that no edit is about; n-gram entropy of generated text; Frobenius norm of the "
        "change of all weights over that of the weights.",
    )


def measures_table(
    section: Section,
    lengths: Sequence[int],
    measures: Sequence[Measure],
    *,
    name: str,
    caption: str,
    note: str,
    head: Callable[[str], str] | None = None,
) -> Table | None:
    """Means of fields of the results after the last edit, a block for each length.

    The last row of a block is the unedited model.

    Args:
        name, caption, note: of the table; the first two without the section and the lengths.
        head: what is above the column of a field; neighbours with the same have it in common.

    Returns:
        None if no field was measured; those that were not have no column.
    """
    columns = [column for column in measures if _measured(section, column[2])]
    if not columns:
        return None
    bodies = []
    for n in lengths:
        groups = [section.groups[label, n] for label in section.labels]
        rows = [
            Row(
                group.label,
                _cells(group, len(columns), lambda g: [_measure(g, c[2], c[3]) for c in columns]),
                label=group.label,
            )
            for group in groups
        ]
        rows.append(
            Row(
                UNEDITED,
                [Cell(_before(groups, name, d)) for _, name, _, d in columns],
                reference=True,
            )
        )
        bodies.append(Body(rows, counted(n, "edit")))
    heads = groupby([head(column[2]) for column in columns]) if head else ()
    return Table(
        name=f"{section.slug}-{name}-{'-'.join(map(str, lengths))}",
        caption=f"{caption}: {section.title}",
        corner="method",
        groups=[(text, len(list(some))) for text, some in heads],
        columns=[column[0] for column in columns],
        bodies=bodies,
        notes=[note],
    )


def _cells(group: Group, span: int, cells: Callable[[Group], list[Cell]]) -> list[Cell]:
    cell = absent(group, span=span)
    return [cell] if cell else cells(group)


def _measure(group: Group, name: str, digits: int) -> Cell:
    if cell := absent(group):
        return cell
    interval = field_interval(group.ok, name)
    if interval is None:
        return Cell(NONE, title="not measured", marks=("missing",))
    bounds = range_text(interval, digits)
    title = f"95 % interval {bounds} over {counted(interval.units, 'sequence')}" if bounds else ""
    return Cell(number_text(interval.value, digits), bounds, title=title)


def _before(groups: Sequence[Group], name: str | None, digits: int) -> str:
    """Of the unedited model; by definition 0 where there is no such field."""
    if name is None:
        return "0"
    return number_text(next((v for g in groups if (v := g.mean(name)) is not None), None), digits)


def _measured(section: Section, name: str) -> bool:
    return any(getattr(result, name) is not None for result in section.results)
