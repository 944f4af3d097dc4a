"""How far the logits of an adapter are from those of the edits, both ways that PEFT has."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from dafnet_plugin.artifacts.peft_export import ModuleAdapter
from dafnet_plugin.artifacts.saved_edits import SavedEdits
from dafnet_plugin.editing.modules import evaluation_mode, find_edit_modules, swapped_weights
from dafnet_plugin.editing.weights import updated
from dafnet_plugin.tokens import in_chat


@dataclass(frozen=True)
class LogitErrors:
    """Largest absolute difference of any logit from the edited model's.

    Attributes:
        merged: of the model that PEFT merges the adapter into: weights are rounded once, as those
            of the edited model are.
        unmerged: of the model with the adapter beside its weights: these stay as they are, and
            what the adapter adds is rounded with each output instead. In half precision that is
            another model even where the adapter is exact.
    """

    merged: float
    unmerged: float

    @property
    def largest(self) -> float:
        """Of both."""
        return max(self.merged, self.unmerged)


@torch.no_grad()
def logit_errors(
    model: nn.Module, tokenizer: Any, saved: SavedEdits, adapters: Sequence[ModuleAdapter]
) -> LogitErrors:
    """Ask the edited model and the adapter, merged and not, after the edits' prompts.

    Asked are 64 prompts at most, in the chat template where they were edited in it; the model is
    the base model.
    """
    names = [module["name"] for module in saved.modules]
    changes = {f"{adapter.name}.weight": adapter.change() for adapter in adapters}
    changes |= {f"{a.name}.bias": a.bias for a in adapters if a.bias is not None}
    asked = [
        (edit.request.prompt, call.settings.use_chat_template)
        for call in saved.calls
        for edit in call.edits
    ]
    device = next(model.parameters()).device
    merged = unmerged = 0.0
    with evaluation_mode(model):
        for prompt, chat in asked[:: math.ceil(len(asked) / 64)]:
            text = in_chat(tokenizer, [prompt])[0] if chat else prompt
            tokens = tokenizer(text, add_special_tokens=not chat)["input_ids"]
            ids = torch.tensor([tokens], device=device)
            with applied(model, saved.changes, names):
                expected = model(input_ids=ids).logits.float()
            with applied(model, changes, names):
                merged = max(merged, _apart(model(input_ids=ids).logits, expected))
            with beside(model, adapters):
                unmerged = max(unmerged, _apart(model(input_ids=ids).logits, expected))
    return LogitErrors(merged, unmerged)


def _apart(logits: Tensor, expected: Tensor) -> float:
    return float((logits.float() - expected).abs().max())


@contextmanager
def applied(
    model: nn.Module, changes: Mapping[str, Tensor], names: Sequence[str]
) -> Iterator[None]:
    """Let the modules of a base model have an update for a while.

    Args:
        changes: by parameter name in the base model, as stored.
        names: of all modules in question.
    """
    weights, values = [], []
    for edit_module in find_edit_modules(model, names):
        for kind, parameter in (("weight", edit_module.weight), ("bias", edit_module.bias)):
            change = changes.get(f"{edit_module.name}.{kind}")
            if change is not None and parameter is not None:
                weights.append(parameter)
                values += updated([parameter.detach()], [change.to(parameter.device)])
    with swapped_weights(weights, values):
        yield


@contextmanager
def beside(model: nn.Module, adapters: Sequence[ModuleAdapter]) -> Iterator[None]:
    """Let the modules of a base model add what their adapters say, as PEFT does: in float32."""
    found = find_edit_modules(model, [adapter.name for adapter in adapters])
    with ExitStack() as stack:
        for edit_module, adapter in zip(found, adapters, strict=True):
            device = edit_module.weight.device
            a, b = adapter.a.to(device), adapter.b.to(device)
            bias = None if adapter.bias is None else adapter.bias.to(device, torch.float32)

            def add(
                _: nn.Module,
                inputs: tuple[Tensor, ...],
                output: Tensor,
                a: Tensor = a,
                b: Tensor = b,
                bias: Tensor | None = bias,
            ) -> Tensor:
                added = nn.functional.linear(inputs[0].to(a.dtype) @ a.T, b, bias)
                return (output + added).to(output.dtype)

            stack.callback(edit_module.module.register_forward_hook(add).remove)
        yield
