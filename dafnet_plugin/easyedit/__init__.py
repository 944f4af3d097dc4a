"""The only part of the package that touches EasyEdit."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from dafnet_plugin.easyedit.compat import EasyEdit

__all__ = ["register"]


def register() -> EasyEdit:
    """Make DAFNet known to the installed EasyEdit, once; returns what was found.

    Raises:
        EasyEditError: EasyEdit is absent or unsupported; says what to do.
    """
    from dafnet_plugin.easyedit.registration import register as register_now

    return register_now()
