"""The patches as data; the package's docstring has the reasons."""

from __future__ import annotations

import fnmatch
import functools
from collections.abc import Callable
from dataclasses import dataclass
from types import ModuleType

from . import editors, rewrites, runtime
from .locate import PACKAGE, Version

_BOTH: tuple[Version, ...] = ("wheel", "git")
_WHEEL: tuple[Version, ...] = ("wheel",)
_GIT: tuple[Version, ...] = ("git",)
_ARCHIVES = (
    "trainer.BaseTrainer",
    "trainer.utils",
    "models.mend.mend_main",
    "models.serac.serac_main",
    "models.malmen.malmen_main",
)
_GPT2 = ("models.alphaedit.AlphaEdit_main", "models.SPHERE.SPHERE_main", "models.simie.simie")
_TOKENIZERS = ("dataset.?*", "trainer.models", "trainer.algs.SERAC")


@dataclass(frozen=True)
class Patch:
    """One change to some modules of EasyEdit.

    Attributes:
        name: as in the table of the package's docstring.
        versions: the shapes of EasyEdit it is for.
        modules: patterns of module names, relative to ``easyeditor``.
        text: only modules whose source contains this are concerned.
        rewrite: changes the syntax tree before the module is compiled.
        amend: changes the module after its body has run.
    """

    name: str
    versions: tuple[Version, ...]
    modules: tuple[str, ...]
    text: bytes = b""
    rewrite: rewrites.Rewrite | None = None
    amend: Callable[[ModuleType], None] | None = None

    def concerns(self, version: Version, fullname: str, source: bytes) -> bool:
        """Say whether the patch is meant for this module."""
        name = fullname.removeprefix(PACKAGE).removeprefix(".")
        return (
            version in self.versions
            and self.text in source
            and any(fnmatch.fnmatchcase(name, pattern) for pattern in self.modules)
        )


def _llama_tokenizer(module: ModuleType) -> None:
    if hasattr(module, "LlamaTokenizer"):
        module.__dict__["LlamaTokenizer"] = runtime.llama_tokenizer()


def _module_list_slices(module: ModuleType) -> None:
    module.__dict__["monkeypatch"] = runtime.allow_slices(module.monkeypatch)


def _adalora_steps(module: ModuleType) -> None:
    # EasyEdit never calls peft's rank schedule, so any length that passes peft's check will do.
    module.__dict__["AdaLoraConfig"] = functools.partial(module.AdaLoraConfig, total_step=1)


def _log_handlers(module: ModuleType) -> None:
    module.__dict__["get_handler"] = runtime.log_handlers()


PATCHES: tuple[Patch, ...] = (
    Patch("device", _BOTH, ("*",), b"cuda:{", rewrite=rewrites.device),
    Patch(
        "training-device",
        _BOTH,
        ("trainer.*", "dataset.?*"),
        b"self.config.device",
        rewrite=rewrites.training_device,
    ),
    Patch("archive-load", _BOTH, _ARCHIVES, b"torch.load(", rewrite=rewrites.archive_load),
    Patch("tokenizer-class", _BOTH, _TOKENIZERS, rewrite=rewrites.tokenizer_class),
    Patch(
        "llama-tokenizer",
        _WHEEL,
        ("editors.editor", "dataset.?*"),
        b"LlamaTokenizer",
        amend=_llama_tokenizer,
    ),
    Patch("hidden-state", _WHEEL, ("models.memit.compute_z",), rewrite=rewrites.hidden_state),
    Patch(
        "target-start-token",
        _WHEEL,
        ("models.memit.compute_z",),
        rewrite=rewrites.target_start_token,
    ),
    Patch("gpt-names", _GIT, _GPT2, rewrite=rewrites.any_gpt2),
    Patch("module-list-slices", _WHEEL, ("trainer.algs.MEND",), amend=_module_list_slices),
    Patch("model-parallel-flag", _WHEEL, ("editors.editor",), rewrite=rewrites.model_parallel_flag),
    Patch("lora-parallel", _BOTH, ("models.lora.lora_main",), rewrite=rewrites.lora_parallel),
    Patch("adalora-steps", _BOTH, ("models.lora.lora_main",), amend=_adalora_steps),
    Patch("lora-restore", _WHEEL, ("editors.editor",), rewrite=rewrites.lora_restore),
    Patch("restore", _WHEEL, ("editors.editor",), rewrite=rewrites.restore),
    Patch("sequential-edit", _WHEEL, ("editors.editor",), amend=editors.take_sequential_edit),
    Patch("batch-edit", _WHEEL, ("editors.editor",), amend=editors.replace_batch_edit),
    Patch("model-pair", _BOTH, ("editors.editor",), amend=editors.take_model_pairs),
    Patch("log-files", _BOTH, ("util.globals",), amend=_log_handlers),
    Patch("log-files", _GIT, ("editors.utils",), rewrite=rewrites.result_files),
    Patch("root-logger", _BOTH, ("*",), b"logging.basicConfig(", rewrite=rewrites.root_logger),
    Patch("import-seed", _GIT, ("editors.*",), b"seed_everything(", rewrite=rewrites.import_seed),
)
