"""The model card of a folder of edits, so that the folder can be pushed to a hub as it is."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from dafnet_plugin.artifacts.logit_errors import LogitErrors
from dafnet_plugin.artifacts.peft_export import ModuleAdapter
from dafnet_plugin.artifacts.saved_edits import SavedEdits
from dafnet_plugin.editing.record import edits_of
from dafnet_plugin.files import write_text

SHOWN = 50
"""Edits in the card's table; the rest is counted."""

_LOAD_EDITS = """```python
from huggingface_hub import snapshot_download
from dafnet_plugin.artifacts.saved_edits import read_edits

undo = read_edits(snapshot_download("THIS-REPOSITORY")).apply(model)  # the base model, edited
undo()                                                                # bit for bit as before
```

The edited weights are exactly those that were saved. Any other base model is refused."""

_LOAD_ADAPTER = """```python
from peft import PeftModel

model = PeftModel.from_pretrained(model, "THIS-REPOSITORY")  # the base model, edited
model = model.merge_and_unload()                             # an ordinary model of its size
```"""

_LICENCE = """## Licence

The base model's licence holds for what is derived from it, this folder included."""


def write_card(
    saved: SavedEdits,
    folder: str | os.PathLike[str],
    adapters: Sequence[ModuleAdapter] = (),
    errors: LogitErrors | None = None,
    license: str | None = None,
) -> None:
    """Write ``README.md`` of a folder.

    Args:
        adapters: what the folder has, if it is an adapter.
        errors: see :func:`dafnet_plugin.artifacts.logit_errors.logit_errors`.
        license: as hubs name it ("apache-2.0"); None for nothing said.
    """
    from huggingface_hub import ModelCard, ModelCardData

    about = saved.about
    name = about["base"]["name"]
    public = hub_name(saved)
    data = ModelCardData(
        base_model=public,
        base_model_relation=("adapter" if adapters else "finetune") if public else None,
        license=license,
        library_name="peft" if adapters else "dafnet-plugin",
        pipeline_tag="text-generation",
        tags=["dafnet", "knowledge-editing", *(["lora"] if adapters else [])],
    )
    parts = [
        f"# {_count(len(edits_of(saved.calls)), 'edit')} of {name or about['base']['class']}",
        "Facts written into a language model with DAFNet, as "
        + ("a LoRA adapter." if adapters else "a change of some of its weights."),
        _LOAD_ADAPTER if adapters else _LOAD_EDITS,
    ]
    if adapters:
        parts.append(_errors(adapters, errors))
    parts += [_edits(saved), _origin(about), _limits(), _LICENCE]
    card = ModelCard(f"---\n{data.to_yaml()}\n---\n\n" + "\n\n".join(parts) + "\n")
    write_text(Path(folder) / "README.md", str(card))


def hub_name(saved: SavedEdits) -> str | None:
    """The base model's name on a hub, ``owner/name``.

    None for any other: without its owner it may be a directory of the machine this was made on.
    """
    name = str(saved.about["base"]["name"])
    return name if name.count("/") == 1 else None


def _errors(adapters: Sequence[ModuleAdapter], errors: LogitErrors | None) -> str:
    exact = all(adapter.exact for adapter in adapters)
    lines = [
        "## How exact it is",
        "",
        "The adapter is the update, up to rounding."
        if exact
        else "The adapter is the nearest of its rank to the update, not the update itself.",
        "",
        "| module | rank | relative error | largest error of a weight |",
        "|---|---|---|---|",
        *(
            f"| `{a.name}` | {a.rank} | {a.relative_error:.1e} | {a.largest_error:.1e} |"
            for a in adapters
        ),
    ]
    if errors is not None:
        lines += [
            "",
            f"Largest error of a logit after the edits' prompts: {errors.merged:.1e} merged, "
            f"{errors.unmerged:.1e} with the adapter beside the weights.",
        ]
    return "\n".join(lines)


def _edits(saved: SavedEdits) -> str:
    edits = edits_of(saved.calls)
    rows = [
        f"| {_cell(e.case_id)} | {_cell(e.request.prompt)} | {_cell(e.request.target_new)} |"
        for e in edits[:SHOWN]
    ]
    more = [f"\n... and {len(edits) - SHOWN} more."] if len(edits) > SHOWN else []
    return "\n".join(["## Edits", "", "| name | prompt | answer |", "|---|---|---|", *rows, *more])


def _origin(about: dict[str, Any]) -> str:
    made_with = ", ".join(f"{name} {version}" for name, version in about["versions"].items())
    return "\n".join(
        [
            "## Where it is from",
            "",
            f"- base model: {about['base']['class']}, sha256 `{about['base']['sha256']}`",
            f"- DAFNet: sha256 `{about['network']['sha256']}`",
            f"- modules: {', '.join(f'`{name}`' for name in about['edit_modules'])}",
            f"- made with {made_with}",
        ]
    )


def _limits() -> str:
    return (
        "## Limits\n\n"
        "What the edits say was asked for, and need not be true. How well they hold, and what they "
        "changed besides, was not measured for this card."
    )


def _cell(text: str) -> str:
    return text.replace("|", "\\|").replace("\n", " ")


def _count(number: int, what: str) -> str:
    return f"{number:,} {what}" + ("" if number == 1 else "s")
