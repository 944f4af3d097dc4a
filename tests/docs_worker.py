"""Does what the pages say, line by line, as somebody who has a model and a file of cases.

Usage, in an empty folder: ``python -m tests.docs_worker``. Two things are not as on the pages:
the model is made on the spot, and training ends after a few iterations.
"""

from __future__ import annotations

import json
import re
import shlex
from pathlib import Path
from typing import Any

from dafnet_plugin.cases import case_from_json, write_cases
from dafnet_plugin.cli import main
from tests.conftest import make_tiny_llama
from tests.helpers import cases

ROOT = Path(__file__).resolve().parents[1]


def fenced(page: str, language: str) -> str:
    """The one block of a language on a page."""
    (found,) = re.findall(rf"```{language}\n(.*?)```", page, re.DOTALL)
    return found


def section(page: str, heading: str) -> str:
    """What stands under a heading."""
    return page.split(f"\n## {heading}\n")[1].split("\n## ")[0]


def run(lines: str) -> None:
    for line in lines.strip().splitlines():
        program, *arguments = shlex.split(line, comments=True)
        assert program == "dafnet" and main(arguments) == 0, line
        if arguments[0] == "init-hparams":
            for file in Path("hparams/TRAINING/DAFNET").iterdir():
                file.write_text(re.sub(r"max_iters: \d+", "max_iters: 3", file.read_text()))


def own_model() -> dict[str, Any]:
    """``docs/own-model.md``; returns the variables of its Python lines."""
    page = (ROOT / "docs" / "own-model.md").read_text()
    make_tiny_llama(Path("models/my-model"))
    example = case_from_json(json.loads(fenced(page, "json")))
    write_cases("my-cases.jsonl", [case for case in cases(24) if case.case_id != "1"] + [example])
    shell, python = fenced(page, "sh"), fenced(page, "python")
    assert sum(bool(line) for line in (shell + python).splitlines()) == 10, "the title says ten"
    run(shell)
    variables: dict[str, Any] = {}
    exec(python, variables)
    assert len(list(Path("my-edits").glob("edits-*.safetensors"))) == 1
    return variables


def keeping(variables: dict[str, Any]) -> None:
    """README, on edits as things one can keep."""
    from transformers import AutoModelForCausalLM

    text = section((ROOT / "README.md").read_text(), "Edits as things one can keep")
    code = [line[4:] for line in text.splitlines() if line.startswith("    ")]
    shell = [line for line in code if line.startswith("dafnet ")]
    python = [line for line in code if not line.startswith("dafnet ")]
    facts = [("The capital of Norway is", "Michigan"), ("Ada was born in", "Paris")]
    for prompt, target in facts:
        variables["editor"].edit([prompt], [target], ground_truth=["x"], sequential_edit=True)
    variables["model"] = AutoModelForCausalLM.from_pretrained("models/my-model")
    exec("\n".join(python), variables)
    names = [edit.case_id for edit in variables["edits"].list()]
    assert names == ["1", "3"] and variables["report"].logit_error is not None
    edited, loaded = variables["editor"].model.state_dict(), variables["model"].state_dict()
    assert all(bool((loaded[name] == value).all()) for name, value in edited.items())
    run("\n".join(shell))
    assert len(json.loads(Path("my-edits/edits.json").read_text())["edits"]["calls"]) == 23


if __name__ == "__main__":
    keeping(own_model())
