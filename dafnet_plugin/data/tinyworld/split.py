"""Who is edited in training, who in evaluations, and who never."""

from __future__ import annotations

import random
from collections import defaultdict

from dafnet_plugin.data.tinyworld.generate import SUBJECT_KINDS, WorldConfig
from dafnet_plugin.data.tinyworld.world import World

TRAIN, EVAL, BYSTANDER = "train", "eval", "bystander"


def split_subjects(world: World, seed: int, config: WorldConfig) -> dict[str, str]:
    """Map every subject to ``"train"``, ``"eval"`` or ``"bystander"``.

    Entities bound one to one (spouses, a capital and its country, a work and its author) go
    the same way: an edit of one says something about the other, which must not be a subject
    of another part.
    """
    rng = random.Random(f"tiny world split {seed}")
    alike: dict[tuple[str, ...], list[list[str]]] = defaultdict(list)
    for group in _bound(world):
        alike[tuple(sorted(world.entities[entity].kind for entity in group))].append(group)
    owed = {TRAIN: 0.0, EVAL: 0.0, BYSTANDER: 0.0}
    shares = {
        TRAIN: config.train_share,
        EVAL: config.eval_share,
        BYSTANDER: 1 - config.train_share - config.eval_share,
    }
    split = {}
    for kinds in sorted(alike):
        groups = alike[kinds]
        for group in rng.sample(groups, len(groups)):
            # To whom most is owed, as long as groups of one make last: shares are then right
            # for every type of subject.
            for part, share in shares.items():
                owed[part] += share * len(group)
            part = max(owed, key=lambda name: owed[name])
            owed[part] -= len(group)
            split.update(dict.fromkeys(group, part))
    return split


def _bound(world: World) -> list[list[str]]:
    """Subjects in groups connected by one-to-one facts, each in order of id."""
    leader = {
        entity.id: entity.id for entity in world.entities.values() if entity.kind in SUBJECT_KINDS
    }

    def find(entity: str) -> str:
        while leader[entity] != entity:
            entity = leader[entity]
        return entity

    for (subject, relation), objects in world.simple.items():
        if world.relations[relation].inverse:
            leader[find(objects[0])] = find(subject)
    groups: dict[str, list[str]] = defaultdict(list)
    for entity in leader:
        groups[find(entity)].append(entity)
    return list(groups.values())
