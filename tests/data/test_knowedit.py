"""KnowEdit: ``wiki_recent`` and ``wiki_counterfact``, good and bad."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from dafnet_plugin.cases import Probe
from dafnet_plugin.data.knowedit import load_knowedit
from dafnet_plugin.errors import DataError

RECORD = {"subject": "Ada", "prompt": "Ada died in", "target_new": "Rome"}


def write(path: Path, value: Any) -> Path:
    path.write_text(json.dumps(value), encoding="utf-8")
    return path


def test_wiki_recent(samples: Path) -> None:
    first, second = load_knowedit(samples / "knowedit-recent.json")
    assert (first.request.subject, first.request.ground_truth) == ("Ada Brunel", None)
    # Several right answers, each with its names.
    assert first.portability["Logical_Generalization"] == (
        Probe("Is Ada Brunel still alive?", "no", ("incorrect", "is dead")),
    )
    assert first.portability["Subject_Aliasing"][0].aliases == ("Kral",)
    assert len(first.portability["Reasoning"]) == 1  # the other has no answer
    assert [probe.answer for probe in first.locality] == ["Emil Brunel", "female"]
    assert second.generality == (Probe("Osmark's head of state is", "Lino Varga"),)
    assert not second.portability


def test_wiki_counterfact(samples: Path) -> None:
    [case] = load_knowedit(samples / "knowedit-counterfact.json")
    assert case.request.ground_truth == "mayor of Osburg"
    # Both kinds of locality: relation specificity and forgetfulness.
    assert [probe.answer for probe in case.locality] == ["male", "mayor of Osburg"]
    assert set(case.portability) == {"Subject_Aliasing"}


def test_the_first_of_several_wordings_is_asked(tmp_path: Path) -> None:
    item = {"prompt": ["Her father is", "She is a child of"], "ground_truth": ["Emil", "E."]}
    [case] = load_knowedit(write(tmp_path / "k.json", [RECORD | {"locality": {"x": [item]}}]))
    assert case.locality == (Probe("Her father is", "Emil", ("E.",)),)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"target_new": ""}, "field 'target_new' is ''"),
        ({"prompt": None}, "field 'prompt' is None"),
        ({"portability": {"Reasoning": 3}}, "field 'portability.Reasoning': a list is needed"),
        ({"portability": {"Reasoning": ["x"]}}, "field 'portability.Reasoning': an object"),
        ({"locality": {"R": [{"ground_truth": "b"}]}}, "field 'prompt' is missing"),
        ({"locality": {"R": [{"prompt": "a"}]}}, "field 'ground_truth' is missing"),
        (
            {"locality": {"R": [{"prompt": "a", "ground_truth": [[5]]}]}},
            "field 'locality.R.ground_truth' is 5",
        ),
    ],
)
def test_bad_records_are_named_and_counted(
    tmp_path: Path, change: dict[str, Any], message: str
) -> None:
    path = write(tmp_path / "k.json", [RECORD, RECORD | change])
    with pytest.raises(DataError, match=rf"k\.json: record 1: .*{message}"):
        load_knowedit(path)
    cases = load_knowedit(path, skip_bad=True)
    assert [case.case_id for case in cases] == ["knowedit-0"]
    assert len(cases.problems) == 1 and message.split("'")[1] in cases.problems[0]
