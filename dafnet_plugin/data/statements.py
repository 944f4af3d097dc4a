"""What a base model reads and is asked: a prompt and its answer."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

from dafnet_plugin.errors import DataError


class Statement(NamedTuple):
    """One sentence as a question and its answer: ``prompt + " " + answer`` is the text.

    Attributes:
        prompt: text before the answer, without a space at either end.
        answer: the rest of the sentence, without the final period.
    """

    prompt: str
    answer: str

    @property
    def text(self) -> str:
        """The whole sentence, as EasyEdit joins prompt and target."""
        return f"{self.prompt} {self.answer}"


def check_statements(statements: Iterable[tuple[str, str]], what: str) -> list[Statement]:
    """Return the pairs as statements.

    Raises:
        DataError: a prompt or an answer is empty, or has a space where the two are joined
            (the tokens of the prompt would then depend on the answer).
    """
    checked = []
    for index, (prompt, answer) in enumerate(statements):
        if not prompt.strip() or prompt != prompt.rstrip():
            raise DataError(f"{what} {index}: prompt {prompt!r} is empty or ends in a space")
        if not answer.strip() or answer != answer.lstrip():
            raise DataError(f"{what} {index}: answer {answer!r} is empty or starts with a space")
        checked.append(Statement(prompt, answer))
    if not checked:
        raise DataError(f"no {what}s: at least one is needed")
    return checked
