"""The text that a base model learns a world from."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from dafnet_plugin.data.tinyworld.generate import WorldConfig
from dafnet_plugin.data.tinyworld.relations import prompt_of
from dafnet_plugin.data.tinyworld.split import BYSTANDER
from dafnet_plugin.data.tinyworld.world import Entity, Key, World

ALIAS_RELATION = "alias"
ALIAS_PATTERNS = (
    "{label} is also known as {alias}",
    "{label} goes by the name of {alias}",
    "{alias} is another name of {label}",
)
NQ_PREFIX = "nq question: "  # EasyEdit's ZsRE loader insists on it before locality prompts

# Kinds of sentences.
PLAIN, HELD_OUT, BESIDES, VIA_ALIAS, NQ, ALIAS = (
    "plain",
    "held_out",
    "besides",
    "via_alias",
    "nq",
    "alias",
)


@dataclass(frozen=True, slots=True)
class Line:
    """A sentence and how often the text has it.

    Attributes:
        kind: why it is there, one of the constants above.
        subject, relation: the fact that it states.
        count: times it occurs.
    """

    prompt: str
    answer: str
    kind: str
    subject: str
    relation: str
    count: int

    @property
    def key(self) -> Key:
        """The fact that the sentence states."""
        return self.subject, self.relation


def write_world(
    world: World, split: Mapping[str, str], seed: int, config: WorldConfig
) -> list[Line]:
    """Return the sentences about every fact of the world.

    Popular subjects are mentioned more often (a power of their rank), but every simple fact
    at least ``min_exposure`` times and in as many patterns. Held-out patterns are used for
    bystanders only: a model must have met a pattern to understand it, but has never met it
    with a subject that is edited.
    """
    rng = random.Random(f"tiny world text {seed}")
    lines: list[Line] = []
    for key, objects in world.facts():
        lines += _about_fact(world, key, objects, split[key[0]], rng, config)
    for entity in world.entities.values():
        lines += _about_names(entity, config)
    return lines


def exposure(entity: Entity, config: WorldConfig, *, composed: bool = False) -> int:
    """How often the text states each fact about an entity in plain patterns."""
    often = config.max_exposure * (entity.popularity / config.head) ** -config.zipf_exponent
    # What can be concluded from other facts is said less often.
    often = round(min(often, config.max_exposure) * (0.5 if composed else 1.0))
    return max(config.min_exposure, often)


def _about_fact(
    world: World,
    key: Key,
    objects: tuple[str, ...],
    part: str,
    rng: random.Random,
    config: WorldConfig,
) -> list[Line]:
    subject, relation = world.entities[key[0]], world.relations[key[1]]
    said: Counter[tuple[str, str, str]] = Counter()
    first = world.label(objects[0])

    def say(kind: str, prompt: str, answer: str = first) -> None:
        said[kind, prompt, answer] += 1

    patterns = rng.sample(relation.patterns, len(relation.patterns))
    for index in range(exposure(subject, config, composed=relation.path is not None)):
        say(PLAIN, prompt_of(patterns[index % len(patterns)], subject.label))
    for alias in subject.aliases:
        if rng.random() < config.alias_fact_share:
            say(VIA_ALIAS, prompt_of(rng.choice(patterns), alias))
    if part == BYSTANDER:
        for pattern in relation.held_out:
            say(HELD_OUT, prompt_of(pattern, subject.label))
    # The prefix must not be news to the model, nor the fact after it.
    if part == BYSTANDER or rng.random() < config.nq_share:
        say(NQ, NQ_PREFIX + prompt_of(patterns[0], subject.label))
    for pattern in relation.besides:
        for one, other in (objects[:2], objects[1::-1]):
            say(BESIDES, prompt_of(pattern, subject.label, world.label(one)), world.label(other))
    return [
        Line(prompt, answer, kind, subject.id, relation.name, count)
        for (kind, prompt, answer), count in said.items()
    ]


def _about_names(entity: Entity, config: WorldConfig) -> Iterable[Line]:
    times = max(1, exposure(entity, config) // len(ALIAS_PATTERNS))
    for alias in entity.aliases:
        for pattern in ALIAS_PATTERNS:
            prompt, _, last = pattern.rpartition(" ")
            names = {"label": entity.label, "alias": alias}
            yield Line(
                prompt.format(**names),
                last.format(**names),
                ALIAS,
                entity.id,
                ALIAS_RELATION,
                times,
            )


def fact_exposures(lines: Iterable[Line]) -> Counter[Key]:
    """Sentences of any kind that state each fact."""
    counts: Counter[Key] = Counter()
    for line in lines:
        counts[line.key] += line.count
    return counts


def plain_prompts(lines: Iterable[Line]) -> dict[Key, list[str]]:
    """The prompts in which the text states each fact in a plain pattern."""
    prompts: dict[Key, list[str]] = {}
    for line in lines:
        if line.kind == PLAIN:
            prompts.setdefault(line.key, []).append(line.prompt)
    return prompts
