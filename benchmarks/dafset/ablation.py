"""What training on a DAFSet changes: the results of ``dafset-ablation.yaml`` in one table.

    python -m benchmarks.dafset.ablation .cache/benchmarks/dafset-ablation

writes ``ablation.md`` beside its copy of the results.
"""

from __future__ import annotations

import argparse
import shutil
import statistics
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from benchmarks.collect import RESULTS
from benchmarks.entries import ROOT
from benchmarks.results import Result, read_results
from dafnet_plugin.errors import DataError
from dafnet_plugin.files import write_text

TESTED = ("zsre", "counterfact", "dafset")


def main(arguments: list[str] | None = None) -> int:
    """Write the table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n\n")[0])
    parser.add_argument("folder", type=Path, help="of the run")
    parser.add_argument("--out", type=Path, default=ROOT / "benchmarks/results/dafset-ablation")
    options = parser.parse_args(arguments)
    results = read_results(options.folder / RESULTS)
    text = render(results)
    options.out.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(options.folder / RESULTS, options.out / RESULTS)
    write_text(options.out / "ablation.md", text)
    print(text)
    return 0


def render(results: Sequence[Result]) -> str:
    """A table for each set of facts: what was trained on, against what was tested with.

    Raises:
        DataError: there are no results of the ablation.
    """
    found = [result for result in results if "+" in result.dataset]
    if not found:
        raise DataError("no results of dafset-ablation.yaml; allowed: the folder of such a run")
    worlds = dict.fromkeys(result.dataset.partition("-")[0] for result in found)
    lines = [
        "Mean of reliability, generality and locality after the last edit, 0 to 1; in brackets how",
        "much more than without the DAFSet. Sequences of so many edits, averaged.",
    ]
    for world in worlds:
        lines += ["", *_table(world, [r for r in found if r.dataset.startswith(f"{world}-")])]
    return "\n".join(lines) + "\n"


def _table(world: str, results: Sequence[Result]) -> Iterator[str]:
    lengths = sorted({result.num_edits for result in results})
    columns = [(tested, edits) for tested in TESTED for edits in lengths]
    columns = [column for column in columns if any(_of(results, *column))]
    heads = [f"{tested}, {edits}" for tested, edits in columns]
    yield f"| {world}: method | trained | {' | '.join(heads)} |"
    yield "|---|---|" + "---|" * len(columns)
    for method in dict.fromkeys(result.method for result in results):
        mine = [result for result in results if result.method == method]
        base = {c: _score(_of(mine, *c, "without")) for c in columns}
        for trained in dict.fromkeys(_trained(result) for result in mine):
            cells = []
            for column in columns:
                runs = list(_of(mine, *column, trained))
                score, before = _score(runs), base[column]
                if score is None:
                    cells.append("failed" if runs else "\N{EN DASH}")
                elif before is None or trained == "without":
                    cells.append(f"{score:.3f}")
                else:
                    cells.append(f"{score:.3f} ({score - before:+.3f})")
            yield f"| {method} | {trained} | {' | '.join(cells)} |"


def _trained(result: Result) -> str:
    return result.dataset.partition("+")[0].partition("-")[2]


def _of(
    results: Iterable[Result], tested: str, edits: int, trained: str | None = None
) -> Iterator[Result]:
    """Those of a column, and of what was trained on."""
    for result in results:
        here = result.dataset.endswith(f"+{tested}") and result.num_edits == edits
        if here and trained in (None, _trained(result)):
            yield result


def _score(results: Iterable[Result]) -> float | None:
    """Mean over sequences; None without any, or where one failed."""
    scores = []
    for result in results:
        parts = result.final_reliability, result.final_generality, result.final_locality
        known = [part for part in parts if part is not None]
        if result.status != "ok" or not known:
            return None
        scores.append(statistics.fmean(known))
    return statistics.fmean(scores) if scores else None


if __name__ == "__main__":
    raise SystemExit(main())
