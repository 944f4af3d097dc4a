"""A forward pass of an edited model beside one of the unedited model."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from functools import partial

import torch
from torch import nn

from benchmarks.speed.context import Context
from benchmarks.speed.result import Metric, Outcome, Target, compared
from benchmarks.speed.setting import Setting
from benchmarks.speed.timing import side_by_side

AT_MOST = 1.02
"""Times the unedited model's; 1.00 and what a clock cannot tell apart."""
EDITS = 10


@torch.no_grad()
def forward(context: Context) -> Outcome:
    """With one text and with many."""
    setting = Setting.make(context.sizes, context.seed)
    dafnet = setting.dafnet()
    editor, reference = setting.editor(dafnet), setting.reference(dafnet)
    facts = setting.facts[:EDITS]
    editor.edit(facts)
    reference.edit(setting.batch(facts))
    assert reference.memory is not None  # it was edited
    models = {"unedited": copy.deepcopy(setting.model), "ours": editor.model}
    with reference.edited(reference.memory):
        return Outcome(
            tuple(
                _metric(context, models | {"reference-like": reference.model}, setting, texts)
                for texts in dict.fromkeys((1, context.sizes.texts))
            )
        )


def _metric(
    context: Context, models: Mapping[str, nn.Module], setting: Setting, texts: int
) -> Metric:
    batch = setting.batch(setting.facts[:texts])

    def passes(model: nn.Module) -> None:
        for _ in range(context.sizes.forwards):
            model(input_ids=batch.input_ids, attention_mask=batch.attention_mask, use_cache=False)

    works = {name: partial(passes, model) for name, model in models.items()}
    found = side_by_side(works, 3 * context.sizes.repeats)
    return compared(
        f"edited_forward_{texts}",
        f"Forward pass of an edited model, {texts} text{'s' if texts > 1 else ''}",
        "x unedited",
        found["ours"].over(found["unedited"]),
        found["reference-like"].over(found["unedited"]),
        Target("ours", AT_MOST),
    )
