"""Sums of ``x x^T`` over the inputs x of some modules."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from dafnet_plugin.editing.modules import evaluation_mode
from dafnet_plugin.errors import DataError, ModelError
from dafnet_plugin.tokens import context_length


@dataclass(frozen=True)
class SecondMoment:
    """What is known about the inputs x [tokens, d_in] of a module.

    Attributes:
        total: sum of ``x x^T``, [d_in, d_in].
        count: tokens.
    """

    total: Tensor
    count: int


@torch.no_grad()
def second_moments(
    model: Any,
    tokenizer: Any,
    modules: Sequence[str],
    texts: Sequence[str],
    *,
    dtype: str = "float32",
    batch_size: int = 64,
    progress: Callable[[int], object] = lambda _: None,
) -> dict[str, SecondMoment]:
    """Sum ``x x^T`` over all tokens of some texts, for all modules in one pass.

    Args:
        modules: names of the modules whose inputs count.
        texts: all are used; what is beyond the model's context is cut off.
        dtype: of the sums, ``float32`` or ``float64``.
        batch_size: texts of a forward pass; they are sorted by length.
        progress: told how many texts were done.

    Raises:
        DataError: no text has a token.
        ModelError: the model has no such module, or does not run it.
    """
    context = context_length(model)
    rows = [ids[:context] for ids in tokenizer(list(texts))["input_ids"]] if texts else []
    rows.sort(key=len)
    if not rows or not rows[-1]:
        raise DataError("there is no text to compute statistics from")
    gathered = _Gathered(dtype)
    with contextlib.ExitStack() as stack:
        for name in modules:
            stack.enter_context(gathered.watching(model, name))
        stack.enter_context(evaluation_mode(model))
        for start in range(0, len(rows), batch_size):
            part = rows[start : start + batch_size]
            ids = torch.zeros(len(part), max(1, max(map(len, part))), dtype=torch.long)
            mask = torch.zeros_like(ids, dtype=torch.bool)
            for row, tokens in enumerate(part):
                ids[row, : len(tokens)] = torch.tensor(tokens, dtype=torch.long)
                mask[row, : len(tokens)] = True
            gathered.mask = mask.to(model.device)
            model(
                input_ids=ids.to(model.device),
                attention_mask=gathered.mask.long(),
                use_cache=False,
            )
            progress(len(part))
    return {name: gathered.result(name) for name in modules}


class _Gathered:
    """Sums over the tokens of the current batch's ``mask``, by module."""

    def __init__(self, dtype: str) -> None:
        self.mask = torch.empty(0)
        self._dtype: torch.dtype = getattr(torch, dtype)
        self._found: dict[str, tuple[Tensor, int]] = {}

    @contextlib.contextmanager
    def watching(self, model: nn.Module, name: str) -> Iterator[None]:
        def add(_: nn.Module, inputs: tuple[Tensor, ...]) -> None:
            x = inputs[0][self.mask].to(self._dtype)  # [tokens, d_in]
            total, count = self._found.get(name, (None, 0))
            total = x.T @ x if total is None else total.addmm_(x.T, x)
            self._found[name] = total, count + len(x)

        try:
            module = model.get_submodule(name)
        except AttributeError as error:
            raise ModelError(f"rewrite_module_tmp: the model has no module {name!r}") from error
        hook = module.register_forward_pre_hook(add)
        try:
            yield
        finally:
            hook.remove()

    def result(self, name: str) -> SecondMoment:
        if name not in self._found:
            raise ModelError(f"rewrite_module_tmp: the model does not run its module {name!r}")
        return SecondMoment(*self._found[name])
