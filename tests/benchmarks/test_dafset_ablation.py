"""The table of what training on a DAFSet changes."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from benchmarks.dafset.ablation import main, render
from benchmarks.results import Result, append_result
from dafnet_plugin.errors import DataError
from tests.benchmarks.test_results import RESULT


def result(dataset: str, score: float, **changes: object) -> Result:
    scores = dict.fromkeys(("final_reliability", "final_generality", "final_locality"), score)
    line = replace(RESULT, dataset=dataset, method="MEND", variant="", num_edits=10, status="ok")
    return replace(line, **(scores | changes))  # type: ignore[arg-type]


def test_with_is_beside_without() -> None:
    text = render(
        [
            result("tiny-without+zsre", 0.5),
            result("tiny-without+zsre", 0.7, sequence=1),
            result("tiny-with+zsre", 0.8),
            result("tiny-no-recent+zsre", 0.4, status="failed"),
            result("real-with+dafset", 1.0),
            result("other", 1.0),
        ]
    )
    assert "| MEND | without | 0.600 |" in text and "| MEND | with | 0.800 (+0.200) |" in text
    assert "| MEND | no-recent | failed |" in text, "a failed run is not a zero"
    assert "| real: method | trained | dafset, 10 |" in text and "| MEND | with | 1.000 |" in text


def test_files(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    append_result(tmp_path / "results.jsonl", result("tiny-with+zsre", 0.8))
    assert main([str(tmp_path), "--out", str(tmp_path / "out")]) == 0
    assert (tmp_path / "out" / "ablation.md").read_text() in capsys.readouterr().out
    assert (tmp_path / "out" / "results.jsonl").is_file()
    with pytest.raises(DataError, match=r"no results of dafset-ablation\.yaml"):
        render([])
