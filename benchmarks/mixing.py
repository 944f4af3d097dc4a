"""Training cases of several sources in one file: each sequence of edits is drawn from one."""

from __future__ import annotations

import random
from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import Any

from dafnet_plugin.cases import EditCase

MARK = "::"
"""Parts a case's source from its id; ids of data sets have no such thing."""


def tagged(source: str, case: EditCase) -> EditCase:
    """The case with its source in its id."""
    return replace(case, case_id=f"{source}{MARK}{case.case_id}")


def by_source(cases: Iterable[EditCase], default: str) -> dict[str, list[EditCase]]:
    """Cases by their sources; those without one are of the source ``default``."""
    groups: dict[str, list[EditCase]] = {}
    for case in cases:
        source, mark, _ = case.case_id.partition(MARK)
        groups.setdefault(source if mark else default, []).append(case)
    return groups


def mix(data: Any, rng: random.Random) -> None:
    """Let torch's data loader draw each batch of an EasyEdit data set from one source.

    As for DAFNet, each source is as likely as any other, however many cases it has, and any probe
    of a case may be asked. A data set without sources is left as it is.

    Args:
        data: a data set of case files, with ``cases``.
    """
    groups: dict[str, list[int]] = {}
    for index, case in enumerate(data.cases):
        groups.setdefault(case.case_id.partition(MARK)[0], []).append(index)
    if not all(MARK in case.case_id for case in data.cases):
        return

    from dafnet_plugin.easyedit.datasets import drawn_record

    def draw(indices: Sequence[int]) -> list[Any]:
        rows = groups[rng.choice(list(groups))]
        chosen = rng.sample(rows, min(len(indices), len(rows)))
        return [drawn_record(data.cases[index], rng) for index in chosen]

    data.__getitems__ = draw  # what torch's loaders ask for a whole batch
