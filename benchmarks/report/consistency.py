"""Tables of factual consistency: what the model prefers, and what it names."""

from __future__ import annotations

from collections.abc import Sequence

from benchmarks.report.cost_tables import Measure, measures_table
from benchmarks.report.model import Group, Section
from benchmarks.report.score_tables import UNEDITED
from benchmarks.report.view import Body, Cell, Row, Table, absent, counted, score_text
from dafnet_plugin.data.consistency import SWAPS

LIKELIHOOD, PMI = "by log-likelihood", "by mutual information"
CONSISTENCY: tuple[Measure, ...] = (
    ("edited", "consistency_edited_before", "consistency_edited_after", 3),
    ("untouched", "consistency_untouched_before", "consistency_untouched_after", 3),
    ("edited", "consistency_pmi_edited_before", "consistency_pmi_edited_after", 3),
    ("untouched", "consistency_pmi_untouched_before", "consistency_pmi_untouched_after", 3),
    ("greedy", "agreement_greedy_before", "agreement_greedy_after", 3),
    ("sampled", "agreement_sampled_before", "agreement_sampled_after", 3),
)


def consistency_table(section: Section, lengths: Sequence[int]) -> Table | None:
    """Preferences and continuations after the last edit; None if not measured."""
    return measures_table(
        section,
        lengths,
        CONSISTENCY,
        name="consistency",
        caption="Factual consistency, after the last edit",
        note="Share of pairs, on edited and on untouched facts, in which the model prefers the "
        "summary that is consistent with a document to one that contradicts it: by log-likelihood "
        "per token given the document, and by how much the document adds to the log-likelihood. "
        "Half of them is chance. Named: share of continuations, of ten prompts about the subject "
        "of each edit that do not quote the edit, in which the new object occurs.",
        head=_head,
    )


def swaps_table(section: Section, lengths: Sequence[int]) -> Table | None:
    """Preferences on edited facts by what the contradiction exchanges; None if not measured."""
    some = [
        swap for swap in SWAPS if any(_pairs(r.consistency_swaps, swap) for r in section.results)
    ]
    if not some:
        return None
    columns = [(swap, key) for key in ("after", "pmi_after") for swap in some]
    bodies = []
    for n in lengths:
        groups = [section.groups[label, n] for label in section.labels]
        rows = [
            Row(group.label, _swap_cells(group, columns), label=group.label) for group in groups
        ]
        first = next((group for group in groups if group.shown), None)
        if first is not None:
            before = [(swap, key.replace("after", "before")) for swap, key in columns]
            rows.append(Row(UNEDITED, _swap_cells(first, before), reference=True))
        bodies.append(Body(rows, counted(n, "edit")))
    return Table(
        name=f"{section.slug}-swaps-{'-'.join(map(str, lengths))}",
        caption=f"Consistency by what is exchanged, edited facts: {section.title}",
        corner="method",
        groups=[(LIKELIHOOD, len(some)), (PMI, len(some))],
        columns=[swap for swap, _ in columns],
        bodies=bodies,
    )


def swap_share(group: Group, swap: str, key: str) -> float | None:
    """A share of :attr:`benchmarks.results.Result.consistency_swaps`, over all sequences."""
    known = [
        (found["pairs"] or 0, value)
        for result in group.ok
        if (found := (result.consistency_swaps or {}).get(swap))
        and (value := found.get(key)) is not None
    ]
    pairs = sum(number for number, _ in known)
    return sum(number * value for number, value in known) / pairs if pairs else None


def swap_pairs(group: Group, swap: str) -> int:
    """How many pairs these are, over all sequences."""
    return sum(_pairs(result.consistency_swaps, swap) for result in group.ok)


def _pairs(swaps: dict[str, dict[str, float | None]] | None, swap: str) -> int:
    return int((swaps or {}).get(swap, {}).get("pairs") or 0)


def _swap_cells(group: Group, columns: Sequence[tuple[str, str]]) -> list[Cell]:
    if cell := absent(group, span=len(columns)):
        return [cell]
    return [
        Cell(
            score_text(swap_share(group, swap, key)),
            title=counted(swap_pairs(group, swap), "pair"),
        )
        for swap, key in columns
    ]


def _head(field: str) -> str:
    if field.startswith("agreement"):
        return "new object named"
    return PMI if "_pmi_" in field else LIKELIHOOD
