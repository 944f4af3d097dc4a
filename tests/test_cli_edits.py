"""``dafnet edit --journal --save``, ``edits`` and ``export``: edits kept from the command line."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path

import pytest
import torch

from dafnet_plugin import locks
from dafnet_plugin.artifacts.checkpoint import Checkpoint, save_checkpoint
from dafnet_plugin.artifacts.journal import FILE, Journal, read_journal
from dafnet_plugin.artifacts.saved_edits import read_edits
from dafnet_plugin.cases import write_cases
from dafnet_plugin.cli import main
from dafnet_plugin.editing.record import edits_of
from tests.helpers import MODULES, bits, cases, dafnet_for, model
from tests.test_cli import Place, failure, place

__all__ = ["place"]


@pytest.fixture
def command(place: Place) -> list[str]:
    """``dafnet edit`` with a network that was not trained."""
    dafnet = dafnet_for(model("gpt2"), "gpt2", kind="least_squares", normaliser="layer_norm")
    save_checkpoint(Checkpoint(dafnet, tuple(MODULES["gpt2"]), {}), place.folder / "dafnet")
    values = {"model_name": str(place.folder / "tiny-gpt2"), "edit_modules": MODULES["gpt2"]}
    place.common = values | {"archive": str(place.folder / "dafnet")}
    return ["edit", place.yaml("edit.yaml")]


def weights(folder: Path) -> dict[str, bytes]:
    from transformers import AutoModelForCausalLM

    return bits(AutoModelForCausalLM.from_pretrained(folder).state_dict())


def test_a_journal_is_gone_on_with_listed_and_undone(
    place: Place, command: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    journal, file = place.folder / "journal", str(place.folder / "train.jsonl")
    command += ["--journal", str(journal)]
    assert main([*command, "--edits", file, "--limit", "2"]) == 0
    assert main([*command, "--edits", file, "--limit", "4"]) == 0  # two of them are there
    calls = read_journal(journal / FILE)[1]
    assert [e.case_id for e in edits_of(calls)] == ["0", "1", "2", "3"] and len(calls) == 4
    capsys.readouterr()
    assert main(["edits", str(journal), "--undo", "1"]) == 0
    shown = capsys.readouterr().out
    assert "3 edits" in shown and "Ada lives in" in shown and "Bo lives in" not in shown
    assert main([*command, "--out", str(place.folder / "undone")]) == 0

    three = [case for case in cases(4) if case.case_id != "1"]
    write_cases(place.folder / "three.jsonl", three)
    fresh = [*command[:2], "--journal", str(place.folder / "other")]
    fresh += ["--edits", str(place.folder / "three.jsonl"), "--out", str(place.folder / "three")]
    assert main(fresh) == 0
    assert weights(place.folder / "undone") == weights(place.folder / "three")
    assert "no edit '1' among the 3" in failure(["edits", str(journal), "--undo", "1"], capsys)


def test_an_undo_starts_from_what_is_there_once_the_journal_is_held(
    place: Place, command: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    journal, file = place.folder / "journal", str(place.folder / "train.jsonl")
    assert main([*command, "--journal", str(journal), "--edits", file, "--limit", "3"]) == 0
    calls = read_journal(journal / FILE)[1]
    taken = locks._taken

    def another_process_writes_first(descriptor: int) -> bool:
        monkeypatch.undo()
        with closing(Journal(journal)) as other:
            other.write((calls[0], calls[2]))
        return taken(descriptor)

    monkeypatch.setattr(locks, "_taken", another_process_writes_first)
    assert main(["edits", str(journal), "--undo", "0"]) == 0
    assert [e.case_id for e in edits_of(read_journal(journal / FILE)[1])] == ["2"]


def test_saved_edits_are_listed_and_exported(
    place: Place, command: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    edits, out = place.folder / "edits", place.folder / "adapter"
    file = str(place.folder / "train.jsonl")
    assert main([*command, "--edits", file, "--limit", "3", "--save", str(edits)]) == 0
    assert "3 edits, without the model" in capsys.readouterr().out
    assert main(["edits", str(edits)]) == 0
    assert "Cleo lives in" in capsys.readouterr().out
    assert "only a model can make anew" in failure(["edits", str(edits), "--undo", "1"], capsys)

    export = ["export", str(edits), "--peft", "--out", str(out)]
    assert main(export) == 0
    shown = capsys.readouterr().out
    assert "written, exact up to rounding" in shown and "logit" not in shown
    assert main([*export, "--rank", "1", "--measure", command[1]]) == 0
    shown = capsys.readouterr().out
    assert "the nearest of its rank, not exact" in shown and "largest error of a logit" in shown

    peft = pytest.importorskip("peft")
    adapted = peft.PeftModel.from_pretrained(model("gpt2"), str(out)).merge_and_unload()
    base = model("gpt2")
    read_edits(edits).apply(base)
    name = f"{MODULES['gpt2'][0]}.weight"
    assert not torch.equal(adapted.get_parameter(name), model("gpt2").get_parameter(name))
    assert not torch.equal(adapted.get_parameter(name), base.get_parameter(name))


def test_errors_name_what_is_wrong(
    place: Place, command: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert "nothing to be edited; allowed: --edits" in failure(command, capsys)
    empty = place.folder / "empty"
    empty.mkdir()
    assert "neither a journal" in failure(["edits", str(empty)], capsys)
    export = ["export", str(empty), "--peft", "--out", str(place.folder / "x")]
    assert "no saved edits here" in failure(export, capsys)
    edits = str(place.folder / "edits")
    assert main([*command, "--prompt", "Ada lives in", "--target", "Rome", "--save", edits]) == 0
    export = ["export", edits, "--peft", "--out", str(place.folder / "x")]
    assert "rank: 0; allowed: at least 1" in failure([*export, "--rank", "0"], capsys)
    other = model("gpt2", torch.bfloat16)
    other.save_pretrained(place.folder / "tiny-gpt2")
    place.common["dtype"] = "bfloat16"
    measure = [*export, "--measure", place.yaml("other.yaml")]
    assert "bfloat16" in failure(measure, capsys) and not (place.folder / "x").exists()
