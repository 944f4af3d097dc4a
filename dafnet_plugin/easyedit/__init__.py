"""The only part of the package that touches EasyEdit."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from dafnet_plugin.artifacts.edits import DAFNetEdits
    from dafnet_plugin.easyedit.compat import EasyEdit

__all__ = ["edits_of", "register"]


def register() -> EasyEdit:
    """Make DAFNet known to the installed EasyEdit, once; returns what was found.

    Raises:
        EasyEditError: EasyEdit is absent or unsupported; says what to do.
    """
    from dafnet_plugin.easyedit.registration import register as register_now

    return register_now()


def edits_of(editor: Any, **settings: Any) -> DAFNetEdits:
    """The DAFNet edits of an EasyEdit editor's model as things one can keep.

    Args:
        editor: a ``BaseEditor`` with DAFNet's hyper-parameters, before or after its first edit,
            or the edited model that it returned.
        settings: as of :class:`dafnet_plugin.artifacts.edits.DAFNetEdits`, when asked for the
            first time.

    Raises:
        ModelError: a model that DAFNet has not edited.
        ConfigError, CheckpointError: see there.
    """
    from dafnet_plugin.easyedit.registration import edits_of as edits_of_editor

    return edits_of_editor(editor, **settings)
