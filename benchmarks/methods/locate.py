"""ROME, MEMIT and their kin, which solve for a change of one layer's keys and values."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any, ClassVar, Literal

import torch

from benchmarks.methods.adapter import PlainAdapter
from dafnet_plugin.cases import EditCase
from dafnet_plugin.easyedit.compat import EasyEdit
from dafnet_plugin.easyedit.statistics import provide_statistics
from dafnet_plugin.errors import ConfigError, DataError
from dafnet_plugin.files import atomic_path


class LocateAdapter(PlainAdapter):
    """Gives these methods their statistics, and the token they edit at.

    Args:
        edit_at: ``subject`` edits at the last token of the subject, as published. In a model of a
            few layers hardly anything has been looked up there yet; at the end of the prompt it
            has. So by default the whole prompt is given as the subject (``fact_token: last`` is
            refused by EasyEdit).
        templates: let the model make up context templates, as published. A tiny model continues
            "The" with nothing of use, so by default the prompt stands alone.

    Raises:
        ConfigError: ``edit_at`` is something else.
    """

    nested_templates = True  # in EasyEdit a list of lists of templates; ROME has a flat list

    def __init__(
        self,
        alg_name: str,
        repaired: bool = True,
        edit_at: Literal["prompt", "subject"] = "prompt",
        templates: bool = False,
    ) -> None:
        super().__init__(alg_name, repaired)
        if edit_at not in ("prompt", "subject"):
            raise ConfigError(f"{alg_name}: edit_at: {edit_at!r}; allowed: prompt, subject")
        self._edit_at, self._templates = edit_at, templates

    def request(self, case: EditCase, bystanders: Sequence[str] = ()) -> dict[str, Any]:
        """See :meth:`Adapter.request`; these methods take braces for the subject's place."""
        request = super().request(case)
        if self._edit_at == "prompt":
            request["subject"] = request["prompt"]
        if {"{", "}"} & set(request["prompt"]):
            raise DataError(f"case {case.case_id}: {self.alg_name} takes no prompt with braces")
        if request["subject"] not in request["prompt"]:
            raise DataError(
                f"case {case.case_id}: subject {request['subject']!r} is not in the prompt "
                f"{request['prompt']!r}, where {self.alg_name} edits"
            )
        return request

    def prepare(
        self, easyedit: EasyEdit, editor: Any, hparams: Any, texts: Sequence[str], seed: int
    ) -> None:
        """Write the second moments that are missing, and set the context templates."""
        super().prepare(easyedit, editor, hparams, texts, seed)
        if not self._templates:
            self.module(editor).CONTEXT_TEMPLATES_CACHE = (
                [["{}"]] if self.nested_templates else ["{}"]
            )
        if getattr(hparams, "mom2_adjustment", True):
            provide_statistics(
                editor.model, editor.tok, hparams, texts, version=easyedit.version, seed=seed
            )

    @staticmethod
    def module(editor: Any) -> Any:
        """The module of EasyEdit with the method's process-wide caches."""
        return sys.modules[editor.apply_algo.__module__]


class ROMEAdapter(LocateAdapter):
    """ROME and R-ROME."""

    nested_templates = False


class RightPaddedAdapter(LocateAdapter):
    """MEMIT-FE, which EasyEdit forgot to pad on the right."""

    repair: ClassVar[str | None] = (
        "pads on the right, as its search for the token to edit expects; EasyEdit pads on the "
        "left, so that all but the longest of its prompts are edited at another token"
    )

    def prepare(
        self, easyedit: EasyEdit, editor: Any, hparams: Any, texts: Sequence[str], seed: int
    ) -> None:
        """See :meth:`LocateAdapter.prepare`."""
        super().prepare(easyedit, editor, hparams, texts, seed)
        if self.repaired:
            editor.tok.padding_side = "right"


class PMETAdapter(RightPaddedAdapter):
    """PMET."""

    repair = (
        "pads on the right (see MEMIT-FE), and puts a space before the answer for every model; "
        "EasyEdit does so for models with `gpt` in their name only"
    )

    def request(self, case: EditCase, bystanders: Sequence[str] = ()) -> dict[str, Any]:
        """See :meth:`LocateAdapter.request`."""
        request = super().request(case, bystanders)
        space = " " if self.repaired else ""
        return request | {"target_new": space + request["target_new"].strip()}


class NullSpaceAdapter(LocateAdapter):
    """AlphaEdit and SPHERE, which project onto the null space of keys to be preserved."""

    def prepare(
        self, easyedit: EasyEdit, editor: Any, hparams: Any, texts: Sequence[str], seed: int
    ) -> None:
        """Write the projection to a file of its own; EasyEdit would compute it at each edit."""
        super().prepare(easyedit, editor, hparams, texts, seed)
        layers = "-".join(map(str, hparams.layers))
        name = f"null_space_{layers}_{hparams.mom2_n_samples}_{hparams.nullspace_threshold}.pt"
        path = Path(hparams.stats_dir) / name
        if not path.is_file():
            module = self.module(editor)
            projection = torch.stack(
                [
                    module.get_project(editor.model, editor.tok, layer, hparams).cpu()
                    for layer in hparams.layers
                ]
            )
            with atomic_path(path) as temporary:
                torch.save(projection, temporary)
        hparams.P_loc = str(path)
        self._forget(editor)

    def restore(self, editor: Any) -> None:
        """Forget the keys of earlier edits, which these methods keep for the whole process."""
        self._forget(editor)

    def _forget(self, editor: Any) -> None:
        module = self.module(editor)
        module.cache_c_new = module.P_loaded = False


class SimIEAdapter(PlainAdapter):
    """SimIE, which makes the edits of another method hold in a sequence.

    The other method's hyper-parameters are in the file of the same name in its own folder, as
    EasyEdit has them.
    """

    repair = "pads on the right, as the method inside expects; EasyEdit pads on the left"
    inner: ClassVar[dict[str, type[LocateAdapter]]] = {"ROME": ROMEAdapter, "MEMIT": LocateAdapter}

    def __init__(self, alg_name: str, repaired: bool = True, **options: Any) -> None:
        super().__init__(alg_name, repaired)
        self._options = options
        self._inner: LocateAdapter = ROMEAdapter("ROME", repaired, **options)

    def complete(self, hparams: Any, read: Callable[[str], Any]) -> None:
        """Read the hyper-parameters of the method inside."""
        if hparams.base_method not in self.inner:
            raise ConfigError(
                f"SimIE: base_method: {hparams.base_method!r}; allowed: {', '.join(self.inner)}"
            )
        hparams._base_hparams = read(hparams.base_method)

    def request(self, case: EditCase, bystanders: Sequence[str] = ()) -> dict[str, Any]:
        """See :meth:`LocateAdapter.request`."""
        return self._inner.request(case, bystanders)

    def prepare(
        self, easyedit: EasyEdit, editor: Any, hparams: Any, texts: Sequence[str], seed: int
    ) -> None:
        """See :meth:`LocateAdapter.prepare`."""
        name, self._hparams = hparams.base_method, hparams
        self._inner = self.inner[name](name, self.repaired, **self._options)
        inside = SimpleNamespace(
            apply_algo=easyedit.alg_dict[name], model=editor.model, tok=editor.tok
        )
        self._inner.prepare(easyedit, inside, hparams.base_hparams, texts, seed)
        if self.repaired:
            editor.tok.padding_side = "right"

    def restore(self, editor: Any) -> None:
        """Forget past edits, which SimIE keeps with its hyper-parameters."""
        vars(self._hparams).pop("_simie_instance", None)
