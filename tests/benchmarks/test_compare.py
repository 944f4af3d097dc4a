"""Two folders of results, pair by pair."""

from __future__ import annotations

import io
from dataclasses import replace
from pathlib import Path

import pytest
from rich.console import Console

from benchmarks.compare import compare_folders, compare_tables
from benchmarks.results import append_result
from dafnet_plugin.errors import DataError
from tests.benchmarks.test_results import RESULT


def folder(path: Path, *results: object) -> Path:
    for result in results:
        append_result(path / "results.jsonl", result)  # type: ignore[arg-type]
    return path


def test_the_same_sequences_are_paired(tmp_path: Path) -> None:
    lines = [replace(RESULT, sequence=number) for number in range(4)]
    better = [
        replace(line, final_reliability=value, config_hash="4567")
        for line, value in zip(lines, (1.0, 0.9, 0.95), strict=False)
    ]
    first = folder(tmp_path / "a", *lines, replace(RESULT, method="ROME"))
    second = folder(
        tmp_path / "b",
        *better,
        replace(lines[3], status="failed", error="x", config_hash="4567"),
        replace(RESULT, method="ROME", sequence=7),
    )
    ft, rome = compare_folders(first, second)
    assert (ft.label, ft.num_edits, ft.common, ft.failed, ft.same_hash) == ("FT", 10, 4, 1, 0)
    found = ft.scores["average"]
    assert found.second == pytest.approx(0.6) and found.first == pytest.approx(0.65)
    assert found.clear
    assert (rome.label, rome.common, rome.first, rome.second, rome.scores) == ("ROME", 0, 1, 1, {})

    file = io.StringIO()
    Console(width=80, file=file).print(*compare_tables([ft, rome]))
    row = next(line for line in file.getvalue().splitlines() if "FT" in line)
    assert "0.600" in row and "0.650" in row and "+0.050 [+0.0" in row
    assert "4 (1 failed)" in row
    row = next(line for line in file.getvalue().splitlines() if "ROME" in line)
    assert "0 -1 +1" in row
    (same,) = compare_folders(first, first)[:1]
    file = io.StringIO()
    Console(width=80, file=file).print(*compare_tables([same]))
    assert "4=" in file.getvalue() and "+0.000" in file.getvalue()


def test_nothing_to_compare_is_said(tmp_path: Path) -> None:
    first = folder(tmp_path / "a", RESULT)
    with pytest.raises(DataError, match=r"b/results\.jsonl: no results"):
        compare_folders(first, tmp_path / "b")
    second = folder(tmp_path / "b", replace(RESULT, dataset="other"))
    with pytest.raises(DataError, match=r"have no sequence of edits in common"):
        compare_folders(first, second)
