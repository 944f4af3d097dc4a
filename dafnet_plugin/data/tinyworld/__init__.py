"""A small, consistent, invented world: facts with consequences, and the text to learn them.

:func:`make` generates it in memory, :func:`build` writes it to a directory, :func:`load`
reads back what base-model training, meta-training and evaluation need.
"""

from dafnet_plugin.data.tinyworld.build import (
    TinyWorld,
    WorldData,
    build,
    load,
    load_tinyworld,
    make,
    statements,
)
from dafnet_plugin.data.tinyworld.generate import WorldConfig
from dafnet_plugin.data.tinyworld.world import Changes, Edit, Entity, World

__all__ = [
    "Changes",
    "Edit",
    "Entity",
    "TinyWorld",
    "World",
    "WorldConfig",
    "WorldData",
    "build",
    "load",
    "load_tinyworld",
    "make",
    "statements",
]
