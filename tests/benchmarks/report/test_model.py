"""Groups, verdicts and variants of a study."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest

from benchmarks.report.build import build_section, read_study, variants
from benchmarks.report.model import Section, Study, slug
from benchmarks.report.summary import ahead_table, headlines
from benchmarks.report.view import NONE, absent, number_text
from benchmarks.results import Result, append_result, read_results
from dafnet_plugin.errors import DataError
from tests.benchmarks.report.synthetic import write_results


def section(study: Study, title: str) -> Section:
    return next(section for section in study.sections if section.title == title)


def results(**values: dict[str, list[float]]) -> list[Result]:
    """One line for each method and value of its final scores, all three the same."""
    return [
        Result(
            method=method,
            variant="",
            model="m",
            dataset="d",
            num_edits=10,
            sequence=sequence,
            seed=0,
            config_hash="0",
            status="ok",
            final_reliability=value,
            final_generality=value,
            final_locality=value,
        )
        for method, scores in values.items()
        for sequence, value in enumerate(scores)
    ]


def test_means_are_those_of_the_lines(study: Study, results_dir: Path) -> None:
    lines = read_results(results_dir / "results.jsonl")
    assert len(study.sections) == 4
    for one in study.sections:
        for label in one.labels:
            for n in one.lengths:
                group = one.groups[label, n]
                mine = [
                    r
                    for r in lines
                    if (r.dataset, r.model, r.label, r.num_edits)
                    == (one.dataset, one.model, label, n)
                ]
                assert list(group.results) == mine
                if not group.shown:
                    continue
                for name in ("reliability", "generality", "locality", "average"):
                    attribute = name if name == "average" else f"final_{name}"
                    mean = sum(getattr(r, attribute) for r in mine) / len(mine)
                    assert group.score(name).value == pytest.approx(mean)


def test_failed_and_missing_cells_have_no_mean(study: Study) -> None:
    failed = section(study, "pararel, tiny-llama").groups["MEND", 100]
    assert failed.status == "failed" and len(failed.failed) == 1 and len(failed.ok) == 1
    assert failed.score("average") is None and failed.mean("kl") is None
    missing = section(study, "ripple, tiny-gpt2").groups["FT", 1000]
    assert missing.status == "missing" and missing.score("average") is None
    assert absent(missing).text == "not run" and absent(failed).text == "failed"


def test_the_best_is_the_highest_mean_of_those_shown(study: Study) -> None:
    for one in study.sections:
        for n in one.lengths:
            for name in ("reliability", "generality", "locality", "average"):
                shown = {
                    label: score.value
                    for label in one.labels
                    if (score := one.groups[label, n].score(name))
                }
                top = max(shown.values())
                expected = {label for label, v in shown.items() if round(v, 3) == round(top, 3)}
                verdict = one.verdicts[n, name]
                assert set(verdict.best) == expected
                assert verdict.comparisons.keys() == shown.keys() - expected


def test_ties_are_all_best_and_none_is_clear(tmp_path: Path) -> None:
    lines = results(A=[0.8, 0.8001], B=[0.8001, 0.8002], C=[0.1, 0.1])
    verdict = build_section(lines, tmp_path).verdicts[10, "average"]
    assert set(verdict.best) == {"A", "B"}
    assert not verdict.clear and not verdict.close("C")


def test_a_difference_within_the_interval_is_close(tmp_path: Path) -> None:
    first, second = [0.9, 0.5, 0.7, 0.9] * 3, [0.5, 0.9, 0.9, 0.6] * 3
    verdict = build_section(results(A=first, B=second, C=[0.1] * 12), tmp_path).verdicts[
        10, "average"
    ]
    assert verdict.best == ("A",)
    assert verdict.close("B") and not verdict.close("C") and not verdict.clear
    alone = build_section(results(A=first, C=[0.1] * 12), tmp_path).verdicts[10, "average"]
    assert alone.clear


def test_one_sequence_without_details_is_neither_close_nor_clear(tmp_path: Path) -> None:
    verdict = build_section(results(A=[0.9], B=[0.1]), tmp_path).verdicts[10, "average"]
    assert verdict.best == ("A",) and not verdict.clear and not verdict.close("B")


def test_fewer_sequences_than_others_are_partial_and_may_still_be_best(tmp_path: Path) -> None:
    one = build_section(results(A=[0.9, 0.9], B=[0.95]), tmp_path)
    assert one.groups["B", 10].status == "partial" and one.groups["A", 10].status == "ok"
    assert one.verdicts[10, "average"].best == ("B",)


def test_methods_with_all_lengths_come_first(study: Study) -> None:
    assert section(study, "pararel, tiny-llama").labels[-1] == "MEND"
    assert section(study, "ripple, tiny-gpt2").labels[-1] == "FT"
    assert section(study, "pararel, tiny-gpt2").labels[0] == "DAFNET"


def test_variants_are_compared_with_the_one_without_a_name(study: Study) -> None:
    one = section(study, "pararel, tiny-gpt2")
    assert sorted(variants(one.results)) == [["DAFNET", "DAFNET-paper"], ["SERAC", "SERAC-as-is"]]
    change = one.changes["SERAC-as-is", 100]["average"]
    groups = [one.groups[label, 100] for label in ("SERAC-as-is", "SERAC")]
    expected = groups[0].score("average").value - groups[1].score("average").value
    assert change.difference == pytest.approx(expected) and change.clear


def test_details_of_an_older_line_are_not_used(tmp_path: Path) -> None:
    lines = write_results(tmp_path, datasets=["d"], models=["m"], lengths={10: 1}, failing=None)
    group = read_study(tmp_path).sections[0].groups["FT", 10]
    assert group.examples and group.score("average").low is not None
    line = next(line for line in lines if line.label == "FT")
    append_result(tmp_path / "results.jsonl", dataclasses.replace(line, config_hash="newer"))
    group = read_study(tmp_path).sections[0].groups["FT", 10]
    assert not group.examples and group.score("average").low is None


def test_no_results_is_an_error_that_names_the_file(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"results\.jsonl: no results"):
        read_study(tmp_path)


def test_slugs_are_safe_in_file_names() -> None:
    assert slug("a/b c: <d>") == "a-b-c-d"
    assert slug("../..") == "x"


@pytest.mark.parametrize(
    ("value", "text"),
    [(None, NONE), (0, "0"), (0.4, "0.400"), (1234.5, "1,234"), (0.00001, "1.0e-05"), (123, "123")],
)
def test_numbers_have_so_many_digits(value: float | None, text: str) -> None:
    assert number_text(value, 3) == text


def headline(folder: Path, *lines: Result) -> list[str]:
    for line in lines:
        append_result(folder / "results.jsonl", line)
    return headlines(read_study(folder))


def test_headlines_say_who_is_best_and_where_the_focus_stands(tmp_path: Path) -> None:
    high, low = [0.9, 0.8, 0.85, 0.85] * 3, [0.2, 0.1, 0.3, 0.2] * 3
    first = results(DAFNET=high, B=low)
    second = [dataclasses.replace(r, dataset="e") for r in results(DAFNET=low, B=high)]
    third = [dataclasses.replace(r, dataset="f") for r in results(DAFNET=high)]
    said = headline(tmp_path, *first, *second, *third)
    assert said[0].startswith("B has the best final average in 1 of 2 columns (")
    assert said[0].endswith(
        "in 1 of them beyond the 95 % interval of its difference from every other method."
    )
    assert (
        said[1]
        == "Also best: DAFNET in 1; beyond the interval: DAFNET in 1. A tie counts for each."
    )
    assert said[2] == "DAFNET: best in 1, behind the best in 1."
    table = ahead_table(read_study(tmp_path))
    assert [row.head for row in table.bodies[0].rows] == ["e, m"]
    assert [cell.text for cell in table.bodies[0].rows[0].cells][1:4] == ["B", "0.850", "0.200"]


def test_a_failed_focus_is_said_to_have_failed(tmp_path: Path) -> None:
    lines = results(DAFNET=[0.9], B=[0.5], C=[0.4])
    said = headline(tmp_path, dataclasses.replace(lines[0], status="failed"), *lines[1:])
    assert said[-1] == "DAFNET: failed or not run in 1."
