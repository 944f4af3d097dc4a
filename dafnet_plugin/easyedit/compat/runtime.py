"""What patched ``easyeditor`` code calls. Imports torch and transformers only when called."""

from __future__ import annotations

import logging
import os
import sys
from collections.abc import Callable, Mapping
from typing import IO, Any

from dafnet_plugin.errors import EasyEditError

# The name under which patched modules know this module.
NAME = "_dafnet_runtime"


def resolve_device(device: object) -> str:
    """Return the torch device that EasyEdit's ``device`` means.

    A number is that GPU, or the CPU on a machine without CUDA; anything else is itself.
    """
    import torch

    text = str(device).strip()
    if not text.isdigit():
        return text
    return f"cuda:{text}" if torch.cuda.is_available() else "cpu"


def hidden_state(output: Any) -> Any:
    """Return the hidden states, [batch, tokens, d], in a decoder layer's output."""
    return output[0] if isinstance(output, tuple | list) else output


def forget_peft(model: Any) -> None:
    """Delete the mark peft leaves on a model, if it is there."""
    if hasattr(model, "peft_config"):
        del model.peft_config


def restore_weights(model: Any, weights_copy: object) -> None:
    """Undo an edit: call ``weights_copy``, or write its tensors back, or do nothing for None.

    Raises:
        EasyEditError: it is none of the three.
    """
    import torch

    if weights_copy is None:
        return
    with torch.no_grad():
        if callable(weights_copy):
            weights_copy()
        elif isinstance(weights_copy, Mapping):
            for name, value in weights_copy.items():
                model.get_parameter(name).copy_(value)
        else:
            raise EasyEditError(
                "an editing method must return weights_copy as a mapping from parameter name to "
                f"tensor, a callable, or None; this one returned {type(weights_copy).__name__}"
            )


def tokenizer_class(name: str) -> Any:
    """Return the transformers class ``name``, AutoTokenizer for any Llama tokenizer."""
    import transformers

    return getattr(transformers, "AutoTokenizer" if name.startswith("LlamaTokenizer") else name)


def llama_tokenizer() -> type:
    """Return a stand-in for ``LlamaTokenizer`` that loads, and recognises, what is there today.

    ``from_pretrained`` is AutoTokenizer's; every fast tokenizer counts as an instance, because
    that is what AutoTokenizer gives for a Llama checkpoint (EasyEdit pads these on the left).
    """
    import transformers

    known = (transformers.LlamaTokenizer, transformers.PreTrainedTokenizerFast)

    class AnyLlama(type):
        def __instancecheck__(cls, tokenizer: object) -> bool:
            return isinstance(tokenizer, known)

    class LlamaTokenizer(metaclass=AnyLlama):
        from_pretrained = staticmethod(transformers.AutoTokenizer.from_pretrained)

    return LlamaTokenizer


def allow_slices(monkeypatch: Callable[..., Any]) -> Callable[..., Any]:
    """Wrap ``higher``'s monkeypatch so that module lists of its result can be sliced.

    ``nn.ModuleList`` builds a slice with its own class, whose constructor ``higher`` replaced.
    The class changed here is the one ``higher`` made for this very list.
    """
    import torch

    def patched(*args: Any, **kwargs: Any) -> Any:
        functional = monkeypatch(*args, **kwargs)
        for module in functional.modules():
            if isinstance(module, torch.nn.ModuleList):
                setattr(type(module), "__getitem__", _list_item)  # noqa: B010
        return functional

    return patched


def _list_item(modules: Any, index: Any) -> Any:
    return list(modules._modules.values())[index]


def log_handlers() -> Callable[[str, str], tuple[logging.Handler, logging.Handler]]:
    """Return a ``get_handler(path, log_name)`` that neither makes folders nor repeats handlers.

    It gives a file handler if the folder exists, and no second stream handler: records already
    reach the console through the logger "easyeditor".
    """
    handlers: dict[str, logging.Handler] = {}

    def get_handler(path: str, log_name: str) -> tuple[logging.Handler, logging.Handler]:
        file = os.path.abspath(os.path.join(path, log_name))
        if file not in handlers and os.path.isdir(path):
            handler = logging.FileHandler(file, delay=True)
            handler.setFormatter(logging.Formatter("%(asctime)s - %(levelname)s - %(message)s"))
            handlers[file] = handler
        none = handlers.setdefault("", logging.NullHandler())
        return handlers.get(file, none), none

    return get_handler


def open_result(file: str, *args: Any, **kwargs: Any) -> IO[Any]:
    """Open a result file for writing if its folder exists, else somewhere it leaves no trace."""
    there = os.path.isdir(os.path.dirname(os.path.abspath(file)))
    return open(file if there else os.devnull, *args, **kwargs)


class _ConsoleHandler(logging.StreamHandler):
    """Prints EasyEdit's records to the console unless the program's own handlers do."""

    def emit(self, record: logging.LogRecord) -> None:
        if not logging.getLogger().handlers:
            self.stream = sys.stderr  # which notebooks and tests replace now and then
            super().emit(record)


def configure_logging(**settings: Any) -> None:
    """``logging.basicConfig`` for the logger "easyeditor" instead of the root logger."""
    logger = logging.getLogger("easyeditor")
    configured = any(isinstance(handler, _ConsoleHandler) for handler in logger.handlers)
    if configured or logging.getLogger().handlers:  # as basicConfig: never a second time
        return
    handler = _ConsoleHandler()
    handler.setFormatter(logging.Formatter(settings.get("format"), settings.get("datefmt")))
    logger.addHandler(handler)
    if logger.level == logging.NOTSET:
        logger.setLevel(settings.get("level", logging.INFO))
