"""CSV, LaTeX and plots beside the page; what happens without results or libraries."""

from __future__ import annotations

import csv
import dataclasses
import importlib.util
import json
import re
from pathlib import Path
from xml.etree import ElementTree

import pytest

from benchmarks.report import write_report
from benchmarks.report.build import read_study
from benchmarks.report.latex import escape
from benchmarks.report.model import SCORES
from benchmarks.results import append_result
from dafnet_plugin.errors import DataError
from tests.benchmarks.report.parsing import Page
from tests.benchmarks.report.synthetic import METHODS, write_results

TWO = {entry: METHODS[entry] for entry in (("DAFNET", ""), ("FT", ""))}


def test_csv_has_every_final_score(report: Path, small_dir: Path) -> None:
    with open(report.parent / "table.csv", newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    found = {
        (r["dataset"], r["model"], r["method"], r["variant"], r["num_edits"], r["measure"]): r
        for r in rows
        if r["when"] in ("final", "")
    }
    study = read_study(small_dir)
    for section in study.sections:
        for (label, n), group in section.groups.items():
            key = (section.dataset, section.model, *study.entries[label], str(n))
            if not group.shown:
                row = found[(*key, "")]
                assert row["status"] in ("failed", "missing") and row["value"] == ""
                continue
            for name in SCORES:
                row = found[(*key, name)]
                verdict = section.verdicts[n, name]
                assert float(row["value"]) == pytest.approx(group.score(name).value, abs=1e-6)
                assert float(row["low"]) == pytest.approx(group.score(name).low, abs=1e-5)
                assert row["best"] == str(int(label in verdict.best))
            assert float(found[(*key, "kl")]["value"]) == pytest.approx(group.mean("kl"), rel=1e-4)
            name = "consistency_pmi_edited_after"
            if section.dataset == "ripple":
                assert float(found[(*key, name)]["value"]) == pytest.approx(group.mean(name))
                row = found[(*key, "consistency_pmi:number")]
                pairs = (float(row["value"]), int(row["units"]), row["unit"])
                shares = [r.consistency_swaps["number"]["pmi_after"] for r in group.ok]
                mean = pytest.approx(sum(shares) / len(shares), abs=1e-5)
                assert pairs == (mean, 2 * len(group.ok), "pairs")
            else:
                assert (*key, name) not in found
    failed = next(row for row in rows if row["status"] == "failed")
    assert failed["error"] == "RuntimeError: <made up> & failed" and failed["failed"] == "1"


def test_latex_has_the_main_table(report: Path, small_dir: Path) -> None:
    text = (report.parent / "table.tex").read_text(encoding="utf-8")
    assert text.isascii()
    assert text.count("{") - text.count(r"\{") == text.count("}") - text.count(r"\}")
    begun, ended = (re.findall(rf"\\{word}{{([a-z*]+)}}", text) for word in ("begin", "end"))
    assert sorted(begun) == sorted(ended)
    section = read_study(small_dir).sections[0]
    table = text.split(r"\begin{table*}")[1]
    for label in section.labels:
        row = next(line for line in table.splitlines() if line.startswith(f"{label} & "))
        values = re.sub(r"\\textbf{([\d.]+)}|\$\^{\\approx}\$|\\\\", r"\1", row).split(" & ")[1:]
        bold = [r"\textbf" in cell for cell in row.split(" & ")[1:]]
        at = 0
        for n in section.lengths:
            if not section.groups[label, n].shown:
                assert r"\multicolumn{4}{c}{\emph{" in values[at]
                at += 1
                continue
            for name in SCORES:
                assert values[at].strip() == f"{section.groups[label, n].score(name).value:.3f}"
                assert bold[at] == (label in section.verdicts[n, name].best)
                at += 1
        assert at == len(values)


def test_latex_escapes() -> None:
    assert escape("a_b & 5 % {x} ~^\\ #$") == (
        r"a\_b \& 5 \% \{x\} \textasciitilde{}\textasciicircum{}\textbackslash{} \#\$"
    )


def test_every_plot_is_a_file_of_both_kinds(report: Path) -> None:
    page = Page(report.read_text(encoding="utf-8"))
    names = {attributes["id"] for tag, attributes in page.tags if tag == "figure"}
    plots = report.parent / "plots"
    assert names == {path.stem for path in plots.glob("*.png")}
    assert names == {path.stem for path in plots.glob("*.svg")}
    assert {"overview", "capacity-pararel_tiny-gpt2", "ripple_tiny-gpt2-forgetting-50"} <= names
    for path in plots.glob("*.png"):
        assert path.read_bytes().startswith(b"\x89PNG")
    for path in plots.glob("*.svg"):
        assert ElementTree.parse(path).getroot().tag.endswith("svg")


def test_the_same_results_give_the_same_bytes(tmp_path: Path) -> None:
    write_results(
        tmp_path, methods=TWO, datasets=["d"], models=["m"], lengths={10: 2}, failing=None
    )
    for out in ("a", "b"):
        write_report(tmp_path, tmp_path / out)
    files = sorted(path.relative_to(tmp_path / "a") for path in (tmp_path / "a").rglob("*.*"))
    assert len(files) > 8
    for file in files:
        assert (tmp_path / "a" / file).read_bytes() == (tmp_path / "b" / file).read_bytes()


def test_results_of_schema_1_are_reported(tmp_path: Path) -> None:
    line = write_results(
        tmp_path / "new",
        methods=TWO,
        datasets=["d"],
        models=["m"],
        lengths={1: 1},
        with_details=False,
    )[0]
    kept = {
        *("method", "variant", "model", "dataset", "num_edits", "sequence", "seed"),
        *("config_hash", "status", "final_reliability", "final_generality", "final_locality"),
    }
    data = {k: v for k, v in dataclasses.asdict(line).items() if k in kept} | {"schema": 1}
    (tmp_path / "results.jsonl").write_text(json.dumps(data) + "\n", encoding="utf-8")
    page = Page(write_report(tmp_path).read_text(encoding="utf-8"))
    assert "there is nothing to compare" in page.text
    assert "These results have no forgetting curves." in page.text
    assert page.table("Scores after the last edit: d, m").cells("DAFNET")[0].text == (
        f"{line.final_reliability:.3f}"
    )


def test_a_study_in_which_all_failed_is_reported(tmp_path: Path) -> None:
    line = write_results(
        tmp_path / "new", methods=TWO, datasets=["d"], models=["m"], lengths={10: 1}
    )[0]
    failed = dataclasses.replace(line, status="failed", error="OSError: gone", forgetting=[])
    append_result(tmp_path / "results.jsonl", failed)
    page = Page(write_report(tmp_path).read_text(encoding="utf-8"))
    assert "there is nothing to compare" in page.text
    cell = page.table("Scores after the last edit: d, m").cells("DAFNET")[0]
    assert cell.text == "failed" and cell.attributes["title"] == "OSError: gone"


def test_without_matplotlib_the_error_names_the_extra(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    find = importlib.util.find_spec
    monkeypatch.setattr(
        importlib.util, "find_spec", lambda name: None if name == "matplotlib" else find(name)
    )
    with pytest.raises(DataError, match=r"needs matplotlib.*dafnet-plugin\[report\]"):
        write_report(tmp_path)


def test_without_results_nothing_is_written(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no results"):
        write_report(tmp_path)
    assert not (tmp_path / "report").exists()
