"""Every method of one EasyEdit on one model, in one process; reports what the tests assert on.

Usage: ``python method_worker.py FAMILY MODEL_FOLDER WORK_FOLDER``. Writes ``methods.json``: method
-> what happened, or the traceback; ``repairs.json``, see :mod:`.repairs`; and
``trainings.json``: method -> the record of a training that time ended.
"""

from __future__ import annotations

import importlib.util
import json
import sys
import traceback
from pathlib import Path
from typing import Any

import torch

from benchmarks.meta_training import archive_of, train
from benchmarks.methods.asking import ask_one_by_one, target_questions
from dafnet_plugin.files import read_json
from tests.benchmarks.methods.driving import EASYEDIT, Driven
from tests.benchmarks.methods.names import GIT, WHEEL
from tests.benchmarks.methods.repairs import Checks
from tests.benchmarks.methods.trainings import TRAINED, trained, training_job

# Little of a random model's second moments is as small as that of a trained one.
CHANGES: dict[str, dict[str, Any]] = {
    "AlphaEdit": {"nullspace_threshold": 1.0},
    "SPHERE": {"nullspace_threshold": 1.0},
    "WISE": {"n_iter": 15},
}


def run(alg_name: str, family: str, folder: Path, work: Path) -> dict[str, Any]:
    """Three edits, all that is asked of an adapter, and the same once more."""
    changes = dict(CHANGES.get(alg_name, {}))
    if alg_name in TRAINED:
        changes |= trained(alg_name, family, folder, work)
    driven = Driven(alg_name, family, folder, work, **changes)
    adapter, texts = driven.adapter, driven.texts()
    base_model = driven.editor.model
    report: dict[str, Any] = {"base": [driven.loss(base_model, i) for i in range(3)]}
    base_logits = adapter.scored_logits(base_model, texts, 0)
    first = driven.edit(0)
    report["first"] = driven.loss(first, 0)
    model = driven.edit(1, 2)
    report["final"] = [driven.loss(model, i) for i in range(3)]
    together = adapter.scored_logits(model, texts, 0)
    one_by_one = [adapter.scored_logits(model, [text], 0) for text in texts]
    report["batching"] = (together - torch.cat(one_by_one)).abs().max().item()
    if alg_name != "GRACE":  # which EasyEdit asks at the wrong place
        asked = model.model if alg_name == "MELO" else model  # as EasyEdit's evaluation does
        with torch.no_grad():
            as_easyedit = ask_one_by_one(asked, target_questions(texts))
        report["easyedit"] = (together - as_easyedit).abs().max().item()
    prompts = [text.ids[: text.target_start] for text in texts]
    answers = adapter.greedy(model, prompts, 3, 0)
    report["greedy"] = [len(answer) for answer in answers]
    first_tokens = [adapter.greedy(model, [prompt], 1, 0)[0][0] for prompt in prompts]
    sizes = [len(text.ids) - text.target_start for text in texts]
    report["greedy agrees"] = [
        answer[0] == token == logits[0].argmax().item()
        for answer, token, logits in zip(answers, first_tokens, together.split(sizes))
    ]
    report["stored"] = adapter.stored_bytes(model, driven.base)
    driven.restore()
    report["restored"] = driven.restored()
    after = adapter.scored_logits(driven.editor.model, texts, 0)
    report["same answers"] = torch.equal(after, base_logits)
    report["again"] = driven.loss(driven.edit(0), 0)
    driven.restore()
    driven.adapter.restore(driven.editor)  # harmless without an edit
    return report


def timed_trainings(family: str, folder: Path, work: Path) -> dict[str, Any]:
    """Trainings that time ends, before EasyEdit would have written anything."""
    report: dict[str, Any] = {}
    for alg_name in TRAINED:
        if alg_name == "MALMEN" and EASYEDIT.version == "wheel":
            continue
        long = {"val_interval": 10**6, "max_iters": 1}
        job = training_job(alg_name, family, folder, work / "timed", seconds=1.5, **long)
        try:
            train(job)
            report[alg_name] = read_json(job.record) | {"found": archive_of(job) is not None}
        except Exception:
            report[alg_name] = {"error": traceback.format_exc()}
    return report


def main() -> None:
    """Run each method and write the report."""
    family, folder, work = sys.argv[1], Path(sys.argv[2]), Path(sys.argv[3])
    torch.set_num_threads(1)
    report: dict[str, Any] = {}
    for alg_name in (*WHEEL, *(GIT if EASYEDIT.version == "git" else ())):
        if alg_name == "KN" and importlib.util.find_spec("einops") is None:
            continue
        try:
            report[alg_name] = run(alg_name, family, folder, work)
        except Exception:
            report[alg_name] = {"error": traceback.format_exc()}
    (work / "methods.json").write_text(json.dumps(report))
    (work / "trainings.json").write_text(json.dumps(timed_trainings(family, folder, work)))
    checks = Checks(family, folder, work)
    (work / "repairs.json").write_text(json.dumps(checks.report()))


if __name__ == "__main__":
    main()
