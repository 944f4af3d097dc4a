"""Edit cases of a tiny world: which fact becomes what, and what is asked afterwards."""

from __future__ import annotations

import random
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from dafnet_plugin.cases import EditCase, EditRequest, Probe
from dafnet_plugin.data.ripple import RippleRecord
from dafnet_plugin.data.tinyworld.consequences import Consequences
from dafnet_plugin.data.tinyworld.relations import prompt_of
from dafnet_plugin.data.tinyworld.split import BYSTANDER, EVAL, TRAIN
from dafnet_plugin.data.tinyworld.world import Edit, Key, World

POPULAR_RANK = 60  # RippleEdits calls an edit popular or random by its subject


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
) -> list[WorldCase]:
    """Return one case for each simple fact about the subjects of a part, in random order.

    Args:
        world: the state before all edits.
        split: part of each subject.
        stated: prompts in which the text states each fact.
        part: ``"train"`` or ``"eval"``.
        seed: of targets, probes and order.
    """
    rng = random.Random(f"tiny world edits {part} {seed}")
    keys = [key for key in world.simple if split[key[0]] == part]
    edits = [edit for key in keys if (edit := _edit(world, split, key, rng)) is not None]
    rng.shuffle(edits)
    # Training protects facts about subjects that training edits. Evaluations protect facts
    # about bystanders, which no edit changes, however many there are in a sequence.
    protected = TRAIN if part == TRAIN else BYSTANDER
    taboo: set[Key] = set()
    if part == EVAL:
        for edit in edits:
            changes = world.changes(edit)
            taboo |= changes.changed.keys() | changes.retracted
    pool = [key for key in world.simple if split[key[0]] == protected and key not in taboo]
    return [
        _case(world, stated, edit, f"tinyworld-{part}-{index}", pool, rng)
        for index, edit in enumerate(edits)
    ]


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
) -> WorldCase:
    key, target = (edit.subject, edit.relation), world.label(edit.object)
    relation, subject = world.relations[edit.relation], world.entities[edit.subject]
    request = EditRequest(
        prompt=rng.choice(list(stated[key])),
        target_new=target,
        subject=subject.label,
        ground_truth=world.label(world.simple[key][0]),
    )
    consequences = Consequences(world, edit, stated, rng)
    popular = subject.popularity <= POPULAR_RANK
    record = RippleRecord(
        example_type="popular" if popular else "random",
        request=request,
        tests=consequences.tests(),
        edit=_ripple_edit(world, edit, request),
    )
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
            portability=record.case(case_id).portability,
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
