"""The whole harness on a random model: training, cells, failures, and what is kept."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest
import yaml

import benchmarks.runner as runner
from benchmarks.__main__ import main
from benchmarks.config import ROOT, BenchmarkConfig
from benchmarks.data import Prepared
from benchmarks.results import SCHEMA, Result, read_results
from dafnet_plugin.cases import write_cases
from tests.easyedit.conftest import wheel_installed
from tests.helpers import cases

MODULES = ["transformer.h.1.mlp.c_proj"]
NETWORK = {"intra_dim": 8, "inter_dim": 8, "gate_dim": 4, "ffn_dim": 8}


def shipped(name: str, folder: Path, **changes: Any) -> str:
    """A shipped YAML file with some values changed, in a folder of the test."""
    values = yaml.safe_load((ROOT / "hparams" / name).read_text()) | changes
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(yaml.safe_dump(values))
    return str(path)


class Run:
    """A benchmark whose facts and base model are made in a moment."""

    def __init__(self, folder: Path, model: Path) -> None:
        self.out, self.model = folder / "out", model
        broken = shipped("FT/tiny-gpt2.yaml", folder, layers=["x"])
        # Not the last layer: one token alone has a gradient there, and EasyEdit needs two.
        mend = {"inner_params": ["transformer.h.0.mlp.c_proj.weight"], "rank": 8}
        dafnet = {"edit_modules": MODULES, "network": NETWORK}
        self.config = BenchmarkConfig.from_dict(
            {
                "name": "micro",
                "source": "tinyworld",
                "threads": 1,
                "num_edits": [1, 3],
                "sequences": [2, 1],
                "methods": [
                    {"name": "FT", "hparams": broken, "variant": "broken"},
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
        )

    def prepare(self, _: BenchmarkConfig, __: Path, out: Path) -> Prepared:
        write_cases(out / "cases-train.jsonl", cases(8))
        write_cases(out / "cases-eval.jsonl", cases(6, "Old "))
        texts = out / "statements.jsonl"
        texts.write_text('{"prompt": "Ada lives in", "answer": "Rome"}\n')
        train, evaluation = out / "cases-train.jsonl", out / "cases-eval.jsonl"
        return Prepared(train, evaluation, texts, self.model, report=None)  # type: ignore[arg-type]

    def __call__(self, *only: str) -> list[Result]:
        return runner.run_benchmark(
            self.config, data_dir=Path(), out=self.out, only=only or None, command="the command"
        )


@pytest.fixture(scope="module")
def run(tiny_models: dict[str, Path], tmp_path_factory: pytest.TempPathFactory) -> Any:
    if not wheel_installed() and not os.environ.get("EASYEDIT_HOME"):
        pytest.skip("no EasyEdit: pip install --no-deps easyeditor==0.0.1.dev0")
    made = Run(tmp_path_factory.mktemp("micro"), tiny_models["gpt2"])
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(runner, "prepare", made.prepare)
        made.first = made()  # type: ignore[attr-defined]
        yield made


def test_every_sequence_has_a_line_with_all_fields(run: Any) -> None:
    assert run.first == read_results(run.out / "results.jsonl")
    keys = [(r.label, r.num_edits, r.sequence, r.status) for r in run.first]
    places = [(1, 0), (1, 1), (3, 0)]
    assert keys == [
        *(("FT-broken", *place, "failed") for place in places),
        *(("MEND", *place, "ok") for place in places),
        *(("DAFNET", *place, "ok") for place in places),
    ]
    for result in run.first:
        assert (result.model, result.dataset, result.seed) == ("tiny-gpt2", "tinyworld", 0)
        assert result.schema == SCHEMA and result.command == "the command" and result.time
        scores = [getattr(result, f"{when}_{kind}") for when in ("immediate", "final") for kind in
                  ("reliability", "generality", "locality")]  # fmt: skip
        if result.status == "failed":
            assert scores == [None] * 6 and result.seconds_per_edit is None
            assert result.error
            continue
        assert all(0 <= score <= 1 for score in scores) and result.seconds_per_edit > 0
        assert set(result.versions) >= {"python", "torch", "transformers", "easyeditor"}
        assert result.machine["device"] == "cpu" and result.machine["threads"] == 1
    single = [r for r in run.first if r.num_edits == 1 and r.status == "ok"]
    assert all(r.final_reliability == r.immediate_reliability for r in single)


def test_a_second_run_computes_nothing(run: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(runner, "_worker", lambda *_: pytest.fail("something was run again"))
    assert run("MEND", "DAFNET") == run.first[3:]


def test_what_failed_is_tried_again_and_a_dead_process_has_failed(
    run: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    jobs = []

    def worker(kind: str, job: Any, *_: Any) -> int:
        jobs.append((kind, len(job.sequences)))
        return -9

    monkeypatch.setattr(runner, "_worker", worker)
    results = run("FT-broken")
    assert jobs == [("cell", 3)]
    assert all(r.status == "failed" and "ended with status -9" in r.error for r in results)


def test_other_facts_are_another_run(run: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    jobs = []
    monkeypatch.setattr(runner, "_worker", lambda kind, *_: jobs.append(kind) or 1)

    def prepare(config: BenchmarkConfig, data_dir: Path, out: Path) -> Prepared:
        prepared: Prepared = run.prepare(config, data_dir, out)
        write_cases(prepared.train, cases(7))
        return prepared

    monkeypatch.setattr(runner, "prepare", prepare)
    results = run("DAFNET")
    assert jobs == ["train"]  # which failed, so that nothing was edited
    assert [(r.status, r.error) for r in results] == [("failed", "meta-training failed")] * 3
    assert read_results(run.out / "results.jsonl")[-1].status == "failed"


def test_table_command_shows_what_is_there(run: Any, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["table", str(run.out)]) == 1  # something failed
    shown = capsys.readouterr().out
    assert "FT-broken" in shown and "failed" in shown and "right after" in shown
    assert main(["table", str(run.out / "nowhere")]) == 2
    assert "no results" in capsys.readouterr().err


def test_wrong_config_is_one_message(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "bad.yaml"
    path.write_text("name: x\nsourse: tinyworld\n")
    assert main(["run", str(path)]) == 2
    said = capsys.readouterr().err
    assert "bad.yaml" in said and "sourse: unknown key" in said and "Traceback" not in said
