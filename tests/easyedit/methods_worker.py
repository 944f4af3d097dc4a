"""The methods beside DAFNet through BaseEditor, in a process of its own.

Usage: ``python methods_worker.py FAMILY MODEL_FOLDER REPORT.json``. The report maps method and
check to what the tests assert on, or to ``{"error": traceback}``.
"""

from __future__ import annotations

import gc
import json
import sys
import traceback
import weakref
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dafnet_plugin import CaliNetHparams, KEHparams, TPatcherHparams
from dafnet_plugin.errors import DAFNetError

_ = (CaliNetHparams, KEHparams, TPatcherHparams)  # makes EasyEdit importable

import easyeditor  # noqa: E402

from dafnet_plugin.methods import METHODS  # noqa: E402
from tests.easyedit import dafnet_setup as setup  # noqa: E402
from tests.easyedit import methods_setup  # noqa: E402
from tests.easyedit.dafnet_bench import ALG_DICT, BatchEditor, facts, scores  # noqa: E402
from tests.easyedit.dafnet_setup import close, same  # noqa: E402

Report = dict[str, Any]


@dataclass(frozen=True)
class Bench:
    """One method on one model family on disk."""

    name: str
    family: str
    folder: Path

    def hparams(self, **changes: Any) -> Any:
        """Hyper-parameters read from a YAML file."""
        if self.name == "KE":
            methods_setup.write_ke(Path("ke"), self.folder, self.family)
        values = methods_setup.values(self.name, self.family, self.folder, **changes)
        path = setup.write_yaml(Path(f"{self.name}.yaml"), values)
        return METHODS[self.name].hparams_class().from_hparams(path)

    def editor(self, **changes: Any) -> Any:
        """An editor with a model of its own, as a user makes one."""
        return easyeditor.BaseEditor.from_hparams(self.hparams(**changes))

    def reference(self, groups: list[list[int]]) -> Any:
        """A model of its own, edited without an editor, one call a group of facts."""
        model, tokenizer = setup.load(self.folder)
        for group in groups:
            ALG_DICT[self.name](model, tokenizer, self.requests(group), self.hparams())
        return model

    def requests(self, numbers: list[int]) -> list[dict[str, Any]]:
        """Facts as EasyEdit hands them to methods."""
        return [
            {
                "prompt": setup.PROMPTS[n],
                "target_new": setup.TARGETS[n],
                "subject": setup.SUBJECTS[n],
                "ground_truth": setup.TRUTHS[n],
            }
            for n in numbers
        ]


def alike(first: Any, second: Any) -> bool:
    """Whether two models hold the same parameters, by name and bit by bit."""
    names = [name for name, _ in first.named_parameters()]
    return names == [name for name, _ in second.named_parameters()] and same(first, second)


def sequential(bench: Bench) -> Report:
    """Edits accumulate."""
    editor = bench.editor()
    base = bench.reference([])
    metrics, edited, copies = editor.edit(**facts([0, 1, 2]), sequential_edit=True)
    return {
        **scores(metrics),
        "as_expected": alike(edited, bench.reference([[0], [1], [2]])),
        "different": not alike(edited, base),
        "same_object": edited is editor.model,
        "trainable": all(p.requires_grad for p in edited.parameters()),
        "weights_copy": len(copies),
    }


def restored(bench: Bench) -> Report:
    """Edits that do not accumulate are undone, and go back to the edit before."""
    editor = bench.editor()
    metrics, _, _ = editor.edit(**facts([0, 1, 2]), sequential_edit=False)
    editor.edit(**facts([3]))  # the same by default, on both versions
    report = {**scores(metrics), "unchanged": alike(editor.model, bench.reference([]))}
    editor.edit(**facts([2]), sequential_edit=True)
    report["single"] = alike(editor.model, bench.reference([[2]]))
    editor.edit(**facts([1]), sequential_edit=False)
    report["kept"] = alike(editor.model, bench.reference([[2]]))
    editor.edit(**facts([0]), sequential_edit=True)
    return {**report, "continued": alike(editor.model, bench.reference([[2], [0]]))}


def batch(bench: Bench) -> Report:
    """Several edits a call."""
    report: Report = {"batchable": BatchEditor.is_batchable_method(bench.name)}
    for name, accumulate in (("sequential", True), ("restored", False)):
        editor = bench.editor(batch_size=2)
        metrics, _, _ = editor.batch_edit(**facts([0, 1, 2]), sequential_edit=accumulate)
        editor.batch_edit(**facts([3]))  # undone by default, on both versions
        expected = bench.reference([[0, 1], [2]] if accumulate else [])
        report[name] = {**scores(metrics), "as_expected": alike(editor.model, expected)}
    return report


def several(bench: Bench) -> Report:
    """Editors in one process share nothing and leave nothing behind."""
    first, second = bench.editor(), bench.editor()
    first.edit(**facts([0]), sequential_edit=True)
    second.edit(**facts([1]), sequential_edit=True)
    first.edit(**facts([2]), sequential_edit=True)
    report = {
        "first": alike(first.model, bench.reference([[0], [2]])),
        "second": alike(second.model, bench.reference([[1]])),
    }
    gc.collect()
    models = [weakref.ref(editor.model) for editor in (first, second)]
    held = ALG_DICT[bench.name].__self__._held
    known = len(held)
    del first, second
    gc.collect()
    alive = sum(model() is not None for model in models)
    return {**report, "alive": alive, "forgotten": known - len(held)}


def pair(bench: Bench) -> Report:
    """A (model, tokenizer) pair edits as the folder does."""
    hparams = bench.hparams()
    hparams.model_name = setup.load(bench.folder)
    editor = easyeditor.BaseEditor.from_hparams(hparams)
    metrics, _, _ = editor.edit(**facts([0, 1, 2]), sequential_edit=True)
    return {**scores(metrics), "as_expected": alike(editor.model, bench.reference([[0], [1], [2]]))}


def copies(bench: Bench) -> Report:
    """``copy=True`` edits a copy, and undoing undoes the copy's edit."""
    model = bench.reference([[0]])
    _, tokenizer = setup.load(bench.folder)
    apply, hparams = ALG_DICT[bench.name], bench.hparams()
    twin, before = apply(
        model, tokenizer, bench.requests([1]), hparams, copy=True, keep_original_weight=True
    )
    report = {
        "original": alike(model, bench.reference([[0]])),
        "twin": close(twin, bench.reference([[0], [1]])),
    }
    if callable(before):
        before()
    else:
        for name, value in before.items():
            twin.get_parameter(name).data.copy_(value)
    return {**report, "restored": alike(twin, model)}


def normal_edit(bench: Bench) -> Report:
    """Git's call that edits all at once and copies weights back by itself."""
    editor = bench.editor()
    if not hasattr(editor, "normal_edit"):
        return {"absent": True}
    editor.edit(**facts([0]), sequential_edit=True)
    editor.normal_edit(setup.PROMPTS[1:3], setup.TARGETS[1:3])
    return {"kept": alike(editor.model, bench.reference([[0]]))}


def errors(bench: Bench) -> Report:
    """What a user gets wrong is named, and nothing is lost."""
    found: Report = {}
    first = methods_setup.values(bench.name, bench.family, bench.folder)["edit_modules"][0]
    wrong = first.replace("mlp", "mpl")
    for name, changes, arguments in (
        ("module", {"edit_modules": [wrong]}, facts([0])),
        ("target", {}, {**facts([0]), "target_new": [" "]}),
    ):
        editor = bench.editor(**changes)
        try:
            editor.edit(**arguments, sequential_edit=True)
        except DAFNetError as error:
            kept = alike(editor.model, bench.reference([]))
            found[name] = [type(error).__name__, str(error), kept]
    editor = bench.editor()
    editor.edit(**facts([0]), sequential_edit=True)
    return found


CHECKS = [sequential, restored, batch, several, pair, copies, normal_edit, errors]


def main() -> None:
    """Run every check of every method."""
    report: dict[str, Report] = {}
    for name in methods_setup.NAMES:
        report[name] = {}
        for check in CHECKS:
            try:
                report[name][check.__name__] = check(Bench(name, sys.argv[1], Path(sys.argv[2])))
            except Exception:
                report[name][check.__name__] = {"error": traceback.format_exc()}
    Path(sys.argv[3]).write_text(json.dumps(report))


main()
