"""Meta-training of DAFNet in a worker that is killed: the next one goes on."""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path

import pytest

from benchmarks.fingerprint import training_code
from benchmarks.jobs import JobFiles, TrainingJob, write_job
from benchmarks.pool import launch, outcome
from dafnet_plugin.cases import write_cases
from dafnet_plugin.files import read_json
from tests.benchmarks.test_end_to_end import MODULES, NETWORK, shipped
from tests.helpers import cases

pytestmark = pytest.mark.skipif(os.name != "posix", reason="the worker is killed by a signal")

STEPS, SAVED = 100, 50


def test_a_killed_training_goes_on_from_its_last_state(
    tiny_models: dict[str, Path], tmp_path: Path
) -> None:
    write_cases(tmp_path / "cases.jsonl", cases(24))
    hparams = shipped(
        "TRAINING/DAFNET/tiny-gpt2.yaml",
        tmp_path,
        edit_modules=MODULES,
        network=NETWORK,
        max_iters=STEPS,
        max_edits=4,
        checkpoint_interval=SAVED,
        val_interval=STEPS,
        val_edits=[1],
    )
    job = TrainingJob(
        alg_name="DAFNET",
        label="DAFNET",
        hparams=hparams,
        model=str(tiny_models["gpt2"]),
        cases=str(tmp_path / "cases.jsonl"),
        texts="",
        folder=str(tmp_path / "DAFNET"),
        device="cpu",
        threads=1,
        inputs="1",
        code=training_code("DAFNET"),
    )
    files = JobFiles(tmp_path / "jobs" / "DAFNET.train.json")
    write_job(files.path, job)
    process = launch("train", files)
    deadline = time.monotonic() + 120
    while process.poll() is None and time.monotonic() < deadline:
        if list((tmp_path / "DAFNET").rglob("training-state.pt")):
            process.send_signal(signal.SIGKILL)
        time.sleep(0.01)
    assert process.wait() == -signal.SIGKILL and not job.record.exists()
    said = len(files.log.read_text())

    process = launch("train", files)
    ended = outcome(files, process.wait(120), None)
    assert (ended.status, ended.error) == (0, "")
    assert read_json(job.record)["iterations"] == STEPS
    shown = files.log.read_text()[said:]
    assert "meta-training:  50%" in shown and "meta-training:   0%" not in shown
