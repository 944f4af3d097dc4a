"""The main table as LaTeX."""

from __future__ import annotations

from benchmarks.report.model import SCORES, Section, Study
from benchmarks.report.score_tables import SHORT, main_table
from benchmarks.report.view import DASH, MINUS, TIMES, Cell, Row

_HEAD = r"""% Needs in the preamble: \usepackage{booktabs,graphicx}
% Made by `python -m benchmarks report`.
"""
_SPECIAL = {
    "\\": r"\textbackslash{}",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    **{character: f"\\{character}" for character in "&%$#_{}"},
    "<": r"\textless{}",
    ">": r"\textgreater{}",
    "|": r"\textbar{}",
    TIMES: r"$\times$",
    DASH: "--",
    MINUS: r"$-$",
}


def latex_text(study: Study) -> str:
    """A ``table*`` for each data set and base model, in the ``booktabs`` style."""
    return _HEAD + "".join(_table(section) for section in study.sections)


def escape(text: str) -> str:
    """Text as LaTeX prints it."""
    return "".join(_SPECIAL.get(character, character) for character in text)


def _table(section: Section) -> str:
    table = main_table(section)
    width = len(SCORES)
    groups = [rf"\multicolumn{{{span}}}{{c}}{{{escape(title)}}}" for title, span in table.groups]
    rules = [rf"\cmidrule(lr){{{2 + width * i}-{1 + width * (i + 1)}}}" for i in range(len(groups))]
    lines = [
        r"\begin{table*}",
        r"\centering",
        rf"\caption{{{escape(table.caption)}. {_legend()}}}",
        rf"\label{{tab:{section.slug}}}",
        r"\resizebox{\textwidth}{!}{%",
        rf"\begin{{tabular}}{{l{'r' * len(table.columns)}}}",
        r"\toprule",
        " & ".join(["", *groups]) + r" \\",
        "".join(rules),
        " & ".join(["Method", *table.columns]) + r" \\",
        r"\midrule",
        *(line for body in table.bodies for row in body.rows for line in _row(row)),
        r"\bottomrule",
        r"\end{tabular}}",
        r"\end{table*}",
        "",
    ]
    return "\n".join(lines) + "\n"


def _legend() -> str:
    names = ", ".join(f"{short}: {name}" for name, short in SHORT.items())
    return rf"{names}. Bold: best; $\approx$: not distinguishable from it (95\,\%)."


def _row(row: Row) -> list[str]:
    line = " & ".join([escape(row.head), *map(_cell, row.cells)]) + r" \\"
    return [r"\midrule", line] if row.reference else [line]


def _cell(cell: Cell) -> str:
    text = escape(cell.text)
    if "best" in cell.marks:
        text = rf"\textbf{{{text}}}"
    elif "close" in cell.marks:
        text = rf"$^{{\approx}}${text}"
    elif cell.span > 1:
        text = rf"\multicolumn{{{cell.span}}}{{c}}{{\emph{{{text}}}}}"
    if "partial" in cell.marks and cell.note:
        text += rf"\,({escape(cell.note)})"
    return text
