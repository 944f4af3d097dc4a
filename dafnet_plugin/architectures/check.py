"""Whether hyper-parameters fit the model they name, told without its weights."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from dafnet_plugin.architectures.plan import Plan, plan_for
from dafnet_plugin.architectures.published import find_published, published_models
from dafnet_plugin.architectures.skeleton import (
    Skeleton,
    skeleton_of_cached,
    skeleton_of_path,
    skeleton_of_published,
)
from dafnet_plugin.architectures.structure import embeddings_are_tied, fused_parts, tied_to
from dafnet_plugin.artifacts.checkpoint import CONFIG
from dafnet_plugin.editing.modules import EditModule, find_edit_modules
from dafnet_plugin.errors import ConfigError, ModelError
from dafnet_plugin.files import read_json
from dafnet_plugin.methods.hparams import NeuronHparams
from dafnet_plugin.methods.ke.checkpoint import STEM
from dafnet_plugin.methods.neurons import find_feed_forwards

DESCRIBED = {"DAFNET": CONFIG, "KE": f"{STEM}.json"}
"""The file of an archive that says what it was trained for, by method."""


@dataclass(frozen=True)
class Findings:
    """What came of checking hyper-parameters against a model.

    Attributes:
        skeleton: the model.
        modules: those whose weights are to be edited; none of a method that adds neurons.
        plan: sizes of a DAFNet; None for another method.
        notes: what is right but worth knowing.
    """

    skeleton: Skeleton
    modules: list[EditModule]
    plan: Plan | None
    notes: list[str] = field(default_factory=list)


class Skeletons:
    """Models by name, each built once."""

    def __init__(self) -> None:
        self._table = published_models()
        self._known: dict[str, Skeleton | None] = {}

    def find(self, model_name: str) -> Skeleton | None:
        """The model that a ``model_name`` means.

        In this order: a directory with a ``config.json``, an entry of the table, what a hub's
        cache on this machine has; None if it is none of them.

        Raises:
            ModelError: there is a config, and transformers cannot build a model from it.
        """
        if model_name not in self._known:
            self._known[model_name] = self._build(model_name)
        return self._known[model_name]

    def _build(self, model_name: str) -> Skeleton | None:
        if (Path(model_name) / "config.json").is_file():
            return skeleton_of_path(Path(model_name))
        entry = find_published(model_name, self._table)
        if entry is not None:
            return skeleton_of_published(entry)
        return skeleton_of_cached(model_name)


def check(hparams: Any, skeleton: Skeleton, origin: str) -> Findings:
    """Check hyper-parameters against a model.

    Args:
        hparams: of editing or of training, of any method of this package.
        origin: the file they are from, for messages.

    Raises:
        ConfigError: a module is missing, not linear (of a method that adds neurons: not a
            feed-forward module), tied or of another shape than stated, has no bias to be edited, or
            the archive is of other modules; the class is another one. All problems at once.
    """
    problems = _class_problems(hparams, skeleton)
    modules: list[EditModule] = []
    try:
        if isinstance(hparams, NeuronHparams):
            find_feed_forwards(skeleton.model, hparams.edit_modules)
        else:
            modules = find_edit_modules(skeleton.model, hparams.edit_modules)
    except ModelError as error:
        problems.append(str(error))
    for edit_module in modules:
        problems += _module_problems(hparams, skeleton, edit_module)
    problems += _archive_problems(hparams, modules)
    if problems:
        raise ConfigError(
            f"{origin}: {len(problems)} problem(s) with {skeleton.origin}\n"
            + "\n".join(f"  - {problem}" for problem in problems)
        )
    plan = plan_for(hparams, skeleton.model, modules) if hparams.METHOD == "DAFNET" else None
    return Findings(skeleton, modules, plan, _notes(skeleton, modules))


def _class_problems(hparams: Any, skeleton: Skeleton) -> list[str]:
    name = getattr(hparams, "model_class", None)
    actual = type(skeleton.model).__name__
    if name is None or name in ("AutoModelForCausalLM", actual):
        return []
    return [f"model_class: {name!r}; allowed: {actual!r} or 'AutoModelForCausalLM'"]


def _module_problems(hparams: Any, skeleton: Skeleton, edit_module: EditModule) -> list[str]:
    found = []
    stated = skeleton.published.stated_shape(edit_module.name) if skeleton.published else None
    if stated is not None and stated != edit_module.shape:
        found.append(
            f"edit_modules: {edit_module.name} is {edit_module.shape} (d_in, d_out); "
            f"{stated} is stated for this model"
        )
    tied = tied_to(skeleton.model, edit_module)
    if tied:
        found.append(
            f"edit_modules: the weight of {edit_module.name} is also {', '.join(tied)}; an edit "
            "would change both"
        )
    if getattr(hparams, "edit_bias", False) and edit_module.bias is None:
        found.append(f"edit_bias: true; {edit_module.name} has no bias")
    return found


def _archive_problems(hparams: Any, modules: Sequence[EditModule]) -> list[str]:
    """What a network that is there already was trained for, against what is edited."""
    archive = getattr(hparams, "archive", None)
    file = Path(archive or "") / DESCRIBED.get(hparams.METHOD, "")
    if not modules or not archive or not file.is_file():
        return []
    trained = read_json(file)
    names, shapes = trained.get("edit_modules"), trained.get("shapes")
    if names == hparams.edit_modules and shapes == [list(m.shape) for m in modules]:
        return []
    return [f"archive: {archive!r} was trained for {names} of shapes {shapes}"]


def _notes(skeleton: Skeleton, modules: Sequence[EditModule]) -> list[str]:
    notes = []
    if embeddings_are_tied(skeleton.model):
        notes.append("the language-model head is the token embeddings (tied); neither is edited")
    for edit_module in modules:
        parts = fused_parts(skeleton.model, edit_module)
        if parts is not None:
            notes.append(f"{edit_module.name} is fused: {parts} matrices in one, edited together")
    return notes
