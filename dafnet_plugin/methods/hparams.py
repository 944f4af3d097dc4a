"""Keys that the YAML files of these methods have in common."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, ClassVar, Literal

from dafnet_plugin.registered import RegisteredConfig
from dafnet_plugin.schema import not_positive

Activation = Literal["relu", "gelu", "silu"]


@dataclass
class MethodHparams(RegisteredConfig):
    """What every method needs to know; the keys mean what they mean for DAFNet.

    Attributes:
        model_name: a directory or hub name, or a ``(model, tokenizer)`` pair when set from Python.
        edit_modules: names of the modules that are edited.
        device: ``cpu``, ``cuda``, ``cuda:1``, ``mps`` or a CUDA index.
        batch_size: edits per ``batch_edit`` chunk.
        max_length: tokens that EasyEdit's evaluation truncates at.
        model_parallel: spread the model over all devices of this machine (``device_map="auto"``).
        fp16: load the model in float16, as in EasyEdit.
        dtype: load the model in this precision; None leaves it to ``fp16``, else float32.
        use_chat_template: edit and ask inside the tokenizer's chat template; what is remembered
            stays plain text.
    """

    model_name: Any
    edit_modules: list[str]
    alg_name: str = ""
    device: str | int = "cpu"
    batch_size: int = 1
    max_length: int = 40
    model_parallel: bool = False
    fp16: bool = False
    dtype: Literal["float32", "bfloat16", "float16"] | None = None
    use_chat_template: bool = False

    quantise: ClassVar[None] = None  # that is DAFNet's alone

    def problems(self) -> list[str]:
        """See :meth:`YamlConfig.problems`."""
        found = self.other_method()
        if not self.edit_modules:
            found.append("edit_modules: []; at least one module name is needed")
        if not isinstance(self.model_name, (str, tuple)):
            found.append(f"model_name: {self.model_name!r}; allowed: a directory or a hub name")
        if self.fp16 and self.dtype not in (None, "float16"):
            found.append(f"dtype: {self.dtype!r}; allowed: 'float16' or null, with fp16: true")
        return found + not_positive(self, ["batch_size", "max_length"], "")


@dataclass
class NeuronHparams(MethodHparams):
    """Methods that add neurons beside feed-forward modules (``transformer.h.3.mlp``).

    Attributes:
        activation: of the added neurons. They stand beside the feed-forward module, so that it
            does not matter whether that one is gated (SwiGLU): an added neuron is one of a gated
            module whose other projection is the constant 1.
        steps: optimiser steps of one edit, at most.
        lr: learning rate of Adam.
        memory_path: sentences that edits shall leave alone, ``.txt`` or ``.jsonl`` with ``text``
            or with ``prompt`` and ``answer``; null for none.
        memory_texts: the same, given here.
        memory_size: sentences drawn from these, at most.
        seed: of everything that is drawn.
    """

    activation: Activation = "relu"
    steps: int = 100
    lr: float = 0.01
    memory_path: str | None = None
    memory_texts: list[str] = field(default_factory=list)
    memory_size: int = 1000
    seed: int = 42

    def problems(self) -> list[str]:
        """See :meth:`YamlConfig.problems`."""
        return super().problems() + not_positive(self, ["steps", "lr", "memory_size"], "")
