"""From a folder of results to a page, tables and plots for a paper's appendix."""

from __future__ import annotations

from pathlib import Path

from benchmarks.report.build import read_study
from benchmarks.report.latex import latex_text
from benchmarks.report.plots import need_libraries, save
from benchmarks.report.tidy import csv_text
from dafnet_plugin.files import write_text

__all__ = ["write_report"]


def write_report(results_dir: Path, out: Path | None = None) -> Path:
    """Write ``report.html``, ``table.csv``, ``table.tex`` and ``plots/*.png`` and ``*.svg``.

    The same results give the same page; nothing is fetched, and the page fetches nothing.

    Args:
        results_dir: folder of ``results.jsonl`` and ``details/``.
        out: where the report goes; ``results_dir / "report"`` if None.

    Returns:
        the path of the page.

    Raises:
        DataError: there are no results, a file of them is malformed, or a library of the extra
            ``report`` is not installed.
    """
    need_libraries()
    from benchmarks.report.page import Page

    study = read_study(Path(results_dir))
    out = Path(results_dir) / "report" if out is None else Path(out)
    page = Page(study)
    text = page.render()
    for figure in page.figures:
        save(figure, out / "plots")
    write_text(out / "table.csv", csv_text(study))
    write_text(out / "table.tex", latex_text(study))
    write_text(out / "report.html", text)
    return out / "report.html"
