"""Sequences of edits with real methods, for both versions of EasyEdit and both families."""

from __future__ import annotations

import dataclasses
import json
import math
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch

from benchmarks.editing import Bench
from benchmarks.results import CaseDetail, Example, Result
from dafnet_plugin.errors import EasyEditError
from tests.easyedit.conftest import RunPython, require_easyedit, run_python

__all__ = ["run_python"]  # a fixture
WORKER = Path(__file__).with_name("editing_worker.py")
METHODS = {
    ("wheel", "gpt2"): ["FT", "ROME"],
    ("git", "gpt2"): ["FT", "LoRA", "GRACE", "WISE"],
    ("git", "llama"): ["FT", "GRACE"],
}
MODULES_OF_THEIR_OWN = {"LoRA", "GRACE", "WISE"}
MEASURED_BY_TIME = {"seconds_per_edit", "seconds_growth", "memory_mb", "peak_memory_mb"}
CONSISTENCY = {
    item.name
    for item in dataclasses.fields(Result)
    if item.name.startswith(("consistency", "agreement"))
}
FROM_TEXT = ["perplexity", "unrelated", "fluency"]


@pytest.fixture(scope="module", params=METHODS, ids=str)
def report(
    request: pytest.FixtureRequest,
    tiny_models: dict[str, Path],
    tmp_path_factory: pytest.TempPathFactory,
    run_python: RunPython,
) -> dict[str, Any]:
    version, family = request.param
    require_easyedit(version)
    folder = tmp_path_factory.mktemp("editing")
    arguments = [
        str(WORKER),
        family,
        str(tiny_models[family]),
        str(folder),
        *METHODS[version, family],
    ]
    done = run_python(version, *arguments, cwd=folder, OMP_NUM_THREADS="1")
    assert done.returncode == 0, done.stderr[-4000:]
    found: dict[str, Any] = json.loads((folder / "report.json").read_text())
    return found


def test_base_weights_are_back_bit_by_bit_whatever_happened(report: dict[str, Any]) -> None:
    for method, found in report.items():
        names = ["few", "one", "others", "late", "again", "failed"]
        assert found["clean"] == dict.fromkeys(names, True), method
        assert found["edited"] or method in MODULES_OF_THEIR_OWN


def test_a_sequence_does_not_depend_on_those_before_it(report: dict[str, Any]) -> None:
    for method, found in report.items():
        first, again = (dict(found["runs"][name]["fields"]) for name in ("few", "again"))
        assert set(first) >= MEASURED_BY_TIME
        for fields in (first, again):
            for name in MEASURED_BY_TIME:
                fields.pop(name)
        assert first == again, method
        cases = [found["runs"][name]["details"]["cases"] for name in ("few", "again")]
        timeless = [[{**case, "seconds": 0} for case in some] for some in cases]
        assert timeless[0] == timeless[1]


def test_every_field_of_a_result_is_measured(report: dict[str, Any]) -> None:
    known = {item.name for item in dataclasses.fields(Result)}
    identity = {
        *("method", "variant", "model", "dataset", "num_edits", "sequence", "seed", "config_hash"),
        *("status", "error", "versions", "machine", "command", "time", "schema"),
        "training_seconds",  # which the harness knows
    }
    for method, found in report.items():
        fields = found["runs"]["few"]["fields"]
        assert set(fields) == known - identity - CONSISTENCY
        missing = {name for name, value in fields.items() if value is None}
        # Three edits are too few for a growth; some methods have modules instead of changes.
        expected = {"seconds_growth"} | ({"weight_change"} & missing)
        assert missing - {"retention"} == expected, method
        assert ("weight_change" in missing) == (method in MODULES_OF_THEIR_OWN)
        assert fields["kl"] >= 0 and fields["peak_memory_mb"] >= fields["memory_mb"] > 0
        assert fields["stored_mb"] > 0 and fields["seconds_per_edit"] > 0
        assert sum(found["progress"]) == 3 + 1 + 3 + 1 + 3
        json.dumps(fields, allow_nan=False)


def test_methods_that_change_weights_change_text(report: dict[str, Any]) -> None:
    fields = report["FT"]["runs"]["few"]["fields"]
    assert fields["weight_change"] > 0 and fields["kl"] > 0
    assert fields["perplexity_after"] != fields["perplexity_before"]


def test_fields_are_means_of_the_details(report: dict[str, Any]) -> None:
    for found in report.values():
        for name, edits in (("few", 3), ("one", 1)):
            fields, details = found["runs"][name]["fields"], found["runs"][name]["details"]
            assert details["config_hash"] == "the hash" and len(details["cases"]) == edits
            cases = [CaseDetail(**case) for case in details["cases"]]
            for kind in ("reliability", "generality", "locality", "portability"):
                for when in ("immediate", "final"):
                    mean = sum(getattr(case, when)[kind] for case in cases) / edits
                    assert fields[f"{when}_{kind}"] == pytest.approx(mean)
            seconds = sum(case.seconds for case in cases) / edits
            assert fields["seconds_per_edit"] == pytest.approx(seconds)
            last = cases[-1]
            assert last.immediate == last.final  # nothing came after it
        for name in ("few", "others", "one", "late"):
            fields = found["runs"][name]["fields"]
            assert fields["forgetting"][0]["edits"] == len(found["runs"][name]["details"]["cases"])


def test_conditions_are_those_of_the_unedited_model(report: dict[str, Any]) -> None:
    for found in report.values():
        criteria = found["runs"]["few"]["fields"]["criteria"]
        assert {name: row["excluded"] for name, row in criteria.items()} == {"Alias": 0, "Hops": 3}
        assert {name: row["cases"] for name, row in criteria.items()} == {"Alias": 3, "Hops": 3}


def test_what_is_shown_in_words_is_what_is_scored(report: dict[str, Any]) -> None:
    learnt = 0
    for found in report.values():
        run = found["runs"]["one"]
        examples = [Example(**example) for example in run["details"]["examples"]]
        (example,) = (example for example in examples if example.kind == "reliability")
        right = run["fields"]["final_reliability"] == 1
        learnt += right
        assert example.final.startswith(example.wanted) == right
        assert example.immediate == example.final
        assert not example.before.startswith(example.wanted)
        shown = {example["case_id"] for example in found["runs"]["few"]["details"]["examples"]}
        assert shown == {"case 0", "case 1", "case 2"}
    assert learnt > 0


def test_not_every_sequence_is_read_for_side_effects(report: dict[str, Any]) -> None:
    for found in report.values():
        late, others = found["runs"]["late"], found["runs"]["others"]
        assert not [name for name in late["fields"] if name.startswith(tuple(FROM_TEXT))]
        assert "kl" not in late["fields"] and "stored_mb" in late["fields"]
        assert others["fields"]["kl"] is not None and others["details"]["examples"] == []


def test_consistency_is_measured_beside_all_else(report: dict[str, Any]) -> None:
    methods = [method for method, found in report.items() if "consistent" in found]
    assert "FT" in methods
    for method in methods:
        found, runs = report[method]["consistent"], report[method]["runs"]
        assert found["clean"]
        for name in ("few", "late"):
            fields = {k: v for k, v in found[name].items() if k not in MEASURED_BY_TIME}
            plain = runs[name]["fields"]
            rest = {key: value for key, value in fields.items() if key not in CONSISTENCY}
            assert rest == {k: v for k, v in plain.items() if k not in MEASURED_BY_TIME}, method
            # Not every one of many sequences is asked.
            assert set(fields) - set(rest) == (CONSISTENCY if name == "few" else set())
        few = found["few"]
        swaps = few["consistency_swaps"]
        assert {key: row["pairs"] for key, row in swaps.items()} == {"entity": 3}
        shares = [few[name] for name in CONSISTENCY - {"consistency_swaps"}]
        assert all(0 <= share <= 1 for share in shares)
        assert swaps["entity"]["after"] == few["consistency_edited_after"]
        assert {
            few["agreement_greedy_after"] * 20 % 1,
            few["consistency_edited_after"] * 3 % 1,
        } == {0}


# -- without EasyEdit ---------------------------------------------------------------------------


class Bump:
    """A method that adds one to the weights; on restoring it may leave a module behind."""

    alg_name = "Bump"

    def __init__(self, leaves: bool) -> None:
        self.leaves = leaves

    def restore(self, editor: Any) -> None:
        if self.leaves:
            editor.model.memory = torch.nn.Linear(1, 1)


def bench(leaves: bool) -> Bench:
    model = torch.nn.Linear(2, 1)
    made = Bench.__new__(Bench)
    made.adapter = Bump(leaves)  # type: ignore[assignment]
    made.editor = SimpleNamespace(model=model)
    made.base = {name: value.detach().clone() for name, value in model.named_parameters()}
    return made


def test_what_a_method_leaves_behind_is_named() -> None:
    with pytest.raises(EasyEditError, match=r"Bump: restoring left weights.*memory\.bias"):
        bench(leaves=True).restore()


def test_weights_that_are_no_numbers_are_put_back_too() -> None:
    made = bench(leaves=False)
    with torch.no_grad():
        made.editor.model.weight.fill_(math.nan)
    made.editor.model.train()
    made.restore()
    assert torch.equal(made.editor.model.weight, made.base["weight"])
    assert not made.editor.model.training
