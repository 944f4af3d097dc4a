"""The page: its numbers are those of the results, and nothing in it is markup by accident."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from benchmarks.report.build import read_study
from benchmarks.report.model import SCORES, Study
from benchmarks.report.view import DASH, MINUS, NONE
from tests.benchmarks.report.parsing import Page, ParsedCell
from tests.benchmarks.report.synthetic import MARKUP


@pytest.fixture(scope="module")
def page(report: Path) -> Page:
    return Page(report.read_text(encoding="utf-8"))


@pytest.fixture(scope="module")
def small(small_dir: Path) -> Study:
    return read_study(small_dir)


def spread(cells: list[ParsedCell]) -> list[ParsedCell]:
    """Cells by column, those over several repeated."""
    return [cell for cell in cells for _ in range(cell.span)]


def test_numbers_and_bold_are_those_of_the_results(page: Page, small: Study) -> None:
    for section in small.sections:
        table = page.table(f"Scores after the last edit: {section.title}")
        columns = [(n, name) for n in section.lengths for name in SCORES]
        for label in section.labels:
            cells = spread(table.cells(label))
            assert len(cells) == len(columns)
            for cell, (n, name) in zip(cells, columns):
                score = section.groups[label, n].score(name)
                if score is None:
                    assert cell.text in ("failed", "not run")
                    continue
                verdict = section.verdicts[n, name]
                assert cell.text == f"{score.value:.3f}"
                assert (cell.bold == cell.text) == (label in verdict.best)
                assert ("close" in cell.classes) == verdict.close(label)
                low, high = (f"{end:.3f}".removeprefix("0") for end in (score.low, score.high))
                assert f"{low}{DASH}{high}" in cell.small


def test_failed_and_missing_are_shown_as_such(page: Page) -> None:
    failed = page.table("Scores after the last edit: ripple, tiny-llama").cells("MEND")
    cell = next(cell for cell in failed if cell.span == 4)
    assert cell.text == "failed" and cell.small.startswith("1 of 2 failed")
    assert cell.attributes["title"] == "RuntimeError: <made up> & failed"
    missing = page.table("Scores after the last edit: ripple, tiny-gpt2").cells("FT")
    assert [c.text for c in missing if c.span == 4] == ["not run"]
    listed = page.table("Failed and missing cells")
    assert {row[0].text for row in listed.rows[1:]} == {"MEND", "FT"}
    assert "Failed: MEND at 10" in page.text
    assert "Not run: FT at 50" in page.text


def test_targets_of_the_config_stand_beside_what_was_reached(page: Page) -> None:
    table = page.table("Final averages that this benchmark sets out to reach")
    assert [row[0].text for row in table.rows[1:]] == [
        *(f"DAFNET, ripple, tiny-{family}" for family in ("gpt2", "llama")),
        *(f"X, ripple, tiny-{family}" for family in ("gpt2", "llama")),
    ]
    first, none, last = table.cells("DAFNET, ripple, tiny-gpt2")
    assert "failed" not in first.classes and "failed" in last.classes and none.text == NONE
    assert "reached: at least 0.000" in page.text and "missed: at least 1.000" in page.text
    assert "not measured" in table.cells("X, ripple, tiny-gpt2")[1].text


def test_text_of_models_is_never_markup(page: Page, report: Path) -> None:
    assert MARKUP in page.text
    assert not [tag for tag, _ in page.tags if tag == "script"]
    assert "alert(1)</script>" not in report.read_text(encoding="utf-8")


def test_nothing_is_fetched(page: Page, report: Path) -> None:
    assert page.links
    assert all(link.startswith("#") for link in page.links)
    text = report.read_text(encoding="utf-8")
    assert "://" not in text and "@import" not in text
    assert all(target.startswith("#") for target in re.findall(r"url\(([^)]*)\)", text))


def test_links_lead_somewhere_and_ids_are_unique(page: Page) -> None:
    assert len(page.ids) == len(set(page.ids))
    assert {link[1:] for link in page.links} <= set(page.ids)
    labelled = {a["aria-labelledby"] for _, a in page.tags if "aria-labelledby" in a}
    assert labelled <= set(page.ids)


def test_tables_and_plots_can_be_read_aloud(page: Page) -> None:
    for table in page.tables:
        assert table.caption
        heads = [cell for row in table.rows for cell in row if cell.tag == "th"]
        assert heads and all("scope" in cell.attributes for cell in heads)
    plots = [a for tag, a in page.tags if tag == "svg" and a.get("class") == "plot"]
    assert plots and all(a["role"] == "img" and a["aria-label"] for a in plots)
    assert all(a.get("tabindex") == "0" for _, a in page.tags if a.get("class") == "scroll")


def test_summary_names_the_best_everywhere(page: Page, small: Study) -> None:
    table = page.table("Best final average, and who reaches it")
    for section in small.sections:
        for cell, n in zip(table.cells(section.title), small.lengths):
            verdict = section.verdicts.get((n, "average"))
            if verdict is None:
                assert cell.text == NONE
                continue
            best = section.groups[verdict.best[0], n].score("average").value
            assert cell.text == f"{', '.join(verdict.best)} {best:.3f}"
            assert cell.small.startswith("clear") == verdict.clear


def test_criteria_side_effects_and_variants(page: Page, small: Study) -> None:
    section = small.sections[0]
    criteria = page.table("Portability by criterion, after the last edit: ripple, tiny-gpt2")
    result = section.groups["DAFNET", 50].results[0]
    cells = criteria.cells("DAFNET")
    assert cells[0].text == f"{result.final_portability:.3f}"
    assert cells[3].text == f"{result.criteria['Subject_Aliasing']['final']:.3f}"
    assert cells[3].attributes["title"].endswith("48 cases, 25 tests excluded")
    assert criteria.cells("unedited model")[3].small == "48 cases, 25 excl."
    effects = page.table("The model otherwise, after the last edit: ripple, tiny-gpt2")
    assert float(effects.cells("MEMIT")[1].text) == pytest.approx(
        section.groups["MEMIT", 50].results[0].kl, rel=5e-3
    )
    variants = page.table("Variants of one method, final average: ripple, tiny-gpt2")
    change = section.changes["SERAC-as-is", 50]["average"]
    assert (
        f"{change.difference:+.3f}".replace("-", MINUS) in variants.cells("SERAC-as-is")[-1].small
    )
    assert "SERAC, if not as-is: " in page.text


def test_consistency_is_shown_where_it_was_measured(page: Page, small: Study) -> None:
    section = small.sections[0]
    table = page.table("Factual consistency, after the last edit: ripple, tiny-gpt2")
    heads = [(cell.text, cell.span) for cell in table.rows[0][1:]]
    assert heads == [
        ("by log-likelihood", 2),
        ("by mutual information", 2),
        ("new object named", 2),
    ]
    group = section.groups["MEMIT", 50]
    fields = [
        f"{name}_after"
        for name in (
            *("consistency_edited", "consistency_untouched", "consistency_pmi_edited"),
            *("consistency_pmi_untouched", "agreement_greedy", "agreement_sampled"),
        )
    ]
    for cell, name in zip(table.cells("MEMIT"), fields, strict=True):
        assert float(cell.text) == pytest.approx(group.mean(name), abs=6e-4)
    before = [cell.text for cell in table.cells("unedited model")]
    assert before == ["0.500", "0.900", "0.600", "0.900", "0", "0.0100"]
    assert [cell.text for cell in table.cells("FT") if cell.span == 6] == ["not run"]
    shorter = page.table(
        "Factual consistency, after the last edit: ripple, tiny-llama, shorter sequences"
    )
    assert next(c for c in shorter.cells("MEND") if c.span == 6).text == "failed"
    swaps = page.table("Consistency by what is exchanged, edited facts: ripple, tiny-gpt2")
    assert [cell.text for cell in swaps.rows[1]] == ["entity", "number"] * 2
    learnt = group.results[0].consistency_swaps["entity"]["after"]
    assert [cell.text for cell in swaps.cells("MEMIT")] == [
        *[f"{learnt:.3f}"] * 2,
        *[f"{1 - learnt / 2:.3f}"] * 2,
    ]
    assert swaps.cells("MEMIT")[0].attributes["title"] == "6 pairs"
    assert [c.text for c in swaps.cells("unedited model")] == ["0.500", "0.500", "0.600", "0.600"]
    others = [section.title for section in small.sections if section.dataset != "ripple"]
    assert others
    assert not [t for t in others if f"Factual consistency, after the last edit: {t}" in page.text]


def test_provenance_leads_to_the_run(page: Page) -> None:
    row = page.table("Where these numbers come from: ripple, tiny-gpt2").cells("DAFNET")
    run = row[4].text
    runs = page.table("Runs: commands, versions and machines").cells(run)
    assert runs[0].text == "python -m benchmarks run made-up/ripple.yaml"
    assert runs[1].text == "0123456789ab" and "cpus 2" in runs[3].text
    assert re.fullmatch("[0-9a-f]{16}", row[1].text) and row[0].text == "0"


def test_examples_say_before_right_after_and_at_the_end(page: Page) -> None:
    text = " ".join(page.text.split())
    assert "Arno Vell was born in Lisbon before any edit: Prague, where" in text
    assert "Case ripple-0-1" in text
