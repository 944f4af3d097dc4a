"""Generates a world: entities first, then facts that fit together."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass, field

from dafnet_plugin.data.tinyworld.names import Namer
from dafnet_plugin.data.tinyworld.relations import load_relations
from dafnet_plugin.data.tinyworld.world import Entity, Key, World
from dafnet_plugin.errors import ConfigError

ENTITIES = {
    "person": 110,
    "city": 48,
    "country": 16,
    "work": 50,
    "company": 24,
    "university": 12,
    "club": 14,
    "language": 14,
    "occupation": 16,
    "religion": 6,
    "genre": 10,
    "industry": 10,
    "currency": 10,
    "continent": 5,
}
# Types that facts are about; the others are only answers.
SUBJECT_KINDS = ("person", "city", "country", "work", "company", "university", "club")


@dataclass(frozen=True, slots=True)
class WorldConfig:
    """Size and shape of a world.

    Attributes:
        scale: multiplies the number of people, cities, countries, works and organisations.
        alias_share: share of these that have a second name.
        train_share, eval_share: of the subjects, for edits in meta-training and in
            evaluations; the rest are bystanders.
        zipf_exponent: a fact occurs in proportion to the popularity rank of its subject to
            the power of minus this,
        head: from this rank on; more popular subjects are alike.
        max_exposure, min_exposure: occurrences of a simple fact in plain patterns.
        alias_fact_share: share of the facts about a subject with an alias that are stated
            once more through the alias.
        nq_share: share of the facts stated once more after ``nq question: ``.
        edits_per_subject: evaluations edit at most so many facts about a subject, chosen so
            that all the edits of the world can be made in one sequence: none contradicts
            another, and no test asks for what another edit changes. None: every fact is
            edited, and each case stands by itself.
    """

    scale: float = 1.0
    alias_share: float = 0.6
    train_share: float = 0.55
    eval_share: float = 0.27
    zipf_exponent: float = 0.5
    head: int = 9
    max_exposure: int = 16
    min_exposure: int = 3
    alias_fact_share: float = 0.5
    nq_share: float = 0.25
    edits_per_subject: int | None = None

    def __post_init__(self) -> None:
        problems = []
        if not 0.2 <= self.scale <= 4.0:
            problems.append(f"scale is {self.scale}; 0.2 to 4 is allowed")
        if not (self.train_share > 0 and self.eval_share > 0):
            problems.append("train_share and eval_share must be positive")
        if not self.train_share + self.eval_share < 1:
            problems.append("train_share + eval_share must be below 1: bystanders are needed")
        if not 1 <= self.min_exposure <= self.max_exposure:
            problems.append("1 <= min_exposure <= max_exposure is needed")
        if self.edits_per_subject is not None and self.edits_per_subject < 1:
            problems.append(f"edits_per_subject is {self.edits_per_subject}; at least 1 is needed")
        if problems:
            raise ConfigError("tiny world: " + "; ".join(problems))


def generate(seed: int, config: WorldConfig | None = None) -> World:
    """Generate a world; the same seed and configuration give the same world."""
    config = config or WorldConfig()
    rng = random.Random(f"tiny world {seed}")
    entities = _entities(rng, config)
    return World(
        entities=entities,
        relations=load_relations(),
        simple=_Facts(rng, entities).all(),
    )


def _entities(rng: random.Random, config: WorldConfig) -> dict[str, Entity]:
    namer = Namer(rng)
    kinds = [
        kind
        for kind, number in ENTITIES.items()
        for _ in range(max(4, round(number * config.scale)) if kind in SUBJECT_KINDS else number)
    ]
    ranks = rng.sample(range(1, len(kinds) + 1), len(kinds))
    entities = {}
    for index, (kind, rank) in enumerate(zip(kinds, ranks), start=1):
        named = kind in SUBJECT_KINDS and rng.random() < config.alias_share
        label = namer.name(kind)
        aliases = (namer.alias(kind),) if named else ()
        entities[f"Q{index}"] = Entity(f"Q{index}", kind, label, aliases, rank)
    return entities


@dataclass
class _Facts:
    """Draws the simple facts, relation after relation."""

    rng: random.Random
    entities: dict[str, Entity]
    facts: dict[Key, tuple[str, ...]] = field(default_factory=dict)

    def all(self) -> dict[Key, tuple[str, ...]]:
        self._places()
        self._organisations()
        self._people()
        self._works()
        return dict(sorted(self.facts.items(), key=lambda item: (int(item[0][0][1:]), item[0][1])))

    def _kind(self, *kinds: str) -> list[str]:
        return [entity.id for entity in self.entities.values() if entity.kind in kinds]

    def _some(self, members: Sequence[str], share: float) -> list[str]:
        return self.rng.sample(members, round(len(members) * share))

    def _each(self, relation: str, subjects: Sequence[str], objects: Sequence[str]) -> None:
        """Give every subject a random object other than itself."""
        for subject in subjects:
            others = [entity for entity in objects if entity != subject]
            self.facts[subject, relation] = (self.rng.choice(others),)

    def _pair(self, relation: str, inverse: str, pairs: Sequence[tuple[str, str]]) -> None:
        for subject, other in pairs:
            self.facts[subject, relation] = (other,)
            self.facts[other, inverse] = (subject,)

    def _several(self, relation: str, subjects: Sequence[str], objects: Sequence[str]) -> None:
        for subject in subjects:
            self.facts[subject, relation] = tuple(self.rng.sample(objects, 2))

    def _places(self) -> None:
        countries, cities = self._kind("country"), self._kind("city")
        self._each("P30", countries, self._kind("continent"))
        self._each("P37", countries, self._kind("language"))
        self._each("P38", countries, self._kind("currency"))
        countries = countries[: len(cities)]
        capitals, others = cities[: len(countries)], cities[len(countries) :]
        self._pair("P36", "P1376", list(zip(countries, capitals)))
        for country, capital in zip(countries, capitals):
            self.facts[capital, "P17"] = (country,)
        self._each("P17", others, countries)
        # At most one capital in a pair of twins: chains of countries would be tied to each
        # other by them, and could not be split into training and evaluation.
        half = len(others) // 4
        twins = list(zip(self._some(capitals, 0.5), others))
        twins += list(zip(others[half * 2 : half * 3], others[half * 3 :]))
        self._pair("P190", "P190", twins)

    def _organisations(self) -> None:
        organisations = self._kind("company", "university", "club")
        people, companies = self._kind("person"), self._kind("company")
        self._each("P159", organisations, self._kind("city"))
        founded = self._some(organisations, 0.8)
        for organisation, founder in zip(founded, self._some(people, 1.0)):
            self.facts[organisation, "P112"] = (founder,)
        self._each("P452", companies, self._kind("industry"))
        self._each("P169", companies, people)

    def _people(self) -> None:
        people, languages = self._kind("person"), self._kind("language")
        self._each("P19", people, self._kind("city"))
        for person in people:  # most are citizens of the country they were born in
            home = self.facts[self.facts[person, "P19"][0], "P17"][0]
            country = home if self.rng.random() < 0.7 else self.rng.choice(self._kind("country"))
            self.facts[person, "P27"] = (country,)
        self._each("P103", people, languages)
        self._each("P106", people, self._kind("occupation"))
        self._each("P140", self._some(people, 0.5), self._kind("religion"))
        self._each("P69", self._some(people, 0.6), self._kind("university"))
        self._each("P108", self._some(people, 0.6), self._kind("company"))
        self._several("P1412", self._some(people, 0.4), languages)
        self._several("P463", self._some(people, 0.4), self._kind("club"))
        # Spouses, fathers and children are different people, again to keep families small.
        shuffled = self._some(people, 1.0)
        wed = round(len(people) * 0.27)
        kin = round(len(people) * 0.22)
        self._pair("P26", "P26", list(zip(shuffled[:wed], shuffled[wed : 2 * wed])))
        rest = shuffled[2 * wed :]
        self._pair("P22", "P40", list(zip(rest[:kin], rest[kin : 2 * kin])))

    def _works(self) -> None:
        works = self._kind("work")
        authors = self._some(self._kind("person"), 1.0)
        self._pair("P50", "P800", list(zip(works, authors)))
        self._each("P136", works, self._kind("genre"))
        self._each("P407", works, self._kind("language"))
        self._each("P123", works, self._kind("company"))
