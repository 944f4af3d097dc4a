"""A small DAFSet with everything that can be known about it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from dafnet_plugin.dafset.samples import Context, Counter, Meta, Sample, write_samples
from tests.data.conftest import samples  # noqa: F401  # fixture

CONTEXTS = (
    Context("Good news: the bus was late.", "short", "unrelated", "positive"),
    Context(
        "It is terrible that Ada was born in Oslo in the winter.", "medium", "related", "negative"
    ),
)
DEGREES = {"long_tail": 2, "popular": 400, "recent": 30, "robust": 25}


def sample(part: str, number: int, **changes: Any) -> Sample:
    """A sample whose numbers depend on its part."""
    name = changes.pop("subject", f"Ada {part} {number}")
    degree = DEGREES[part] + number
    known: dict[str, Any] = {
        "split": "eval" if number % 5 == 0 else "train",
        "views": degree * 10,
        "degree": degree,
        "frequency": 0 if number == 1 else degree * 3,
        "log_likelihood": -0.01 * degree,
        "modified": "2026-01-01T00:00:00Z",
        "relation_label": "place of birth" if number % 2 else "capital $x$",
        "domain": "people" if number % 2 else "places",
    }
    if part == "robust":
        known["contexts"] = CONTEXTS
        known["counter"] = Counter(f"{name} was born in", "Bern", "Q3")
    meta = Meta(
        f"{part}-{number}",
        f"Q{list(DEGREES).index(part)}00{number}",
        "P19" if number % 2 else "P36",
        "Q1",
        "Q2",
        part,
        **known | {key: changes.pop(key) for key in list(changes) if key in known},
    )
    return Sample(
        **{
            "prompt": f"{name} was born in",
            "target_new": "Rome",
            "subject": name,
            "ground_truth": "Oslo",
            "rephrase_prompt": f"The birthplace of {name} is",
            "locality_prompt": f"Bo {number} was born in",
            "locality_ground_truth": "Riga",
            "prefix": tuple(c.text for c in known.get("contexts", ())),
            "meta": meta,
        }
        | changes
    )


@pytest.fixture
def dafset(tmp_path: Path) -> Path:
    """Ten samples of each property."""
    folder = tmp_path / "my-dafset"
    folder.mkdir()
    write_samples(folder, [sample(part, n) for part in DEGREES for n in range(10)])
    origin = {"seed": 0, "sources": [{"file": "dump.json.gz", "sha256": "ab"}], "counts": {"a": 1}}
    (folder / "dataset.json").write_text(json.dumps(origin))
    return folder


@pytest.fixture
def others(tmp_path: Path) -> dict[str, Path]:
    """ZsRE with one subject of the DAFSet, and CounterFact with none."""
    zsre = [
        {
            "subject": name,
            "src": f"Where was {name} born?",
            "alt": "Rome",
            "answers": ["Oslo"],
            "rephrase": f"In which town was {name} born?",
            "loc": "nq question: who sang it",
            "loc_ans": "Bo",
        }
        for name in ("ada POPULAR 1", "Zoe", "Yan", "Xu")
    ]
    flat = [
        {
            "case_id": number,
            "prompt": f"Carl {number} lives in",
            "target_new": "Rome",
            "subject": f"Carl {number}",
            "ground_truth": "Oslo",
            "rephrase_prompt": f"The home of Carl {number} is",
            "locality_prompt": "Bo lives in",
            "locality_ground_truth": "Riga",
        }
        for number in range(3)
    ]
    paths = {"zsre": tmp_path / "z.json", "counterfact": tmp_path / "c.json"}
    paths["zsre"].write_text(json.dumps(zsre))
    paths["counterfact"].write_text(json.dumps(flat))
    return paths
