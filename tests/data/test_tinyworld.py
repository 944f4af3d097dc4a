"""The world itself: deterministic, consistent, and right about what follows from an edit."""

from __future__ import annotations

from collections import Counter, defaultdict

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dafnet_plugin.data.tinyworld import Edit, TinyWorld, World, WorldConfig, make
from dafnet_plugin.data.tinyworld.generate import SUBJECT_KINDS, generate
from dafnet_plugin.data.tinyworld.relations import includes, load_relations
from dafnet_plugin.data.tinyworld.split import split_subjects
from dafnet_plugin.data.tinyworld.text import HELD_OUT, PLAIN, fact_exposures
from dafnet_plugin.errors import ConfigError, DataError

WORLD = generate(0)


@st.composite
def edits(draw: st.DrawFn) -> Edit:
    """Any edit that makes sense, not only those chosen for cases."""
    subject, relation = draw(st.sampled_from(sorted(WORLD.simple)))
    kind = WORLD.relations[relation].object
    taken = {subject, *WORLD.simple[subject, relation]}
    return Edit(
        subject,
        relation,
        draw(st.sampled_from([entity for entity in WORLD.of_kind(kind) if entity not in taken])),
    )


def check_consistent(world: World) -> None:
    """Types fit, inverses mirror each other, composed facts are what their hops say."""
    for (subject, name), objects in world.facts():
        relation = world.relations[name]
        assert includes(relation.subject, world.entities[subject].kind)
        assert all(includes(relation.object, world.entities[other].kind) for other in objects)
        if relation.inverse:
            assert world.simple[objects[0], relation.inverse] == (subject,)
        if relation.path:
            middle = world.simple[subject, relation.path[0]][0]
            assert world.simple[middle, relation.path[1]][:1] == objects


def test_the_same_seed_gives_the_same_world(tiny: TinyWorld, micro: TinyWorld) -> None:
    assert generate(0) == tiny.world
    assert make(1, WorldConfig(scale=0.3)) == micro
    assert make(2, WorldConfig(scale=0.3)).lines != micro.lines


@pytest.mark.parametrize("seed", range(8))
def test_worlds_are_consistent_and_every_name_is_unique(seed: int) -> None:
    world = generate(seed)
    check_consistent(world)
    names = Counter(
        name for entity in world.entities.values() for name in (entity.label, *entity.aliases)
    )
    assert max(names.values()) == 1


@pytest.mark.parametrize("seed", range(8))
def test_worlds_have_enough_facts_for_training_and_evaluation(seed: int) -> None:
    world = generate(seed)
    parts = Counter(split_subjects(world, seed, WorldConfig())[key[0]] for key in world.simple)
    assert parts["train"] >= 600 and parts["eval"] >= 200 and parts["bystander"] >= 100


def test_the_table_of_relations() -> None:
    relations = load_relations()
    simple = [relation for relation in relations.values() if relation.path is None]
    assert len(simple) >= 20
    assert all(
        len(relation.patterns) + len(relation.held_out) >= 5 for relation in relations.values()
    )
    assert all(relation.held_out for relation in relations.values())


@settings(max_examples=60, deadline=None)
@given(edits())
def test_an_edit_changes_what_follows_from_it_and_nothing_else(edit: Edit) -> None:
    after, changes = WORLD.after(edit), WORLD.changes(edit)
    key = (edit.subject, edit.relation)
    check_consistent(after)
    assert edit.object in after.simple[key] and changes.changed[key] == after.simple[key]
    old, new = dict(WORLD.facts()), dict(after.facts())
    for fact in old.keys() | new.keys():
        if fact in changes.changed:
            assert new[fact] == changes.changed[fact] != old.get(fact)
        elif fact in changes.retracted:
            assert fact in old and fact not in new
        else:
            assert old[fact] == new[fact]
    # Whatever changed can be traced to the edit: it is the fact or its mirror image, the end
    # of a bond that the edit broke, or it goes through one of these.
    direct = {fact for fact in changes.changed.keys() | changes.retracted if fact in WORLD.simple}
    relation = WORLD.relations[edit.relation]
    assert {name for _, name in direct} <= {edit.relation, relation.inverse}
    for subject, name in (changes.changed.keys() | changes.retracted) - direct:
        path = WORLD.relations[name].path
        if path is None:
            assert (subject, name) == (edit.object, relation.inverse)
            continue
        hops = {(subject, path[0])}
        hops |= {
            (state.simple[subject, path[0]][0], path[1])
            for state in (WORLD, after)
            if (subject, path[0]) in state.simple
        }
        assert hops & (direct | {key, (edit.object, relation.inverse or "")})


@settings(max_examples=30, deadline=None)
@given(edits())
def test_many_valued_relations_keep_their_objects(edit: Edit) -> None:
    before = WORLD.simple[edit.subject, edit.relation]
    after = WORLD.after(edit).simple[edit.subject, edit.relation]
    if WORLD.relations[edit.relation].many_valued:
        assert after == (edit.object, *before)
    else:
        assert after == (edit.object,)


def test_edits_that_make_no_sense_are_refused() -> None:
    person = WORLD.of_kind("person")[0]
    born, city = WORLD.simple[person, "P19"][0], WORLD.of_kind("city")
    other = next(entity for entity in city if entity != born)
    for edit, message in (
        (Edit(person, "P19", born), "already"),
        (Edit(person, "P19", person), "is no city"),
        (Edit(person, "P19", "Q0"), "not an entity"),
        (Edit(person, "P19/P17", other), "not a simple relation"),
        (Edit(person, "P36", other), "has no P36"),
    ):
        with pytest.raises(DataError, match=message):
            WORLD.after(edit)


def test_subjects_are_in_one_part_with_all_they_are_bound_to(tiny: TinyWorld) -> None:
    kinds = {entity for entity, value in tiny.world.entities.items() if value.kind in SUBJECT_KINDS}
    assert tiny.split.keys() == kinds
    for (subject, name), objects in tiny.world.simple.items():
        if tiny.world.relations[name].inverse:
            assert tiny.split[subject] == tiny.split[objects[0]]
    for kind in SUBJECT_KINDS:
        parts = {tiny.split[entity] for entity in tiny.world.of_kind(kind)}
        assert parts == {"train", "eval", "bystander"}


def test_the_text_never_contradicts_itself(tiny: TinyWorld) -> None:
    answers = defaultdict(set)
    for line in tiny.lines:
        answers[line.prompt].add(line.answer)
        assert line.prompt == line.prompt.strip() and line.answer == line.answer.strip()
    assert max(map(len, answers.values())) == 1
    prompts = sorted(answers)
    for prompt in prompts:  # a prompt may go on only with its answer
        [answer] = answers[prompt]
        begun = [text for text in _starting(prompts, prompt + " ") if text != prompt]
        assert all(text.startswith(f"{prompt} {answer}") for text in begun)


def _starting(texts: list[str], beginning: str) -> list[str]:
    from bisect import bisect_left

    low = bisect_left(texts, beginning)
    high = bisect_left(texts, beginning + chr(0x10FFFF))
    return texts[low:high]


def test_popular_facts_are_said_more_often_but_each_in_several_patterns(tiny: TinyWorld) -> None:
    exposures = fact_exposures(tiny.lines)
    patterns = Counter(line.key for line in tiny.lines if line.kind == PLAIN)
    for key, _ in tiny.world.facts():
        assert patterns[key] >= 3 and exposures[key] >= 3
    by_rank = sorted(tiny.world.simple, key=lambda key: tiny.world.entities[key[0]].popularity)
    head, tail = by_rank[:100], by_rank[-100:]
    assert sum(exposures[key] for key in head) > 2 * sum(exposures[key] for key in tail)


def test_held_out_patterns_are_taught_on_bystanders_only(tiny: TinyWorld) -> None:
    taught = {line.relation for line in tiny.lines if line.kind == HELD_OUT}
    for line in tiny.lines:
        assert line.kind != HELD_OUT or tiny.split[line.subject] == "bystander"
    stated = {line.prompt for line in tiny.lines}
    for item in (*tiny.train, *tiny.evaluation):
        assert item.edit.relation in taught
        assert all(probe.prompt not in stated for probe in item.case.generality)
        assert all(item.case.request.subject in probe.prompt for probe in item.case.generality)


def test_bad_configurations_name_every_problem() -> None:
    with pytest.raises(ConfigError, match=r"scale is 9.*train_share \+ eval_share must be below 1"):
        WorldConfig(scale=9, train_share=0.8, eval_share=0.3)


def test_other_sizes_work(micro: TinyWorld) -> None:
    check_consistent(micro.world)
    assert micro.train and micro.evaluation
