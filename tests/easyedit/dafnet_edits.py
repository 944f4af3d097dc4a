"""Checks of editing with DAFNet through EasyEdit; each returns what the tests assert on."""

from __future__ import annotations

import gc
import weakref
from typing import Any

import easyeditor
import torch

from dafnet_plugin import DAFNetHparams, DAFNetHyperParams, edits_of, register
from dafnet_plugin.artifacts.saved_edits import read_edits
from dafnet_plugin.errors import ConfigError, ModelError
from tests.easyedit import dafnet_setup as setup
from tests.easyedit.dafnet_bench import (
    ALG_DICT,
    ALG_TRAIN_DICT,
    DS_DICT,
    BatchEditor,
    Bench,
    facts,
    scores,
)
from tests.easyedit.dafnet_setup import changed, close, same, weights

Report = dict[str, Any]


def registered(bench: Bench) -> Report:
    """Registering comes with the first use and happens once."""
    DAFNetHparams(model_name="gpt2", edit_modules=["any"])  # without from_hparams
    by_constructor = "DAFNET" in ALG_DICT

    def entries() -> list[Any]:
        batchable = BatchEditor.is_batchable_method
        return [ALG_DICT["DAFNET"], ALG_TRAIN_DICT["DAFNET"], DS_DICT["dafnet"], batchable]

    before = entries()
    one, two = register(), register()
    return {
        "version": one.version,
        "by_constructor": by_constructor,
        "once": entries() == before and one.alg_dict is two.alg_dict is ALG_DICT,
        "batchable": [BatchEditor.is_batchable_method(n) for n in ("DAFNET", "MEND", "ROME")],
        "alias": DAFNetHyperParams is DAFNetHparams,
    }


def sequential(bench: Bench, kind: str = "least_squares") -> Report:
    """Edits accumulate."""
    editor = bench.editor(kind)
    before = weights(editor.model)
    metrics, edited, copies = editor.edit(**facts([0, 1, 2]), sequential_edit=True)
    return {
        **scores(metrics),
        "changed": changed(before, editor.model),
        "as_expected": same(edited, bench.reference([[0], [1], [2]], kind)),
        "same_object": edited is editor.model,
        "weights_copy": len(copies),
        "trainable": all(p.requires_grad for p in edited.parameters()),
    }


def running_mean(bench: Bench) -> Report:
    """The same with the paper's fusion."""
    return sequential(bench, "running_mean")


def restored(bench: Bench) -> Report:
    """Edits that do not accumulate are undone, the memory of them included."""
    editor = bench.editor()
    before = weights(editor.model)
    metrics, _, _ = editor.edit(**facts([0, 1, 2]), sequential_edit=False)
    editor.edit(**facts([3]))  # the same by default, on both versions
    unchanged = changed(before, editor.model)
    editor.edit(**facts([2]), sequential_edit=True)
    single = same(editor.model, bench.reference([[2]]))
    # Restoring goes back to the edit before, not to the beginning.
    editor.edit(**facts([1]), sequential_edit=False)
    kept = same(editor.model, bench.reference([[2]]))
    editor.edit(**facts([0]), sequential_edit=True)
    return {
        **scores(metrics),
        "changed": unchanged,
        "single": single,
        "kept": kept,
        "continued": same(editor.model, bench.reference([[2], [0]])),
    }


def batch(bench: Bench) -> Report:
    """Several edits a call; `edit` keeps to one, in each version's way."""
    report: Report = {}
    for name, accumulate in (("sequential", True), ("restored", False)):
        editor = bench.editor(batch_size=2)
        metrics, _, _ = editor.batch_edit(**facts([0, 1, 2]), sequential_edit=accumulate)
        editor.batch_edit(**facts([3]))  # undone by default, on both versions
        expected = bench.reference([[0, 1], [2]] if accumulate else [])
        report[name] = {**scores(metrics), "as_expected": same(editor.model, expected)}
    editor = bench.editor(batch_size=2)
    try:
        editor.edit(**facts([0]), sequential_edit=True)
        report["edit"] = editor.hparams.batch_size
    except AssertionError as error:
        report["edit"] = str(error)
    return report


def several(bench: Bench) -> Report:
    """Editors in one process share nothing and leave nothing behind."""
    first, second = bench.editor(), bench.editor()
    first.edit(**facts([0]), sequential_edit=True)
    second.edit(**facts([1]), sequential_edit=True)
    first.edit(**facts([2]), sequential_edit=True)
    other = bench.editor("running_mean")
    other.edit(**facts([1]), sequential_edit=True)
    report = {
        "first": same(first.model, bench.reference([[0], [2]])),
        "second": same(second.model, bench.reference([[1]])),
        "other": same(other.model, bench.reference([[1]], "running_mean")),
    }
    gc.collect()
    models = [weakref.ref(editor.model) for editor in (first, second, other)]
    memories = ALG_DICT["DAFNET"].__self__._held
    known = len(memories)
    del first, second, other
    gc.collect()
    alive = sum(model() is not None for model in models)
    return {**report, "alive": alive, "forgotten": known - len(memories)}


def pair(bench: Bench) -> Report:
    """A (model, tokenizer) pair edits as the folder does, and two editors of it are one."""
    hparams = bench.hparams()
    hparams.model_name = setup.load(bench.folder)
    editor = easyeditor.BaseEditor.from_hparams(hparams)
    metrics, _, _ = editor.edit(**facts([0, 1, 2]), sequential_edit=True)
    second = easyeditor.BaseEditor.from_hparams(hparams)
    second.edit(**facts([3]), sequential_edit=True)
    return {
        **scores(metrics),
        "same_model": second.model is editor.model,
        "continued": same(editor.model, bench.reference([[0], [1], [2], [3]])),
    }


def copies(bench: Bench) -> Report:
    """``copy=True`` edits a copy, and the copy's memory follows weights copied back by hand."""
    model = bench.reference([[0]])
    _, tokenizer = setup.load(bench.folder)
    apply, hparams = ALG_DICT["DAFNET"], bench.hparams()
    one, two = ([{"prompt": setup.PROMPTS[n], "target_new": setup.TARGETS[n]}] for n in (1, 2))
    twin, before = apply(model, tokenizer, one, hparams, copy=True, keep_original_weight=True)
    report = {
        "original": same(model, bench.reference([[0]])),
        "twin": close(twin, bench.reference([[0], [1]])),
        "names": list(before),
    }
    with torch.no_grad():
        for name, value in before.items():
            twin.get_parameter(name)[...] = value
    report["restored"] = same(twin, model)
    apply(twin, tokenizer, two, hparams)
    return {**report, "followed": close(twin, bench.reference([[0], [2]]))}


def normal_edit(bench: Bench) -> Report:
    """Git's call that edits all at once and copies the weights back itself."""
    editor = bench.editor()
    if not hasattr(editor, "normal_edit"):
        return {"absent": True}
    editor.edit(**facts([0]), sequential_edit=True)
    editor.normal_edit(setup.PROMPTS[1:3], setup.TARGETS[1:3])
    kept = same(editor.model, bench.reference([[0]]))
    editor.edit(**facts([3]), sequential_edit=True)
    return {"kept": kept, "continued": same(editor.model, bench.reference([[0], [3]]))}


def kept(bench: Bench) -> Report:
    """The edits of an editor's model, as things one can keep."""
    editor = bench.editor()
    edits = edits_of(editor, journal=f"journal-{bench.family}")
    editor.edit(**facts([0, 1, 2]), sequential_edit=True)
    editor.edit(**facts([3]), sequential_edit=False)
    listed = [(edit.case_id, edit.request.target_new) for edit in edits_of(editor.model).list()]
    edits.undo("2")
    undone = same(editor.model, bench.reference([[0], [2]]))
    editor.edit(**facts([3]), sequential_edit=True)
    continued = same(editor.model, bench.reference([[0], [2], [3]]))
    edits.save("saved")
    base, _ = setup.load(bench.folder)
    read_edits("saved").apply(base)
    adapter = edits.export_peft("adapter")
    try:
        edits_of(editor, snapshots=3)
        message = ""
    except ConfigError as error:
        message = str(error)
    edits.close()
    again = bench.editor()
    second = edits_of(again, journal=f"journal-{bench.family}")
    try:
        edits_of(bench.reference([]))
        unknown = ""
    except ModelError as error:
        unknown = str(error)
    of_nobody = edits_of(bench.editor())
    gc.collect()
    try:
        of_nobody.list()
        gone = ""
    except ModelError as error:
        gone = str(error)
    return {
        "gone": gone,
        "listed": listed,
        "undone": undone,
        "continued": continued,
        "saved": same(base, editor.model),
        "exact": adapter.exact,
        "same_object": edits_of(again) is second,
        "journal": same(again.model, editor.model),
        "message": message,
        "unknown": unknown,
    }


def changed_weights(bench: Bench) -> Report:
    """Something else changes an edited weight between two edits."""
    editor = bench.editor()
    editor.edit(**facts([0]), sequential_edit=True)
    weight = editor.model.get_parameter(f"{bench.modules[0]}.weight")
    value = weight.detach().clone()
    with torch.no_grad():
        weight.add_(1)
    report = _failing(editor, facts([1]))
    with torch.no_grad():
        weight.copy_(value)
    editor.edit(**facts([1]), sequential_edit=True)
    return {**report, "lost_nothing": same(editor.model, bench.reference([[0], [1]]))}


def nan_weights(bench: Bench) -> Report:
    """A weight that is not edited holds NaN."""
    editor = bench.editor()
    with torch.no_grad():
        editor.model.get_input_embeddings().weight[-1].fill_(float("nan"))
        editor.model.get_parameter(f"{bench.modules[0]}.weight").mul_(1e38).mul_(1e38)
    return _failing(editor, facts([0]))


def no_archive(bench: Bench) -> Report:
    """The archive is not there."""
    return _failing(bench.editor(archive="nowhere"), facts([0]))


def other_modules(bench: Bench) -> Report:
    """The archive was trained for other modules."""
    return _failing(bench.editor(edit_modules=bench.modules[:2]), facts([0]))


def other_archive(bench: Bench) -> Report:
    """The model carries edits made with another archive."""
    editor = bench.editor()
    editor.edit(**facts([0]), sequential_edit=True)
    bench.hparams("running_mean")
    editor.hparams.archive = "dafnet-running_mean"
    return _failing(editor, facts([1]))


def empty_target(bench: Bench) -> Report:
    """One of the targets is empty."""
    return _failing(bench.editor(), {**facts([0]), "target_new": [" "]})


def _failing(editor: Any, arguments: dict[str, Any]) -> Report:
    before = weights(editor.model)
    try:
        editor.edit(**arguments, sequential_edit=True)
        error: Exception | None = None
    except Exception as caught:
        error = caught
    now = dict(editor.model.named_parameters())
    kept = (torch.equal(v.nan_to_num(), now[name].nan_to_num()) for name, v in before.items())
    return {"type": type(error).__name__, "message": str(error), "unchanged": all(kept)}


CHECKS = [
    registered,
    sequential,
    running_mean,
    restored,
    batch,
    several,
    pair,
    copies,
    normal_edit,
    kept,
    changed_weights,
    nan_weights,
    no_archive,
    other_modules,
    other_archive,
    empty_target,
]
