"""Series of the plots, their styles, and what becomes of matplotlib's SVG."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from benchmarks.report.build import read_study
from benchmarks.report.capacity import capacity
from benchmarks.report.figures import before_after, cost, curve, forgetting, scores, trade_off
from benchmarks.report.model import Group, Section, Study
from benchmarks.report.plots import panel_svg
from benchmarks.report.style import Style, inline_colours, styles
from benchmarks.report.svg import inline
from benchmarks.results import Result


@pytest.fixture(scope="module")
def looks(study: Study) -> dict[str, Style]:
    return styles(study.entries)


@pytest.fixture(scope="module")
def section(study: Study) -> Section:
    return next(s for s in study.sections if s.title == "pararel, tiny-llama")


def line(sequence: int, points: list[dict[str, float | None]]) -> Result:
    return Result(
        *("FT", "", "m", "d", 10, sequence, 0, "0", "ok"), final_reliability=1.0, forgetting=points
    )


def test_forgetting_weighs_sequences_by_their_edits() -> None:
    lines = (
        line(0, [{"followed": 0, "edits": 1, "reliability": 1.0, "generality": None}]),
        line(1, [{"followed": 0, "edits": 3, "reliability": 0.0, "generality": 0.5}]),
    )
    found = curve(Group("FT", 10, expected=2, results=lines))
    assert found == {0: {"edits": 4, "reliability": 0.25, "generality": 0.5, "locality": None}}


def test_a_failed_cell_is_a_gap_not_a_zero(section: Section, looks: dict[str, Style]) -> None:
    figure = scores(section, looks)
    mend = next(s for s in figure.panels[3].series if s.style.label == "MEND")
    assert mend.y[2] is None and None not in mend.y[:2]
    assert figure.failed == ("MEND at 100",) and not figure.not_run
    assert all(
        series.style.label != "MEND" for series in forgetting(section, looks, 100).panels[0].series
    )


def test_pairs_go_from_right_after_to_the_end(section: Section, looks: dict[str, Style]) -> None:
    panel = before_after(section, looks).panels[-1]
    assert panel.title == "1,000 edits"
    memit = next(series for series in panel.series if series.style.label == "MEMIT")
    group = section.groups["MEMIT", 1000]
    assert memit.x == (group.score("average", "immediate").value, group.score("average").value)
    assert [series.x[1] for series in panel.series] == sorted(s.x[1] for s in panel.series)


def test_trade_off_and_cost(section: Section, looks: dict[str, Style]) -> None:
    group = section.groups["FT", 10]
    point = next(s for s in trade_off(section, looks).panels[1].series if s.style.label == "FT")
    learnt = (group.score("reliability").value + group.score("generality").value) / 2
    assert point.x == (group.score("locality").value,) and point.y == pytest.approx((learnt,))
    time = next(s for s in cost(section, looks).panels[0].series if s.style.label == "FT")
    assert time.x == section.lengths and time.y[1] == pytest.approx(group.mean("seconds_per_edit"))


def test_capacity_is_against_edits_per_dimension(small_dir: Path, study: Study) -> None:
    assert capacity(study) == []
    (figure,) = capacity(read_study(small_dir))
    assert [panel.title for panel in figure.panels] == ["DAFNET", "MEMIT"]
    series = figure.panels[0].series
    assert [one.style.label for one in series] == [
        *("384 dimensions", "768 dimensions", "1,536 dimensions")
    ]
    assert series[0].x == (1 / 384, 50 / 384)


def test_methods_look_different_and_the_same_everywhere(looks: dict[str, Style]) -> None:
    seen = [(s.colour, s.marker, s.filled, s.dashes) for s in looks.values()]
    assert len(set(seen)) == len(seen)
    assert [style.label for style in looks.values() if style.focus] == ["DAFNET"]
    assert looks["SERAC"].colour == looks["SERAC-as-is"].colour
    many = styles({f"M{n}": (f"M{n}", "") for n in range(40)})
    assert len({(s.colour, s.marker) for s in many.values()}) == 40


@pytest.mark.parametrize("place", [0, 1])
def test_colours_stand_out_from_the_ground(looks: dict[str, Style], place: int) -> None:
    """At least 3:1, as WCAG asks of graphics."""

    def luminance(colour: str) -> float:
        parts = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
        linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in parts]
        return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]

    ground = luminance(("#ffffff", "#14181d")[place])
    for style in styles(
        {f"M{n}": (f"M{n}", "") for n in range(8)} | {"DAFNET": ("DAFNET", "")}
    ).values():
        own = luminance((style.colour, style.dark)[place])
        assert (max(own, ground) + 0.05) / (min(own, ground) + 0.05) >= 3


def test_svg_keeps_its_text_and_takes_the_colours_of_the_page(
    section: Section, looks: dict[str, Style]
) -> None:
    panel = cost(section, looks).panels[0]
    keys = {style.key: style for style in looks.values()}
    text = inline(panel_svg(panel), "cost", 'a "summary"', keys, inline_colours())
    words = re.findall(r"<text[^>]*>([^<]*)</text>", text)
    assert {"0.01", "1,000", "seconds per edit", "Time"} <= set(words)
    assert 'aria-label="a &quot;summary&quot;"' in text
    assert "<title>DAFNET</title>" in text and f'class="m {looks["DAFNET"].key}"' in text
    assert not re.search(r"#[0-9a-f]{6}", text)
    ids = re.findall(r' id="([^"]*)"', text)
    assert ids and all(name.startswith("cost-") for name in ids)
    used = re.findall(r'(?:url\(|href=")#([^")]*)', text)
    assert set(used) == set(ids)
