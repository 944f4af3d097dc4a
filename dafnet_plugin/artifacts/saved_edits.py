"""Edits as a folder: the update alone, exact, with all that is known of how it came about.

``edits-<digest>.safetensors`` has the change of each edited parameter, as stored there, mostly in
float32: ``weight = (weight.to(change.dtype) + change).to(weight.dtype)`` gives the edited model bit
for bit. ``edits.json`` has the record and says which file that is;
``memory-<digest>.safetensors``, if asked for, has what continues the sequence.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save
from torch import Tensor, nn

from dafnet_plugin.artifacts.identity import check_base, identity_of_base, identity_of_editor
from dafnet_plugin.artifacts.memory import memory_tensors
from dafnet_plugin.artifacts.record_json import calls_from_json, calls_to_json
from dafnet_plugin.editing.editor import DAFNetEditor
from dafnet_plugin.editing.modules import find_edit_modules
from dafnet_plugin.editing.record import Calls
from dafnet_plugin.editing.weights import EditedWeights, updated
from dafnet_plugin.errors import CheckpointError, DataError
from dafnet_plugin.files import atomic_path, read_json, sha256, write_json
from dafnet_plugin.versions import versions

FORMAT = 2
RECORD, UPDATE, MEMORY = "edits.json", "edits", "memory"
_DIGESTS = {UPDATE: "update_sha256", MEMORY: "memory_sha256"}


@dataclass(frozen=True)
class SavedEdits:
    """What a folder of edits holds.

    Attributes:
        folder: where it is.
        about: base model, network, edited modules, versions: what ``edits.json`` says of them.
        calls: the edits and how they were made.
        changes: change of each edited parameter, by its name in the base model, as stored there.
    """

    folder: Path
    about: dict[str, Any]
    calls: Calls
    changes: dict[str, Tensor]

    @property
    def modules(self) -> list[dict[str, Any]]:
        """``name`` and ``transposed`` (stored as [d_out, d_in]) of each edited module."""
        return list(self.about["modules"])

    @property
    def memory(self) -> Path | None:
        """The file with the edit memory, None if there is none."""
        digest = self.about.get(_DIGESTS[MEMORY])
        return None if digest is None else tensors_file(self.folder, MEMORY, digest)

    @torch.no_grad()
    def apply(self, model: nn.Module) -> Callable[[], None]:
        """Add the update to the weights of the base model it was made for.

        Neither DAFNet nor a tokenizer is needed; to go on editing, load into an editor instead.

        Returns:
            a function that takes the update off again, bit for bit.

        Raises:
            CheckpointError: it is another base model; says what differs.
            ModelError: the model lacks a module.
        """
        check_base(identity_of_base(model, {}), self.about["base"], str(self.folder))
        modules = find_edit_modules(model, [module["name"] for module in self.modules])
        weights = EditedWeights(modules, any(name.endswith(".bias") for name in self.changes))
        changes = [
            change.to(p.device) for change, p in zip(self.changes.values(), weights.parameters)
        ]
        weights.give(updated(weights.originals, changes))

        @torch.no_grad()
        def take_off() -> None:
            weights.give(weights.originals)

        return take_off


def edits_of_editor(editor: DAFNetEditor, folder: str | os.PathLike[str]) -> SavedEdits:
    """The edits that an editor's model carries, as a folder would hold them.

    Raises:
        DataError: there is no edit.
    """
    snapshot = editor.snapshot()
    if snapshot.state is None:
        raise DataError(f"{folder}: nothing to be saved: the model carries no edits")
    about = {
        "format": FORMAT,
        **identity_of_editor(editor),
        "modules": [{"name": m.name, "transposed": m.transposed} for m in editor.modules],
        "versions": versions(),
    }
    return SavedEdits(Path(folder), about, snapshot.calls, named_changes(editor))


def save_edits(
    editor: DAFNetEditor, folder: str | os.PathLike[str], *, memory: bool = False
) -> SavedEdits:
    """Write the edits that an editor's model carries.

    Into a folder with other edits, too: these are what is read until the last file, the record, is
    replaced, whatever kills the process.

    Args:
        memory: write the edit memory, too: the sequence can be continued without making its edits
            again. It has some numbers more for each squared input width of a module.

    Raises:
        DataError: there is no edit.
    """
    saved = edits_of_editor(editor, folder)
    state = editor.snapshot().state
    about = {**saved.about, "edits": calls_to_json(saved.calls)}
    files = {UPDATE: saved.changes}
    if memory and state is not None:
        files[MEMORY] = memory_tensors(state, editor)
    written = set()
    for kind, tensors in files.items():
        data = save(tensors)
        about[_DIGESTS[kind]] = digest = hashlib.sha256(data).hexdigest()
        path = tensors_file(saved.folder, kind, digest)
        with atomic_path(path) as temporary:
            temporary.write_bytes(data)
        written.add(path.name)
    write_json(saved.folder / RECORD, about)
    for kind in _DIGESTS:
        for path in saved.folder.glob(f"{kind}-*.safetensors"):
            if path.name not in written:
                path.unlink(missing_ok=True)
    return replace(saved, about=about)


def tensors_file(folder: Path, kind: str, digest: str) -> Path:
    """The file of one kind of which a record has the SHA-256."""
    return folder / f"{kind}-{digest[:16]}.safetensors"


def named_changes(editor: DAFNetEditor) -> dict[str, Tensor]:
    """Change of each edited parameter, by its name in the base model, as stored there."""
    state = editor.snapshot().state
    assert state is not None  # asked only where there are edits
    names = [
        f"{edit_module.name}.{kind}"
        for edit_module in editor.modules
        for kind in (("weight", "bias") if editor.dafnet.edit_bias else ("weight",))
    ]
    changes = editor.weights.changes(state)
    return {
        name: change.detach().cpu().contiguous().clone()
        for name, change in zip(names, changes, strict=True)
    }


def read_edits(folder: str | os.PathLike[str]) -> SavedEdits:
    """Read a folder of edits.

    Raises:
        CheckpointError: a file is missing, damaged or of another format; names it.
    """
    folder = Path(folder)
    if not (folder / RECORD).is_file():
        raise CheckpointError(f"{folder}: no saved edits here ({RECORD} is missing)")
    try:
        about: Mapping[str, Any] = read_json(folder / RECORD)
        if about["format"] != FORMAT:
            raise CheckpointError(
                f"{folder / RECORD}: format {about['format']!r}; this version reads {FORMAT}"
            )
        update = tensors_file(folder, UPDATE, about[_DIGESTS[UPDATE]])
        for kind, key in _DIGESTS.items():
            if (digest := about.get(key)) is None:
                continue  # a folder without edit memory
            path = tensors_file(folder, kind, digest)
            if digest != sha256(path):
                raise CheckpointError(
                    f"{folder}: {path.name} is damaged, or not what {RECORD} was written with"
                )
        calls = calls_from_json(about["edits"])
        changes = load_file(update)
    except KeyError as error:
        raise CheckpointError(f"{folder / RECORD}: damaged: {error} is missing") from error
    except (TypeError, DataError, OSError, SafetensorError) as error:
        raise CheckpointError(f"{folder}: damaged: {error}") from error
    names = [
        name
        for module in about["modules"]
        for name in (f"{module['name']}.weight", f"{module['name']}.bias")
        if name in changes
    ]
    return SavedEdits(folder, dict(about), calls, {name: changes[name] for name in names})
