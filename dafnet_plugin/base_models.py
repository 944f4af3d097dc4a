"""Loading base models: in what precision, on which devices, by which transformers classes."""

from __future__ import annotations

from importlib.util import find_spec
from typing import TYPE_CHECKING, Any, TypeAlias

import torch

from dafnet_plugin.editing.quantised import attach_side_weights
from dafnet_plugin.errors import ConfigError

if TYPE_CHECKING:
    from dafnet_plugin.hparams import DAFNetHparams, DAFNetTrainingHparams
    from dafnet_plugin.methods.hparams import MethodHparams

    Hparams: TypeAlias = DAFNetHparams | DAFNetTrainingHparams | MethodHparams


def load_base_model(hparams: Hparams, device: torch.device) -> tuple[Any, Any]:
    """Load the model and the tokenizer that hyper-parameters name.

    Args:
        device: where the model goes, unless ``model_parallel`` spreads it over all there are.

    Raises:
        ConfigError: a class that transformers does not have, or a model that cannot be loaded.
    """
    import transformers

    if isinstance(hparams.model_name, tuple):
        model, tokenizer = hparams.model_name
        # One that is spread over devices, or quantised, has its place already.
        placed = _is_spread(model) or getattr(model, "is_quantized", False)
        return model if placed else model.to(device), tokenizer
    classes = {
        "model_class": getattr(hparams, "model_class", "AutoModelForCausalLM"),
        "tokenizer_class": getattr(hparams, "tokenizer_class", "AutoTokenizer"),
    }
    for key, name in classes.items():
        if not hasattr(transformers, name):
            raise ConfigError(f"{key}: transformers has no class {name!r}")
    settings: dict[str, Any] = {_dtype_key(): model_dtype(hparams)}
    if hparams.quantise:
        settings["quantization_config"] = _quantisation(hparams.quantise, model_dtype(hparams))
        settings["device_map"] = {"": device}
    if hparams.model_parallel:
        settings["device_map"] = "auto"
    try:
        model = getattr(transformers, classes["model_class"]).from_pretrained(
            hparams.model_name, **settings
        )
        tokenizer = getattr(transformers, classes["tokenizer_class"]).from_pretrained(
            getattr(hparams, "tokenizer_name", None) or hparams.model_name
        )
    except (OSError, ValueError) as error:
        raise ConfigError(
            f"model_name: {hparams.model_name!r} cannot be loaded: {error}"
        ) from error
    if hparams.quantise:
        attach_side_weights(model, hparams.edit_modules)
        return model, tokenizer
    return model if hparams.model_parallel else model.to(device), tokenizer


def _quantisation(quantise: str, dtype: torch.dtype) -> Any:
    """What ``from_pretrained`` needs to know to quantise a model while it loads it."""
    import transformers

    missing = [name for name in ("bitsandbytes", "accelerate") if find_spec(name) is None]
    if missing:
        raise ConfigError(
            f"quantise: {quantise!r} needs {' and '.join(missing)}; "
            f"pip install {' '.join(missing)}, or quantise: null"
        )
    if quantise == "8bit":
        return transformers.BitsAndBytesConfig(load_in_8bit=True)
    return transformers.BitsAndBytesConfig(
        load_in_4bit=True,
        bnb_4bit_quant_type="nf4",
        bnb_4bit_compute_dtype=dtype,
    )


def model_dtype(hparams: Hparams) -> torch.dtype:
    """The precision to load the base model in: ``dtype``, else what ``fp16`` says."""
    names = {"float32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16}
    return names[hparams.dtype or ("float16" if hparams.fp16 else "float32")]


def _is_spread(model: Any) -> bool:
    return len(set(getattr(model, "hf_device_map", None) or ())) > 1


def _dtype_key() -> str:
    """What ``from_pretrained`` calls the precision; the old name warns from 4.56 on."""
    import transformers
    from packaging.version import Version

    return "dtype" if Version(transformers.__version__) >= Version("4.56") else "torch_dtype"
