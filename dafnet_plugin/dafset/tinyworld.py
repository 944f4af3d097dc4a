"""The tiny world as if Wikidata knew it: two dumps, page views, a corpus, a relation table.

Everything that a DAFSet is built from, in the formats that the real sources have: the world has
popular and obscure entities, aliases, and things that change from one dump to the next.
"""

from __future__ import annotations

import random
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import yaml

from dafnet_plugin.dafset.tinyworld_dump import (
    CLASSES,
    DUMP_DATE,
    Change,
    entities,
    moment,
    number_of,
    wikidata_id,
    write_dump,
    write_gzip,
)
from dafnet_plugin.data.tinyworld import Edit, TinyWorld, World, WorldConfig, make
from dafnet_plugin.data.tinyworld.relations import SUBTYPES, Relation, includes
from dafnet_plugin.data.tinyworld.world import Key
from dafnet_plugin.errors import ConfigError
from dafnet_plugin.files import write_json, write_text

DOMAINS = {
    "person": "people",
    "city": "places",
    "country": "countries",
    "work": "literature",
    "company": "companies",
    "university": "education",
    "club": "organisations",
    "organisation": "organisations",
}
# What a person may have, and so may come to have or cease to have.
OPTIONAL = {"P140": "religion", "P69": "university", "P108": "company"}

FILES = ("before.json.gz", "after.json.gz", "pageviews-20260102-000000.gz", "corpus.txt")
NEAR = 3
"""Relations at most that a relation's locality probes may be of instead."""

MOST_VIEWS = 50_000
"""Page views of the most popular entity; the n-th has a n-th of that."""


def write_sources(
    folder: str | Path,
    seed: int = 0,
    config: WorldConfig | None = None,
    *,
    changed_share: float = 0.12,
) -> Path:
    """Write what a DAFSet of the tiny world is built from.

    ``before.json.gz`` and ``after.json.gz`` are dumps in Wikidata's format, 30 days apart, and
    ``changes.json`` says what happened between them. ``pageviews-...gz`` has a line a page,
    ``corpus.txt`` the text that base models read, a sentence a line, ``relations.yaml`` the
    relations with their sentences, and ``sources.json`` the recipe. Same seed, same bytes.

    Args:
        seed, config: of the world, see :mod:`dafnet_plugin.data.tinyworld`.
        changed_share: of the subjects about which something changes in the last week, 0 to 1.

    Returns:
        The folder.

    Raises:
        ConfigError: ``changed_share`` is not a share.
    """
    if not 0 <= changed_share <= 1:
        raise ConfigError(f"changed_share is {changed_share}; allowed: 0 to 1")
    folder, tiny = Path(folder), make(seed, config)
    before = facts_of(tiny.world)
    after, changes = change(tiny.world, seed, changed_share)
    moved = {item.subject for item in changes}
    write_dump(folder / FILES[0], entities(tiny.world, before, {}, seed, ended=()))
    recent = {subject: moment(subject, seed) for subject in moved}
    write_dump(folder / FILES[1], entities(tiny.world, after, recent, seed, ended=changes))
    write_gzip(folder / FILES[2], pageviews(tiny.world))
    write_text(folder / FILES[3], "".join(corpus(tiny, seed)))
    write_json(folder / "changes.json", [_renamed(item) for item in changes])
    table = yaml.safe_dump(relation_table(tiny.world), sort_keys=False, allow_unicode=True)
    write_text(folder / "relations.yaml", table)
    recipe = {"seed": seed, "config": asdict(config or WorldConfig()), "changed": changed_share}
    write_json(folder / "sources.json", recipe | {"dump_date": DUMP_DATE.date().isoformat()})
    return folder


def recipe(folder: str | Path, **changes: Any) -> dict[str, Any]:
    """Keys of a build (``BuildConfig``) for what :func:`write_sources` wrote.

    Args:
        changes: other keys, or other values.
    """
    folder = Path(folder)
    return {
        "sources": [str(folder / FILES[1])],
        "previous": str(folder / FILES[0]),
        "pageviews": [str(folder / FILES[2])],
        "corpus": [str(folder / FILES[3])],
        "relations": str(folder / "relations.yaml"),
        "recent": {"until": DUMP_DATE.date().isoformat()},
        "popular": {"subjects": 100},
        **changes,
    }


# -- what happens between the dumps ----------------------------------------------------------------


def facts_of(world: World) -> dict[Key, tuple[str, ...]]:
    """Simple facts, in a fixed order; what follows from two of them is not in Wikidata."""
    return dict(world.simple)


def change(
    world: World, seed: int, share: float
) -> tuple[dict[Key, tuple[str, ...]], list[Change]]:
    """Let some things happen; returns the facts afterwards and what became of which.

    Half of the subjects chosen get another object for one of their facts (and whoever was bound
    to the old or the new one by an inverse relation is affected, too), some come to have what
    they had not, and some lose what they had.
    """
    rng = random.Random(f"tiny world changes {seed}")
    subjects = sorted({subject for subject, _ in world.simple}, key=number_of)
    now = world
    for subject in rng.sample(subjects, round(share * len(subjects))):
        kind = rng.choices(("changed", "new", "removed"), (0.6, 0.25, 0.15))[0]
        own = [relation for one, relation in now.simple if one == subject]
        if kind == "new" and world.entities[subject].kind == "person":
            missing = [r for r in OPTIONAL if r not in own]
            if missing:
                relation = rng.choice(missing)
                gained = rng.choice(now.of_kind(OPTIONAL[relation]))
                simple = dict(now.simple) | {(subject, relation): (gained,)}
                now = replace(now, simple=simple, _composed={})
                continue
        spare = [relation for relation in own if relation in OPTIONAL]
        if kind == "removed" and spare:
            lost = subject, rng.choice(spare)
            simple = {key: objects for key, objects in now.simple.items() if key != lost}
            now = replace(now, simple=simple, _composed={})
            continue
        now = _other_object(now, subject, own, rng)
    after = dict(now.simple)
    return after, list(_compare(facts_of(world), after))


def _other_object(world: World, subject: str, own: list[str], rng: random.Random) -> World:
    """One of the subject's facts with another object of the right type."""
    single = [relation for relation in own if not world.relations[relation].many_valued]
    if not single:
        return world
    relation = rng.choice(single)
    taken = {subject, *world.simple[subject, relation]}
    pool = [e for e in world.of_kind(world.relations[relation].object) if e not in taken]
    return world.after(Edit(subject, relation, rng.choice(pool))) if pool else world


def _compare(
    before: Mapping[Key, tuple[str, ...]], after: Mapping[Key, tuple[str, ...]]
) -> Iterator[Change]:
    for key in sorted(before.keys() | after.keys(), key=lambda key: (number_of(key[0]), key[1])):
        old, new = before.get(key), after.get(key)
        if old == new:
            continue
        kind = "changed" if old and new else "new" if new else "removed"
        yield Change(*key, kind, old[0] if old else None, new[0] if new else None)


# -- the other sources -----------------------------------------------------------------------------


def pageviews(world: World) -> Iterator[str]:
    """Lines of Wikimedia's hourly dumps: project, page, views, bytes."""
    for entity in sorted(world.entities.values(), key=lambda entity: entity.label):
        title = entity.label.replace(" ", "_")
        yield f"en {title} {max(1, MOST_VIEWS // entity.popularity)} 0\n"


def corpus(tiny: TinyWorld, seed: int) -> list[str]:
    """The text of the world in random order, each sentence as often as it says it."""
    lines = [f"{line.prompt} {line.answer}.\n" for line in tiny.lines for _ in range(line.count)]
    random.Random(f"tiny world corpus {seed}").shuffle(lines)
    return lines


def relation_table(world: World) -> dict[str, Any]:
    """The simple relations in the form of ``dafnet_plugin/dafset/relations.yaml``.

    Base models of the tiny world know no questions, and the sentences that the world keeps for
    paraphrases come last.
    """
    simple = {name: relation for name, relation in world.relations.items() if not relation.path}
    kinds = sorted({kind for r in simple.values() for kind in (r.subject, r.object)})
    types = {
        kind: {
            "label": kind,
            "classes": [CLASSES[name][0] for name in SUBTYPES.get(kind, (kind,))],
            "domain": DOMAINS.get(kind, "other"),
        }
        for kind in kinds
    }
    relations = {
        name: {
            "label": relation.label,
            "subject": relation.subject,
            "object": relation.object,
            "near": _near(relation, simple.values()),
            "inverse": relation.inverse,
            "cloze": [*relation.patterns, *relation.held_out],
        }
        for name, relation in simple.items()
    }
    return {"types": types, "relations": relations}


def _near(relation: Relation, others: Iterable[Relation]) -> list[str]:
    """Relations of the same kind of subject, those with the same kind of object first."""
    alike = [o for o in others if o is not relation and includes(relation.subject, o.subject)]
    return [o.name for o in sorted(alike, key=lambda o: o.object != relation.object)][:NEAR]


def _renamed(item: Change) -> dict[str, Any]:
    names = {name: getattr(item, name) for name in ("subject", "old", "new")}
    renamed = {name: wikidata_id(value) if value else None for name, value in names.items()}
    return asdict(item) | renamed
