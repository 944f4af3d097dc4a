"""Lines of workers reach results.jsonl once, whoever dies when."""

from __future__ import annotations

import dataclasses
import json
from dataclasses import replace
from pathlib import Path

from benchmarks.collect import RESULTS, Collector
from benchmarks.jobs import job_files
from benchmarks.results import append_result, read_results
from tests.benchmarks.test_results import RESULT

LINES = [replace(RESULT, sequence=number) for number in range(3)]


def test_whole_lines_are_taken_as_they_appear(tmp_path: Path) -> None:
    files, collector = job_files(tmp_path, "cell", "world/FT"), Collector(tmp_path)
    assert collector.take_new(files) == []
    append_result(files.lines, LINES[0])
    part = json.dumps(dataclasses.asdict(LINES[1])) + "\n"
    with open(files.lines, "a") as file:
        file.write(part[:100])
    assert collector.take_new(files) == LINES[:1]
    with open(files.lines, "a") as file:
        file.write(part[100:])
    assert collector.take_new(files) == LINES[1:2]
    assert collector.finish(files) == [] and not files.lines.exists()
    assert read_results(tmp_path / RESULTS) == LINES[:2]


def test_what_a_killed_driver_left_is_taken_once(tmp_path: Path) -> None:
    files = job_files(tmp_path, "cell", "world/FT")
    for line in LINES:
        append_result(files.lines, line)
    with open(files.lines, "a") as file:
        file.write('{"method": "F')  # the worker was killed, too
    append_result(tmp_path / RESULTS, LINES[0])  # so far the driver had come
    collector = Collector(tmp_path)
    collector.take_leftovers(tmp_path / "jobs")
    text = (tmp_path / RESULTS).read_text()
    assert [r.sequence for r in read_results(tmp_path / RESULTS)] == [0, 1, 2]
    assert len(text.splitlines()) == 3
    Collector(tmp_path).take_leftovers(tmp_path / "jobs")
    assert (tmp_path / RESULTS).read_text() == text


def test_what_counts_as_done(tmp_path: Path) -> None:
    collector = Collector(tmp_path)
    collector.add(LINES[0])
    collector.add(replace(LINES[1], status="failed", error="x"))
    assert collector.done(LINES[0]) and not collector.done(LINES[1])
    assert collector.done(LINES[1], ("ok", "failed"))
    assert not collector.done(replace(LINES[0], config_hash="another"))
    assert not collector.done(LINES[2])
