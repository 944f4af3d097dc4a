"""What EasyEdit's side asks of the editor of any method."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol

from torch import Tensor, nn

from dafnet_plugin.cases import EditRequest


class Undo(Mapping[str, Tensor]):
    """What undoes an edit that added neurons: calling it.

    To a caller that knows only of weights to be copied back, it is a mapping without any; being
    asked for them it undoes the edit itself, which is what such a caller wants.
    """

    def __init__(self, undo: Callable[[], None]) -> None:
        self._undo = undo

    def __call__(self) -> None:
        """Give the model the neurons, and the editor the memory, from before the edit."""
        self._undo()

    def __getitem__(self, name: str) -> Tensor:
        raise KeyError(name)

    def __iter__(self):  # type: ignore[no-untyped-def]
        self._undo()
        return iter(())

    def __len__(self) -> int:
        return 0


class MethodEditor(Protocol):
    """Edits one model in place.

    Attributes:
        tokenizer: may be replaced by one with other padding at any time.
        hparams: may be replaced between edits, but for what the editor was built with.
    """

    tokenizer: Any
    hparams: Any

    @property
    def requests(self) -> Sequence[EditRequest]:
        """The edits it knows the model to carry; none for a method that remembers nothing."""

    def read(self, record: Mapping[str, Any]) -> Any:
        """One of EasyEdit's requests as what :meth:`edit` takes.

        Raises:
            DataError: it lacks something.
        """

    def edit(self, requests: Sequence[Any]) -> Mapping[str, Tensor]:
        """Edit on top of what was edited before; returns what undoes this call.

        Raises:
            DataError, ModelError, NumericalError: the model is unchanged.
        """

    def synchronise(self) -> None:
        """Take note of edits that somebody else has taken back.

        Raises:
            ModelError: the model holds something else than this editor left there.
        """

    def fork(self, model: nn.Module) -> MethodEditor:
        """An editor of the same edits for a copy of the model."""


BuildEditor = Callable[[Any, nn.Module, Any], MethodEditor]
"""From hyper-parameters, model and tokenizer to an editor."""
