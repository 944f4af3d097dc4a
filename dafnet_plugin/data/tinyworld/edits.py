"""Edit cases of a tiny world: which fact becomes what, and what is asked afterwards."""

from __future__ import annotations

import random
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from dafnet_plugin.cases import EditCase, EditRequest, Probe
from dafnet_plugin.data.ripple_records import RippleRecord
from dafnet_plugin.data.tinyworld.consequences import Consequences
from dafnet_plugin.data.tinyworld.relations import prompt_of
from dafnet_plugin.data.tinyworld.split import BYSTANDER, TRAIN
from dafnet_plugin.data.tinyworld.together import Together, choose_together
from dafnet_plugin.data.tinyworld.world import Edit, Key, World

POPULAR_RANK = 60  # RippleEdits calls an edit popular or random by its subject
RESERVED_SHARE = 0.25  # of the facts about bystanders; no locality probe asks for them


@dataclass(frozen=True, slots=True)
class WorldCase:
    """An edit of the world in all the forms it is written in.

    Attributes:
        case: the edit case; its portability has the six criteria of ``record``.
        record: the same for RippleEdits.
        locality_facts: what the locality probes ask, in their order.
    """

    edit: Edit
    case: EditCase
    record: RippleRecord
    locality_facts: tuple[Key, ...]


def make_cases(
    world: World,
    split: Mapping[str, str],
    stated: Mapping[Key, Sequence[str]],
    part: str,
    seed: int,
    edits_per_subject: int | None = None,
) -> list[WorldCase]:
    """Return one case for each simple fact about the subjects of a part, in random order.

    Args:
        world: the state before all edits.
        split: part of each subject.
        stated: prompts in which the text states each fact.
        part: ``"train"`` or ``"eval"``.
        seed: of targets, probes and order.
        edits_per_subject: fewer cases, whose edits can all be made in one sequence; see
            :class:`~dafnet_plugin.data.tinyworld.generate.WorldConfig`.
    """
    rng = random.Random(f"tiny world edits {part} {seed}")
    keys = [key for key in world.simple if split[key[0]] == part]
    edits = [edit for key in keys if (edit := _edit(world, split, key, rng)) is not None]
    rng.shuffle(edits)
    together = None
    if edits_per_subject is not None:
        together = choose_together(world, edits, edits_per_subject)
        edits = list(together.edits)
    pool = _protected(world, split, part, edits, seed)
    return [
        _case(world, stated, edit, f"tinyworld-{part}-{index}", pool, rng, together)
        for index, edit in enumerate(edits)
    ]


def _protected(
    world: World, split: Mapping[str, str], part: str, edits: Iterable[Edit], seed: int
) -> list[Key]:
    """The facts that locality probes ask for.

    Training protects facts about subjects that training edits. Evaluations protect facts about
    bystanders, which no edit changes, however many there are in a sequence.
    """
    if part == TRAIN:
        return [key for key in world.simple if split[key[0]] == TRAIN]
    taboo = _changed(world, edits) | reserved_facts(world, split, seed)
    return [key for key in world.simple if split[key[0]] == BYSTANDER and key not in taboo]


def _changed(world: World, edits: Iterable[Edit]) -> set[Key]:
    changed: set[Key] = set()
    for edit in edits:
        changes = world.changes(edit)
        changed |= changes.changed.keys() | changes.retracted
    return changed


def reserved_facts(world: World, split: Mapping[str, str], seed: int) -> set[Key]:
    """Facts about bystanders that no locality probe asks for."""
    keys = [key for key in world.simple if split[key[0]] == BYSTANDER]
    rng = random.Random(f"tiny world reserved {seed}")
    return set(rng.sample(keys, round(RESERVED_SHARE * len(keys))))


def unrelated_facts(
    world: World, split: Mapping[str, str], cases: Iterable[WorldCase], seed: int
) -> list[Key]:
    """Facts that no case edits and no locality probe of an evaluation asks for, in order."""
    edited = _changed(world, (case.edit for case in cases))
    return sorted(reserved_facts(world, split, seed) - edited)


def _edit(world: World, split: Mapping[str, str], key: Key, rng: random.Random) -> Edit | None:
    """Choose a plausible new object: of the right type, not true already."""
    subject, name = key
    relation = world.relations[name]
    taken = {subject, *world.simple[key]}
    candidates = [entity for entity in world.of_kind(relation.object) if entity not in taken]
    if relation.inverse:
        # The edit says something about the object as well; that must be of the same part,
        # and should, where possible, not end what another subject is to that object.
        candidates = [entity for entity in candidates if split[entity] == split[subject]]
        free = [entity for entity in candidates if (entity, relation.inverse) not in world.simple]
        candidates = free or candidates
    return Edit(subject, name, rng.choice(candidates)) if candidates else None


def _case(
    world: World,
    stated: Mapping[Key, Sequence[str]],
    edit: Edit,
    case_id: str,
    pool: Sequence[Key],
    rng: random.Random,
    together: Together | None,
) -> WorldCase:
    key, target = (edit.subject, edit.relation), world.label(edit.object)
    relation, subject = world.relations[edit.relation], world.entities[edit.subject]
    request = EditRequest(
        prompt=rng.choice(list(stated[key])),
        target_new=target,
        subject=subject.label,
        ground_truth=world.label(world.simple[key][0]),
    )
    consequences = Consequences(world, edit, stated, rng, together)
    popular = subject.popularity <= POPULAR_RANK
    record = RippleRecord(
        example_type="popular" if popular else "random",
        request=request,
        tests=consequences.tests(),
        edit=_ripple_edit(world, edit, request),
    )
    ripple = record.case(case_id)
    locality = list(_locality(edit, pool, consequences, rng))
    return WorldCase(
        edit=edit,
        case=EditCase(
            case_id=case_id,
            request=request,
            generality=tuple(
                Probe(prompt_of(pattern, subject.label), target) for pattern in relation.held_out
            ),
            locality=tuple(
                Probe(rng.choice(list(stated[other])), world.label(world.simple[other][0]))
                for other in locality
            ),
            portability=ripple.portability,
            tests=ripple.tests,
        ),
        record=record,
        locality_facts=tuple(locality),
    )


def _locality(
    edit: Edit, pool: Sequence[Key], consequences: Consequences, rng: random.Random
) -> Iterable[Key]:
    """A fact of the same relation and one of another, about subjects the edit is not about."""
    same: list[Key] = []
    different: list[Key] = []
    for key in pool:
        if key[0] not in (edit.subject, edit.object) and key not in consequences.changes:
            (same if key[1] == edit.relation else different).append(key)
    for facts in (same, different):
        if facts:
            yield rng.choice(facts)


def _ripple_edit(world: World, edit: Edit, request: EditRequest) -> dict[str, object]:
    old = world.simple[edit.subject, edit.relation][0]
    ids = {"subject_id": edit.subject, "relation": edit.relation}
    return {
        "prompt": f"{request.prompt} {request.target_new}.",
        **ids,
        "target_id": edit.object,
        "original_fact": {
            "prompt": f"{request.prompt} {request.ground_truth}.",
            **ids,
            "target_id": old,
        },
    }
