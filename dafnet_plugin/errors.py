"""Everything a user can get wrong, as exceptions that say what, where and what is allowed."""

from __future__ import annotations

import difflib
from collections.abc import Iterable


class DAFNetError(Exception):
    """Base of every error this package raises on purpose."""


class ConfigError(DAFNetError):
    """A hyper-parameter file or object is wrong; the message lists every problem found."""


class DataError(DAFNetError):
    """A data file or record is malformed; the message names file, line or index, and field."""


class ModelError(DAFNetError):
    """The base model does not have, or cannot give, what the hyper-parameters ask for."""


class CheckpointError(DAFNetError):
    """A checkpoint is missing, unreadable or does not fit the model."""


class NumericalError(DAFNetError):
    """NaN or infinity where a finite number was needed; nothing was changed."""


class EasyEditError(DAFNetError, ImportError):
    """EasyEdit is absent or unsupported; the message says what to do."""


def did_you_mean(word: str, allowed: Iterable[str]) -> str:
    """Return ``" (did you mean 'x'?)"`` for the nearest of ``allowed``, or an empty string."""
    close = difflib.get_close_matches(word, list(allowed), n=1, cutoff=0.5)
    return f" (did you mean {close[0]!r}?)" if close else ""
