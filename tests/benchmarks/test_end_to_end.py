"""The whole harness with EasyEdit on a random model: training, cells, failures, what is kept."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest
import yaml

import benchmarks.runner as runner
from benchmarks.cli import COMMANDS, main
from benchmarks.config import ROOT, BenchmarkConfig
from benchmarks.pool import LocalPool
from benchmarks.results import SCHEMA, Result, details_path, read_details, read_results
from dafnet_plugin.cases import write_cases
from dafnet_plugin.schema import read_values
from tests.easyedit.conftest import wheel_installed
from tests.helpers import cases

MODULES = ["transformer.h.1.mlp.c_proj"]
NETWORK = {"intra_dim": 8, "inter_dim": 8, "gate_dim": 4, "ffn_dim": 8}
PLACES = [(1, 0), (1, 1), (3, 0)]


def shipped(name: str, folder: Path, **changes: Any) -> str:
    """A shipped YAML file with some values changed, in a folder of the test."""
    values = read_values(ROOT / "hparams" / name) | changes
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(yaml.safe_dump(values))
    return str(path)


class Run:
    """A benchmark on a random model, of cases that it knows nothing about."""

    def __init__(self, folder: Path, model: Path) -> None:
        self.folder, self.out = folder, folder / "out"
        # Not the last layer: one token alone has a gradient there, and EasyEdit needs two.
        mend = {"inner_params": ["transformer.h.0.mlp.c_proj.weight"], "rank": 8}
        dafnet = {"edit_modules": MODULES, "network": NETWORK}
        write_cases(folder / "train.jsonl", cases(12))
        write_cases(folder / "eval.jsonl", cases(6, "Old "))
        self.values: dict[str, Any] = {
            "name": "micro",
            "models": [{"name": "tiny-gpt2", "path": str(model)}],
            "datasets": [
                {
                    "name": "people",
                    "source": "cases",
                    "train_cases": 8,
                    "options": {
                        "train": "train.jsonl",
                        "eval": "eval.jsonl",
                        "independent": False,
                    },
                }
            ],
            "threads": 1,
            "num_edits": [1, 3],
            "sequences": [2, 1],
            "methods": [
                {
                    "name": "FT",
                    "hparams": shipped("FT/tiny-gpt2.yaml", folder, layers=["x"]),
                    "variant": "broken",
                },
                {
                    "name": "MEND",
                    "hparams": shipped("MEND/tiny-gpt2.yaml", folder, **mend),
                    "training": shipped(
                        "TRAINING/MEND/tiny-gpt2.yaml",
                        folder,
                        max_iters=8,
                        val_interval=4,
                        val_steps=1,
                        **mend,
                    ),
                },
                {
                    "name": "DAFNET",
                    "hparams": shipped("DAFNET/tiny-gpt2.yaml", folder, **dafnet),
                    "training": shipped(
                        "TRAINING/DAFNET/tiny-gpt2.yaml", folder, max_iters=2, **dafnet
                    ),
                },
            ],
        }

    def __call__(self, *only: str) -> list[Result]:
        return runner.run_benchmark(
            BenchmarkConfig.from_dict(self.values),
            data_dir=self.folder,
            out=self.out,
            only=only or None,
            command="the command",
            pool=LocalPool(2),
        )


@pytest.fixture(scope="module")
def run(tiny_models: dict[str, Path], tmp_path_factory: pytest.TempPathFactory) -> Any:
    if not wheel_installed() and not os.environ.get("EASYEDIT_HOME"):
        pytest.skip("no EasyEdit: pip install --no-deps easyeditor==0.0.1.dev0")
    made = Run(tmp_path_factory.mktemp("micro"), tiny_models["gpt2"])
    made.first = made()  # type: ignore[attr-defined]
    return made


def test_every_sequence_has_a_line_with_all_fields(run: Any) -> None:
    keys = [(r.label, r.num_edits, r.sequence, r.status, r.error) for r in run.first]
    assert [key[:4] for key in keys] == [
        *(("FT-broken", *place, "failed") for place in PLACES),
        *(("MEND", *place, "ok") for place in PLACES),
        *(("DAFNET", *place, "ok") for place in PLACES),
    ], keys
    for result in run.first:
        assert (result.model, result.dataset, result.seed) == ("tiny-gpt2", "people", 0)
        assert result.schema == SCHEMA and result.command == "the command" and result.time
        scores = [getattr(result, f"{when}_{kind}") for when in ("immediate", "final") for kind in
                  ("reliability", "generality", "locality")]  # fmt: skip
        if result.status == "failed":
            assert scores == [None] * 6 and result.seconds_per_edit is None
            assert result.error
            continue
        assert all(0 <= score <= 1 for score in scores) and result.seconds_per_edit > 0
        assert result.training_seconds > 0 and result.peak_memory_mb > 100
        assert set(result.versions) >= {"python", "torch", "transformers", "easyeditor"}
        assert result.machine["device"] == "cpu" and result.machine["threads"] == 1
        details = read_details(details_path(run.out, result))
        assert details is not None and details.config_hash == result.config_hash
        assert len(details.cases) == result.num_edits
    single = [r for r in run.first if r.num_edits == 1 and r.status == "ok"]
    assert all(r.final_reliability == r.immediate_reliability for r in single)


def test_a_second_run_computes_nothing(run: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    def start(*_: Any) -> None:
        pytest.fail("something was run again")

    monkeypatch.setattr(LocalPool, "start", start)
    assert run("MEND", "DAFNET") == run.first[3:]


def test_commands_show_what_is_there(
    run: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["table", str(run.out)]) == 1  # something failed
    shown = capsys.readouterr().out
    assert "FT-broken" in shown and "failed" in shown and "right after" in shown
    assert main(["table", str(run.out / "nowhere")]) == 2
    assert "no results" in capsys.readouterr().err
    config = tmp_path / "micro.yaml"
    config.write_text(yaml.safe_dump(run.values))
    places = ["--out", str(run.out), "--data-dir", str(run.folder)]
    assert main(["plan", str(config), *places]) == 0
    shown = capsys.readouterr().out
    assert "1 of 6 steps are left" in shown and "done" in shown  # the broken cell
    assert main(["compare", str(run.out), str(run.out)]) == 0
    assert "+0.000" in capsys.readouterr().out
    manifest = json.loads((run.out / "run.json").read_text())
    assert len(manifest["lines"]) == 3 * len(PLACES)


def test_other_facts_are_another_run(run: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Other training cases: facts are made again, and nothing that was trained is kept."""
    started: list[str] = []
    start = LocalPool.start

    def noted(self: LocalPool, kind: Any, *rest: Any) -> None:
        started.append(kind)
        start(self, kind, *rest)

    monkeypatch.setattr(LocalPool, "start", noted)
    write_cases(run.folder / "train.jsonl", cases(11, "New "))
    results = run("DAFNET")
    assert started == ["prepare", "train", "cell"]
    assert {r.status for r in results} == {"ok"}
    assert {r.config_hash for r in results}.isdisjoint({r.config_hash for r in run.first})
    assert read_results(run.out / "results.jsonl")[-1].config_hash == results[0].config_hash


def test_wrong_config_is_one_message(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "bad.yaml"
    path.write_text("name: x\nmodles: []\n")
    assert main(["run", str(path)]) == 2
    said = capsys.readouterr().err
    assert "bad.yaml" in said and "modles: unknown key" in said and "Traceback" not in said


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_has_help_with_examples(
    command: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as ended:
        main([command, "--help"])
    assert ended.value.code == 0
    assert f"python -m benchmarks {command}" in capsys.readouterr().out.split("example", 1)[1]
