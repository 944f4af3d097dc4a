"""Changes to EasyEdit's ``BaseEditor``."""

from __future__ import annotations

import functools
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import PurePath
from types import ModuleType
from typing import Any

from dafnet_plugin.errors import EasyEditError
from dafnet_plugin.methods import own_methods

from . import runtime

# Methods that find the subject's position from the left; EasyEdit pads the others on the left.
_PADS_RIGHT = frozenset(
    {"ROME", "MEMIT", "EMMET", "EAMET", "R-ROME", "AlphaEdit", "CORE", "SPHERE"}
)
# Model types whose padding EasyEdit leaves to the tokenizer.
_OWN_PADDING = ("t5", "chatglm", "qwen")


class ModelPair(str):
    """The name of a model that is already in memory, with the model and its tokenizer.

    As a string it is what EasyEdit's evaluation and methods ask a model name for. Unpacking gives
    the model and the tokenizer, so hparams that hold it can make a second editor.
    """

    model: Any
    tokenizer: Any

    def __new__(cls, model: Any, tokenizer: Any) -> ModelPair:
        """Name the pair after ``model.config``."""
        pair = super().__new__(cls, _model_name(model))
        pair.model, pair.tokenizer = model, tokenizer
        return pair

    def __iter__(self) -> Iterator[Any]:
        """Yield the model and the tokenizer."""
        return iter((self.model, self.tokenizer))

    def __deepcopy__(self, memo: object) -> ModelPair:
        """Return itself: copying hyper-parameters must not copy the model."""
        return self

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickle as the plain name."""
        return str, (str(self),)


def _model_name(model: Any) -> str:
    """Return a name with the model's type in it: EasyEdit looks for ``gpt``, ``llama``, ...

    The end of the path is kept if it has the type in it (some methods know ``gpt2-xl``), else
    the type is the name.
    """
    config = getattr(model, "config", None)
    kind = str(getattr(config, "model_type", "") or "").lower()
    if not kind:
        raise EasyEditError(
            "hparams.model_name is a (model, tokenizer) pair, but the model has no "
            f"config.model_type; it is a {type(model).__name__}. Expected is a transformers model."
        )
    name = PurePath(str(getattr(config, "_name_or_path", "") or "")).name.lower()
    return name if kind in name and ("t5" in kind or "t5" not in name) else kind


def take_model_pairs(module: ModuleType) -> None:
    """Let ``hparams.model_name`` be a (model, tokenizer) pair."""
    editor = module.BaseEditor
    original = editor.__init__

    @functools.wraps(original)
    def init(self: Any, hparams: Any) -> None:
        name = getattr(hparams, "model_name", None)
        if isinstance(name, tuple | list):
            if len(name) != 2:
                raise EasyEditError(
                    "hparams.model_name must be a string or a (model, tokenizer) pair, not "
                    f"{len(name)} objects"
                )
            hparams.model_name = ModelPair(*name)
        elif hparams.alg_name in own_methods() and (hparams.dtype or hparams.quantise):
            hparams.model_name = _loaded(hparams)  # EasyEdit knows float32 and float16 only
        try:
            original(self, hparams)
        except NotImplementedError:
            # What EasyEdit says of a name in which it finds none of the words it knows.
            if hparams.alg_name not in own_methods() or isinstance(hparams.model_name, ModelPair):
                raise
            hparams.model_name = _loaded(hparams)
            original(self, hparams)
        if isinstance(hparams.model_name, ModelPair):
            _prepare_tokenizer(self.tok, self.model.config.model_type, hparams.alg_name)

    editor.__init__ = init


def _loaded(hparams: Any) -> ModelPair:
    """The model that a method of this package shall edit, loaded as `dafnet edit` does."""
    from dafnet_plugin.base_models import load_base_model
    from dafnet_plugin.devices import resolve_device

    # EasyEdit's own meaning of a device: a number is the CPU where there is no GPU.
    device = resolve_device(runtime.resolve_device(hparams.device))
    return ModelPair(*load_base_model(hparams, device))


def _prepare_tokenizer(tokenizer: Any, model_type: str, alg_name: str) -> None:
    """Set pad token and padding side as EasyEdit does when it loads the tokenizer itself."""
    if model_type.lower().startswith(_OWN_PADDING):
        return
    tokenizer.pad_token_id = tokenizer.eos_token_id
    tokenizer.padding_side = "right" if alg_name in _PADS_RIGHT else "left"


def _keep(editor: Any, sequential_edit: bool | None, settings: dict[str, Any]) -> dict[str, Any]:
    """Translate git's ``sequential_edit`` into the wheel's ``keep_original_weight``.

    The wheel's own methods keep the wheel's default, which accumulates; this package's have one
    default on both versions, git's: each edit is undone.
    """
    if sequential_edit is None and editor.alg_name in own_methods():
        sequential_edit = not settings.get("keep_original_weight", True)
    if sequential_edit is None:
        return settings
    return {**settings, "keep_original_weight": not sequential_edit}


def take_sequential_edit(module: ModuleType) -> None:
    """Give the wheel's ``edit`` and ``edit_requests`` git's ``sequential_edit``."""
    editor = module.BaseEditor

    def with_sequential(original: Any) -> Any:
        @functools.wraps(original)
        def edit(self: Any, *args: Any, sequential_edit: bool | None = None, **kwargs: Any) -> Any:
            return original(self, *args, **_keep(self, sequential_edit, kwargs))

        return edit

    editor.edit = with_sequential(editor.edit)
    editor.edit_requests = with_sequential(editor.edit_requests)


def replace_batch_edit(module: ModuleType) -> None:
    """Give the wheel a ``batch_edit`` that measures in the right order and forgets no chunk."""

    def batch_edit(
        self: Any,
        prompts: Sequence[str],
        target_new: Sequence[str],
        ground_truth: Sequence[str] | str | None = None,
        rephrase_prompts: Sequence[str] | None = None,
        locality_inputs: Mapping[str, Any] | None = None,
        portability_inputs: Mapping[str, Any] | None = None,
        keep_original_weight: bool | None = None,
        verbose: bool = True,
        sequential_edit: bool | None = None,
        **kwargs: Any,
    ) -> tuple[list[dict[str, Any]], Any, Any]:
        """Edit ``hparams.batch_size`` requests at a time.

        Returns:
            The metrics of every request, the edited model, the weights_copy of the last batch.
        """
        if not module.BatchEditor.is_batchable_method(self.alg_name):
            raise EasyEditError(f"the method {self.alg_name} cannot edit in batches; use edit()")
        if not hasattr(self.hparams, "batch_size"):
            raise EasyEditError(
                f"batch_edit needs hparams.batch_size, and {self.alg_name} has none"
            )
        if isinstance(ground_truth, str):
            ground_truth = [ground_truth]
        truths = ground_truth or ["<|endoftext|>"] * len(prompts)
        if not len(prompts) == len(target_new) == len(truths):
            raise EasyEditError(
                f"batch_edit was given {len(prompts)} prompts, {len(target_new)} targets and "
                f"{len(truths)} ground truths; expected is one of each per edit"
            )
        requests = self._prepare_requests(
            prompts,
            target_new,
            truths,
            rephrase_prompts,
            kwargs.pop("locality_prompts", locality_inputs),
            kwargs.pop("locality_ground_truth", portability_inputs),
            **kwargs,
        )
        given = (
            {} if keep_original_weight is None else {"keep_original_weight": keep_original_weight}
        )
        keep = _keep(self, sequential_edit, given).get("keep_original_weight", False)
        generate = kwargs.get("test_generation", False)

        def measure(model: Any, request: Mapping[str, Any]) -> dict[str, Any]:
            quality: dict[str, Any] = module.compute_edit_quality(
                model,
                self.model_name,
                self.hparams,
                self.tok,
                request,
                self.hparams.device,
                test_generation=generate,
            )
            return quality

        metrics: list[dict[str, Any]] = []
        edited, weights_copy = self.model, None
        for chunk in self._chunks(requests, self.hparams.batch_size):
            before = [measure(self.model, request) for request in chunk]
            start = time.perf_counter()
            edited, weights_copy = self.apply_algo(
                self.model,
                self.tok,
                chunk,
                self.hparams,
                copy=False,
                return_orig_weights=True,
                keep_original_weight=keep,
            )
            seconds = time.perf_counter() - start
            for request, pre in zip(chunk, before):
                post = measure(edited, request)
                _score_locality(pre, post)
                metrics.append(
                    {
                        "pre": pre,
                        "case_id": len(metrics),
                        "requested_rewrite": request,
                        "time": seconds,
                        "post": post,
                    }
                )
                if verbose:
                    module.LOG.info("%s -> %s: %s", request["prompt"], request["target_new"], post)
            runtime.restore_weights(self.model, weights_copy)
        return metrics, edited, weights_copy

    module.BaseEditor.batch_edit = batch_edit


def _score_locality(pre: dict[str, Any], post: dict[str, Any]) -> None:
    """Replace the locality outputs by how far they agree before and after, as ``edit`` does."""
    import numpy as np

    outputs = pre.pop("locality", {})
    for key in [key for key in outputs if key.endswith("_output")]:
        after = post["locality"].pop(key)
        post["locality"][key.removesuffix("_output") + "_acc"] = [
            float(np.mean(np.equal(new, old))) for new, old in zip(after, outputs[key])
        ]
