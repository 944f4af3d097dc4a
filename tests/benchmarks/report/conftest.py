"""A made-up study, read and reported once for all tests of this folder."""

from __future__ import annotations

import functools
from collections.abc import Iterator
from pathlib import Path

import pytest

from benchmarks.intervals import compare, field_interval, intervals
from benchmarks.manifest import MANIFEST
from benchmarks.report import build, cost_tables, tidy, write_report
from benchmarks.report.model import Study
from dafnet_plugin.files import write_json
from tests.benchmarks.report.synthetic import METHODS, write_results

WIDTHS = ("tiny-gpt2-inner384", "tiny-gpt2-inner768", "tiny-gpt2-inner1536")


@pytest.fixture(scope="session", autouse=True)
def few_resamples() -> Iterator[None]:
    """Bootstraps that are short: no test here is about their ends."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(build, "intervals", functools.partial(intervals, resamples=200))
        patch.setattr(build, "compare", functools.partial(compare, resamples=200))
        for module in (cost_tables, tidy):
            short = functools.partial(field_interval, resamples=50)
            patch.setattr(module, "field_interval", short)
        yield


@pytest.fixture(scope="session")
def results_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """8 methods x 2 data sets x 2 base models x 4 lengths; one cell failed, one missing."""
    folder = tmp_path_factory.mktemp("study")
    write_results(folder, lengths={1: 4, 10: 3, 100: 2, 1000: 1})
    return folder


@pytest.fixture(scope="session")
def study(results_dir: Path) -> Study:
    return build.read_study(results_dir)


@pytest.fixture(scope="session")
def small_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two sections of all methods, one with a failure, and three widths of two methods."""
    folder = tmp_path_factory.mktemp("small")
    lengths = {1: 3, 10: 2, 50: 1}
    failing = ("ripple", "tiny-llama", "MEND", 10)
    missing = ("ripple", "tiny-gpt2", "FT", 50)
    write_results(folder, datasets=["ripple"], lengths=lengths, failing=failing, missing=missing)
    two = {entry: METHODS[entry] for entry in (("DAFNET", ""), ("MEMIT", ""))}
    write_results(folder, methods=two, datasets=["pararel"], models=WIDTHS, lengths={1: 2, 50: 2})
    wanted = {
        "DAFNET": {"ripple": {1: 0.0, 50: 1.0}, "nowhere": {1: 0.5}},
        "X": {"ripple": {10: 0.5}},
    }
    write_json(folder / MANIFEST, {"config": {"targets": wanted}, "lines": []})
    return folder


@pytest.fixture(scope="session")
def report(small_dir: Path) -> Path:
    """Path of the page."""
    return write_report(small_dir)
