"""Lines of results, and the table of them."""

from __future__ import annotations

import gzip
import io
import json
from dataclasses import replace
from pathlib import Path

import pytest
from rich.console import Console

from benchmarks.results import Result, append_result, read_results
from benchmarks.table import failures, results_table
from dafnet_plugin.errors import DataError

RESULT = Result(
    method="FT",
    variant="",
    model="tiny-gpt2",
    dataset="tinyworld",
    num_edits=10,
    sequence=0,
    seed=0,
    config_hash="0123",
    status="ok",
    immediate_reliability=1.0,
    immediate_generality=0.5,
    immediate_locality=0.75,
    final_reliability=0.8,
    final_generality=0.4,
    final_locality=0.6,
    retention=0.8,
    seconds_per_edit=0.25,
    versions={"torch": "2"},
    machine={"cpus": 2},
    command="python -m benchmarks run x.yaml",
    time="2026-01-01T00:00:00+00:00",
)
FAILED = replace(
    RESULT, sequence=1, status="failed", error="ValueError: no", final_reliability=None
)


def rendered(results: list[Result]) -> str:
    file = io.StringIO()
    Console(width=80, file=file, force_terminal=True, color_system="standard").print(
        results_table(results)
    )
    return file.getvalue()


def test_lines_come_back_and_the_newest_counts(tmp_path: Path) -> None:
    path = tmp_path / "results.jsonl"
    assert read_results(path) == []
    for result in (RESULT, FAILED, replace(FAILED, status="ok", error=None)):
        append_result(path, result)
    assert read_results(path) == [RESULT, replace(FAILED, status="ok", error=None)]
    assert len(path.read_text().splitlines()) == 3


def test_packed_results_are_read_where_there_are_no_others(tmp_path: Path) -> None:
    path = tmp_path / "results.jsonl"
    append_result(path, RESULT)
    packed = path.with_name("results.jsonl.gz")
    packed.write_bytes(gzip.compress(path.read_bytes()))
    append_result(path, replace(RESULT, sequence=1))
    assert [r.sequence for r in read_results(path)] == [0, 1]
    path.unlink()
    assert read_results(path) == [RESULT]


def test_a_part_line_is_dropped(tmp_path: Path) -> None:
    path = tmp_path / "results.jsonl"
    append_result(path, RESULT)
    with open(path, "a") as file:
        file.write('{"method": "FT", "var')
    assert read_results(path) == [RESULT]
    append_result(path, FAILED)
    assert read_results(path) == [RESULT, FAILED]


def test_fields_of_later_versions_are_left_out(tmp_path: Path) -> None:
    path = tmp_path / "results.jsonl"
    append_result(path, RESULT)
    data = json.loads(path.read_text()) | {"portability": 0.5}
    path.write_text(json.dumps(data) + "\n")
    assert read_results(path) == [RESULT]


def test_lines_from_before_consistency_was_measured_have_none(tmp_path: Path) -> None:
    path = tmp_path / "results.jsonl"
    new = replace(RESULT, sequence=1, consistency_edited_after=0.5, agreement_greedy_after=1.0)
    new = replace(new, consistency_swaps={"entity": {"pairs": 2, "after": 0.5}})
    for result in (RESULT, new):
        append_result(path, result)
    old, line = path.read_text().splitlines()
    named = {name: value for name, value in json.loads(old).items() if "consistency" in name}
    assert len(named) == 9 and set(named.values()) == {None}
    kept = {k: v for k, v in json.loads(old).items() if k not in named and "agreement" not in k}
    path.write_text(f"{json.dumps(kept)}\n{line}\n")
    assert read_results(path) == [RESULT, new]


@pytest.mark.parametrize("line", ["nonsense", "{}", "[1]", '{"schema": 99}', '{"schema": 1}'])
def test_other_lines_are_named(tmp_path: Path, line: str) -> None:
    path = tmp_path / "results.jsonl"
    append_result(path, RESULT)
    with open(path, "a") as file:
        file.write(line + "\n")
    with pytest.raises(DataError, match=r"results\.jsonl: line 2"):
        read_results(path)


def test_table_shows_means_and_the_best_in_bold() -> None:
    better = replace(RESULT, method="ROME", final_reliability=1.0)
    text = rendered([RESULT, replace(RESULT, sequence=1, final_reliability=0.6), better])
    assert "10 x 2" in text
    assert "1.00 0.50 0.75" in text and "0.70 0.40 0.60" in text  # means of two sequences
    assert "0.567" in text and "\x1b[1m0.667\x1b[0m" in text


def test_a_failed_cell_is_shown_as_failed_and_is_no_zero() -> None:
    other = replace(RESULT, method="ROME")
    text = rendered([RESULT, FAILED, other])
    row = next(line for line in text.splitlines() if "FT" in line)
    assert "failed" in row and "0.00" not in row
    assert "0.600" in next(line for line in text.splitlines() if "ROME" in line)
    assert failures([RESULT, FAILED, other]) == ["FT: ValueError: no"]


def test_scores_that_do_not_exist_are_no_zero_either() -> None:
    nothing = replace(RESULT, immediate_generality=None, final_generality=None)
    row = next(line for line in rendered([nothing]).splitlines() if "FT" in line)
    assert "1.00 -    0.75" in row and "0.700" in row
