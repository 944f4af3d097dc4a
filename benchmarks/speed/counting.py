"""What can be counted instead of timed: it is the same on every machine, however busy."""

from __future__ import annotations

import weakref
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves
from torch.utils.flop_counter import flop_registry

_GATHERING = ("embedding", "index", "index_select", "gather")
"""Operations that read some rows of a tensor, so many as they give."""


class Allocations(TorchDispatchMode):
    """Counts the bytes of tensors while it is active.

    Every storage that an operation makes counts from then until the last tensor that shows it is
    gone. What an operation needs for itself (the scratch of a solver) is not seen.

    Attributes:
        live: bytes made meanwhile that are still there.
        peak: the most there were at once.
        total: all that were made.
        largest: the largest single storage made.
        calls: operations on tensors, those that only show memory in another shape left out.
        read: bytes of tensors from before that were read, each counted once.
        written: bytes of tensors from before that were changed in place, likewise.
    """

    def __init__(self) -> None:
        super().__init__()
        self.live = self.peak = self.total = self.largest = self.calls = 0
        self._known: dict[int, bool] = {}  # whether a storage was made meanwhile
        self._read: dict[int, int] = {}
        self._written: dict[int, int] = {}

    def __torch_dispatch__(
        self, func: Any, types: Any, args: Any = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        """Run an operation and count."""
        inputs = [leaf for leaf in tree_leaves((args, kwargs)) if isinstance(leaf, Tensor)]
        for tensor in inputs:
            self._note(tensor, made=False)
        found = func(*args, **(kwargs or {}))
        outputs = [leaf for leaf in tree_leaves(found) if isinstance(leaf, Tensor)]
        for tensor in outputs:
            self._note(tensor, made=True)
        if not func.is_view:
            self.calls += 1
            self._touch(func, inputs, sum(map(_bytes, outputs)))
        return found

    @property
    def read(self) -> int:
        """See the class."""
        return sum(self._read.values())

    @property
    def written(self) -> int:
        """See the class."""
        return sum(self._written.values())

    def _note(self, tensor: Tensor, *, made: bool) -> None:
        storage = tensor.untyped_storage()
        key = storage._cdata
        if key in self._known:
            return
        self._known[key] = made
        size = storage.nbytes() if made else 0
        self.live += size
        self.total += size
        self.peak = max(self.peak, self.live)
        self.largest = max(self.largest, size)
        weakref.finalize(storage, self._forget, key, size).atexit = False

    def _forget(self, key: int, size: int) -> None:
        self._known.pop(key, None)
        self.live -= size

    def _touch(self, func: Any, inputs: list[Tensor], given: int) -> None:
        name, changes = func._schema.name.rpartition("::")[2], func._schema.is_mutable
        for place, tensor in enumerate(inputs):
            key = tensor.untyped_storage()._cdata
            if self._known[key]:
                continue  # it never needs to reach memory
            into = self._written if changes and place == 0 else self._read
            size = min(_bytes(tensor), given) if name in _GATHERING else _bytes(tensor)
            into[key] = max(into.get(key, 0), size)


def _bytes(tensor: Tensor) -> int:
    return tensor.numel() * tensor.element_size()


class Operations(TorchDispatchMode):
    """Counts floating-point operations of matrix products, attention and solvers.

    Attributes:
        count: so far; an addition and a multiplication are two.
    """

    def __init__(self) -> None:
        super().__init__()
        self.count = 0

    def __torch_dispatch__(
        self, func: Any, types: Any, args: Any = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        """Run an operation and count."""
        found = func(*args, **(kwargs or {}))
        formula = _FORMULAS.get(func.overloadpacket)
        if formula is not None:
            self.count += int(formula(*args, **(kwargs or {}), out_val=found))
        return found


def _factored(matrix: Tensor, *_: Any, **__: Any) -> int:
    """Cholesky's."""
    return int(matrix.shape[-1] ** 3 // 3 * matrix.shape[:-2].numel())


def _solved(right: Tensor, factor: Tensor, *_: Any, **__: Any) -> int:
    """Two triangular systems."""
    return 2 * factor.shape[-1] * right.numel()


def _attended(query: Tensor, key: Tensor, value: Tensor, *_: Any, **__: Any) -> int:
    """Scores and sums of [texts, heads, length, d]."""
    return 2 * query.shape[:-1].numel() * key.shape[-2] * (query.shape[-1] + value.shape[-1])


def _attended_backward(grad: Tensor, query: Tensor, key: Tensor, *rest: Any, **__: Any) -> int:
    """Scores again, and the gradients of scores, queries, keys and values."""
    return 2 * query.shape[:-1].numel() * key.shape[-2] * 5 * query.shape[-1]


_ATEN = torch.ops.aten
_FORMULAS: dict[Any, Callable[..., Any]] = {
    **flop_registry,
    _ATEN.linalg_cholesky_ex: _factored,
    _ATEN.cholesky_solve: _solved,
    _ATEN._scaled_dot_product_flash_attention_for_cpu: _attended,
    _ATEN._scaled_dot_product_flash_attention_for_cpu_backward: _attended_backward,
}


def operations(work: Callable[[], object]) -> int:
    """Floating-point operations of some work, see :class:`Operations`."""
    with Operations() as counted:
        work()
    return counted.count


@contextmanager
def backward_passes() -> Iterator[list[int]]:
    """Count calls into autograd's engine, in the first item of what it gives."""
    count = [0]

    def counted(original: Callable[..., Any]) -> Callable[..., Any]:
        def call(*args: Any, **kwargs: Any) -> Any:
            count[0] += 1
            return original(*args, **kwargs)

        return call

    originals: tuple[Any, Any] = torch.autograd.backward, torch.autograd.grad
    torch.autograd.backward, torch.autograd.grad = (counted(one) for one in originals)
    try:
        yield count
    finally:
        torch.autograd.backward, torch.autograd.grad = originals


@contextmanager
def calls_of(module: nn.Module) -> Iterator[Counter[str]]:
    """Count what goes through a module and through each linear layer in it.

    ``calls`` are those of the module itself, ``tokens`` the positions of these calls where it is a
    model that reads token ids; by name, the rows that a linear layer is applied to.
    """
    seen: Counter[str] = Counter()

    def begun(_: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        seen["calls"] += 1
        ids = next(iter((*args, *kwargs.values())))
        if isinstance(ids, Tensor) and not ids.is_floating_point():
            seen["tokens"] += ids.numel()

    hooks = [module.register_forward_pre_hook(begun, with_kwargs=True)]
    for name, linear in module.named_modules():
        if isinstance(linear, nn.Linear):

            def count(_: nn.Module, inputs: tuple[Tensor, ...], name: str = name) -> None:
                seen[name] += inputs[0].shape[:-1].numel()

            hooks.append(linear.register_forward_pre_hook(count))
    try:
        yield seen
    finally:
        for hook in hooks:
            hook.remove()


@contextmanager
def gradients_reaching(parameter: nn.Parameter) -> Iterator[list[int]]:
    """Count the backward passes that reach a parameter."""
    count = [0]

    def reached(_: Tensor) -> None:
        count[0] += 1

    hook = parameter.register_hook(reached)
    try:
        yield count
    finally:
        hook.remove()
