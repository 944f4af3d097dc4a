"""``dafnet``: help is quick, errors are one message and status 2, and commands do their work."""

from __future__ import annotations

import errno
import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

import dafnet_plugin.training.trainer as trainer_module
from dafnet_plugin.artifacts.checkpoint import load_checkpoint
from dafnet_plugin.cases import read_cases, write_cases
from dafnet_plugin.cli import COMMANDS, main
from dafnet_plugin.methods.ke.checkpoint import load_checkpoint as load_ke
from tests.helpers import MODULES, SMALL, bits, cases, model, tokenizer

ROOT = Path(__file__).resolve().parents[1]
HELP = """
import sys
from dafnet_plugin.cli import main
try:
    main([{command!r}, "--help"])
except SystemExit as stop:
    heavy = sorted({{"torch", "transformers", "easyeditor"}} & set(sys.modules))
    sys.exit(f"{{heavy}} imported" if heavy or stop.code else 0)
"""


@pytest.mark.parametrize("command", COMMANDS)
def test_help_is_quick_and_has_an_example(command: str) -> None:
    done = subprocess.run(
        [sys.executable, "-c", HELP.format(command=command)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == 0, done.stderr
    assert f"usage: dafnet {command}" in done.stdout
    assert "example" in done.stdout and f"\n  dafnet {command}" in done.stdout


@pytest.mark.parametrize(
    "arguments", [[], ["trian"], ["edit"], ["train"], ["plan"], ["init-hparams"]]
)
def test_wrong_arguments_show_the_usage(
    arguments: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as stop:
        main(arguments)
    assert stop.value.code == 2
    assert "usage: dafnet" in capsys.readouterr().err


class Place:
    """A folder with a tiny model, cases and YAML files."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        model("gpt2").save_pretrained(folder / "tiny-gpt2")
        tokenizer().save_pretrained(folder / "tiny-gpt2")
        write_cases(folder / "train.jsonl", cases(6))
        write_cases(folder / "val.jsonl", cases(3, "Old "))
        sizes = {key: value for key, value in vars(SMALL).items() if isinstance(value, int)}
        self.common: dict[str, Any] = {
            "model_name": str(folder / "tiny-gpt2"),
            "edit_modules": MODULES["gpt2"],
            "network": sizes,
        }
        self.checkpoint = folder / "out" / "models" / "DAFNET" / "tiny-gpt2"

    def yaml(self, name: str, **values: Any) -> str:
        path = self.folder / name
        path.write_text(yaml.safe_dump(self.common | values))
        return str(path)

    def training(self, **values: Any) -> str:
        settings = {"max_iters": 3, "val_edits": [1], "max_edits": 2, "tensorboard": False}
        paths = {
            "train_path": str(self.folder / "train.jsonl"),
            "val_path": [str(self.folder / "val.jsonl")],
            "results_dir": str(self.folder / "out"),
        }
        return self.yaml("train.yaml", **{**settings, **paths, "silent": True, **values})


@pytest.fixture
def place(tmp_path: Path) -> Place:
    return Place(tmp_path)


def failure(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> str:
    """Run a command that has to fail; return its one message."""
    capsys.readouterr()
    assert main(arguments) == 2
    shown = capsys.readouterr()
    assert "Traceback" not in shown.err + shown.out
    assert shown.err.startswith(f"dafnet {arguments[0]}: ")
    return shown.err


def test_train_edit_and_use_the_saved_model(
    place: Place, capsys: pytest.CaptureFixture[str]
) -> None:
    from transformers import AutoModelForCausalLM, AutoTokenizer

    assert main(["train", place.training()]) == 0
    assert f"{place.checkpoint}: best of" in capsys.readouterr().out
    assert load_checkpoint(place.checkpoint).edit_modules == tuple(MODULES["gpt2"])

    hparams = place.yaml("edit.yaml", archive=str(place.checkpoint))
    out = place.folder / "edited"
    command = ["edit", hparams, "--edits", str(place.folder / "val.jsonl"), "--out", str(out)]
    assert main([*command, "--limit", "2"]) == 0
    shown = capsys.readouterr().out
    assert "2 edits" in shown and f"saved to {out}" in shown.replace("\n", "")
    edited = AutoModelForCausalLM.from_pretrained(out).state_dict()
    changed = {
        name
        for name, value in bits(model("gpt2").state_dict()).items()
        if bits(edited)[name] != value
    }
    assert changed == {f"{name}.weight" for name in MODULES["gpt2"]}
    assert AutoTokenizer.from_pretrained(out)("Ada").input_ids == tokenizer()("Ada").input_ids

    one = ["edit", place.yaml("edit.yaml"), "--archive", str(place.checkpoint)]
    assert main([*one, "--prompt", "Ada lives in", "--target", "Rome"]) == 0
    shown = capsys.readouterr().out
    assert "1 edits" in shown and "Ada lives in" in shown


def test_ctrl_c_says_how_to_go_on_and_resume_does(
    place: Place, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    step = trainer_module.meta_step

    def interrupted(*args: Any, **kwargs: Any) -> dict[str, float]:
        os.kill(os.getpid(), signal.SIGINT)
        return step(*args, **kwargs)

    path = place.training()
    with monkeypatch.context() as patch:
        patch.setattr(trainer_module, "meta_step", interrupted)
        assert main(["train", path]) == 130
    shown = capsys.readouterr().err
    assert "stopped after 1 iterations" in shown and f"dafnet train {path} --resume" in shown
    assert main(["train", path, "--resume"]) == 0
    assert "best of" in capsys.readouterr().out


def test_training_errors_name_what_is_wrong(
    place: Place, capsys: pytest.CaptureFixture[str]
) -> None:
    def message(*more: str, **values: Any) -> str:
        return failure(["train", place.training(**values), *more], capsys)

    assert "train.yaml: 2 problem(s)\n  - max_iter: unknown key (did you mean 'max_iters'?)" in (
        message(max_iter=5, lr=0)
    )
    assert "train.yaml: train_path: null" in message(train_path=None)
    assert "none.jsonl: cannot be read" in message("--train", str(place.folder / "none.jsonl"))
    assert "no module 'h.7'" in message(edit_modules=["h.7"])
    assert "not on this machine" in message("--device", "cuda:99")
    assert "cannot be loaded" in message("--model", str(place.folder / "no-model"))
    bad = place.folder / "bad.jsonl"
    bad.write_text(json.dumps({"case_id": 1}) + "\n{]\n")
    assert "bad.jsonl: line 2, column 2: not JSON" in message("--train", str(bad))
    bad.write_text(json.dumps({"case_id": 1}) + "\n")
    assert "bad.jsonl: record 1: edit case without the field 'request'" in message(
        "--val", str(bad)
    )
    assert "none.yaml: cannot be read" in failure(["train", "none.yaml"], capsys)


def test_resuming_with_another_config_names_the_keys(
    place: Place, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["train", place.training()]) == 0
    shown = failure(["train", place.training(seed=7), "--resume"], capsys)
    assert "seed (42 then, 7 now)" in shown


def test_a_full_disk_is_one_message(
    place: Place, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: Any) -> None:
        raise OSError(errno.ENOSPC, "No space left on device", "training-state.pt")

    path = place.training()
    with monkeypatch.context() as patch:
        patch.setattr(trainer_module, "save_state", full)
        assert "training-state.pt: No space left on device" in failure(["train", path], capsys)


def test_editing_errors_name_what_is_wrong(
    place: Place, capsys: pytest.CaptureFixture[str]
) -> None:
    def message(*more: str, **values: Any) -> str:
        return failure(["edit", place.yaml("edit.yaml", **values), *more], capsys)

    fact = ["--prompt", "Ada lives in", "--target", "Rome"]
    assert "--prompt and --target go together" in message("--prompt", "Ada lives in")
    assert "target_new is ''" in message("--prompt", "Ada lives in", "--target", "")
    assert "archive: null; a trained DAFNet is needed" in message(*fact)
    none = str(place.folder / "none")
    assert "no DAFNet checkpoint here" in message(*fact, archive=none)
    assert "cannot be loaded" in message(*fact, "--model", none)
    assert "none: cannot be read" in message("--edits", none)
    assert "network.layer: unknown key" in message(*fact, network={"layer": 1})


def test_train_takes_dafsets_and_ke(place: Place, capsys: pytest.CaptureFixture[str]) -> None:
    records = [
        {
            "prompt": f"{person} was born in",
            "target_new": "Rome",
            "subject": person,
            "rephrase_prompt": f"{person} comes from",
            "locality_prompt": "Eve lives in",
            "locality_ground_truth": "Oslo",
            "dafset": {"split": split},
        }
        for person, split in (("Ada", "train"), ("Bo", "train"), ("Gus", "eval"))
    ]
    (place.folder / "dafset").mkdir()
    for part in ("popular", "recent"):
        (place.folder / "dafset" / f"{part}.json").write_text(json.dumps(records))
    data, cases_file = str(place.folder / "dafset"), str(place.folder / "train.jsonl")
    place.common.pop("network")
    method = {"alg": "KE", "alg_name": "KE", "max_edits": 1, "max_iters": 2}
    sizes = {"hypernetwork": {"lstm_dim": 4, "summary_dim": 4}}
    file = place.training(**method, **sizes)
    assert main(["train", file, "--train", cases_file, data, "--val", data]) == 0
    folder = place.folder / "out" / "models" / "KE" / "tiny-gpt2"
    assert f"{folder}: best of " in capsys.readouterr().out
    trained = load_ke(folder)
    assert trained.training["sources"] == {
        cases_file: 6,
        **{f"{data}/{part}": 2 for part in ("popular", "recent")},
    }
    place.training(alg_name="TPATCHER")
    assert f"{file}: alg_name: 'TPATCHER' is not meta-trained" in failure(["train", file], capsys)


def test_validate_reports_every_file(place: Place, capsys: pytest.CaptureFixture[str]) -> None:
    good = place.yaml("good.yaml")
    bad = place.yaml("bad.yaml", batchsize=3, edit_bias=1)
    assert main(["validate", good]) == 0
    first, second = capsys.readouterr().out.splitlines()[:2]
    assert first == f"{good}: ok"
    assert "tiny-gpt2/config.json: 3 modules; network of " in second
    assert main(["validate", good, bad]) == 1
    shown = capsys.readouterr()
    assert f"{good}: ok\n" in shown.out and bad not in shown.out
    assert shown.err.splitlines() == [
        f"{bad}: 2 problem(s)",
        "  - batchsize: unknown key (did you mean 'batch_size'?)",
        "  - edit_bias: 1; allowed: true or false",
    ]


def test_validate_takes_folders_and_tells_training_files_apart(
    place: Place, capsys: pytest.CaptureFixture[str]
) -> None:
    for folder, values in (("DAFNET", {}), ("TRAINING/DAFNET", {"lr": 0.1}), ("ROME", {"k": 1})):
        (place.folder / "h" / folder).mkdir(parents=True)
        place.yaml(f"h/{folder}/tiny.yaml", **values)
    assert main(["validate", str(place.folder / "h")]) == 0
    assert capsys.readouterr().out.count(": ok\n") == 2
    (place.folder / "empty").mkdir()
    assert "no file of CALINET, DAFNET" in failure(
        ["validate", str(place.folder / "empty")], capsys
    )


def test_validate_knows_every_method_of_the_package(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    common = "model_name: m\nedit_modules: [transformer.h.0.mlp]\n"
    for folder, more in (
        ("TPATCHER", ""),
        ("KE", "archive: a\n"),
        ("TRAINING/KE", "known: 1\n"),
        ("TRAINING/CALINET", ""),
    ):
        (tmp_path / folder).mkdir(parents=True)
        (tmp_path / folder / "tiny.yaml").write_text(
            f"alg_name: {folder.rpartition('/')[2]}\n{common}{more}"
        )
    assert main(["validate", str(tmp_path)]) == 1
    said = capsys.readouterr()
    assert said.out.count(": ok\n") == 2
    assert "known: unknown key" in said.err and "CALINET is not meta-trained" in said.err


def test_shipped_files_are_valid(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["validate", str(ROOT / "hparams")]) == 0
    assert capsys.readouterr().err == ""


def test_cases_reads_checks_and_counts(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    probes = {
        "rephrase_prompt": "The home of Ada is",
        "locality_prompt": "Eve lives in",
        "locality_ground_truth": "Oslo",
    }
    records = [
        {"prompt": "Ada lives in", "target_new": "Rome", "subject": "Ada", **probes},
        {"prompt": "Bo lives in", "target_new": "", "subject": "Bo", **probes},
    ]
    (tmp_path / "recent.json").write_text(json.dumps(records))
    source, out = str(tmp_path / "recent.json"), tmp_path / "cases.jsonl"
    assert main(["cases", "dafset", source, "--out", str(out)]) == 2
    assert "target_new" in capsys.readouterr().err and not out.exists()
    assert main(["cases", "dafset", source, "--out", str(out), "--skip-bad"]) == 0
    assert "1 cases, 1 malformed records left out" in capsys.readouterr().out
    assert [case.request.target_new for case in read_cases(out)] == ["Rome"]
