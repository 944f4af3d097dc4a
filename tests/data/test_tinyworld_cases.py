"""Edit cases of the tiny world, their consequences, and the files they are written to."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from dafnet_plugin.data.counterfact import load_counterfact
from dafnet_plugin.data.ripple import CRITERIA, RippleQuery, load_ripple_records
from dafnet_plugin.data.tinyworld import (
    TinyWorld,
    WorldConfig,
    build,
    load,
    load_tinyworld,
    make,
)
from dafnet_plugin.data.tinyworld.build import FILES
from dafnet_plugin.data.tinyworld.edits import WorldCase
from dafnet_plugin.data.tinyworld.generate import generate
from dafnet_plugin.data.tinyworld.world import World
from dafnet_plugin.data.zsre import load_zsre
from dafnet_plugin.errors import ConfigError, DataError

CONFIG = WorldConfig(scale=0.3)


def test_targets_are_plausible_and_false(tiny: TinyWorld) -> None:
    for item in (*tiny.train, *tiny.evaluation):
        request = item.case.request
        key = (item.edit.subject, item.edit.relation)
        old = [tiny.world.label(entity) for entity in tiny.world.simple[key]]
        assert request.ground_truth == old[0] and request.target_new not in old
        tiny.world.after(item.edit)  # raises when types do not fit


def test_locality_is_true_and_stays_so(tiny: TinyWorld) -> None:
    stated = {line.prompt: line for line in tiny.lines}
    for item in (*tiny.train, *tiny.evaluation):
        same, different = (stated[probe.prompt] for probe in item.case.locality)
        assert same.relation == item.edit.relation != different.relation
        changes = tiny.world.changes(item.edit)
        for line, probe in zip((same, different), item.case.locality):
            assert line.answer == probe.answer and line.subject != item.edit.subject
            assert line.key not in changes


def test_subjects_of_the_parts_do_not_mix(tiny: TinyWorld) -> None:
    stated = {line.prompt: line for line in tiny.lines}
    for part, cases in (("train", tiny.train), ("eval", tiny.evaluation)):
        protected = "train" if part == "train" else "bystander"
        for item in cases:
            assert tiny.split[item.edit.subject] == part
            asked = {stated[probe.prompt].subject for probe in item.case.locality}
            assert {tiny.split[subject] for subject in asked} == {protected}


def test_no_evaluation_edit_changes_what_another_one_protects(tiny: TinyWorld) -> None:
    protected = {key for item in tiny.evaluation for key in item.locality_facts}
    for item in tiny.evaluation:
        changes = tiny.world.changes(item.edit)
        assert not protected & (changes.changed.keys() | changes.retracted)


def check_query(query: RippleQuery, world: World) -> None:
    """The answer is what this state of the world says."""
    details = query.details
    name = str(details["relation"])
    if name == "alias":
        assert query.answers[0][0] == world.label(str(details["subject_id"]))
        return
    if details["query_type"] == "two_hop":
        name = f"{name}/{details['second_relation']}"
    objects = world.objects((str(details["subject_id"]), name))
    assert query.answers[0][0] in [world.label(entity) for entity in objects]


def test_every_criterion_occurs_and_is_right_after_the_edit(tiny: TinyWorld) -> None:
    for cases in (tiny.train, tiny.evaluation):
        for name in CRITERIA:
            assert sum(bool(item.record.tests[name]) for item in cases) >= 10, name
        for item in cases:
            after = tiny.world.after(item.edit)
            for test in (test for tests in item.record.tests.values() for test in tests):
                for query in test.queries:
                    check_query(query, after)
                for query in test.condition_queries:
                    check_query(query, tiny.world)


def test_criteria_mean_what_the_paper_says(tiny: TinyWorld) -> None:
    for item in tiny.evaluation:
        edit, tests = item.edit, item.record.tests
        relation = tiny.world.relations[edit.relation]
        subject, target = tiny.world.entities[edit.subject], tiny.world.label(edit.object)
        details = {name: [test.queries[0].details for test in tests[name]] for name in CRITERIA}
        changes = tiny.world.changes(edit)
        for entry in details["Relation_Specificity"]:
            assert entry["subject_id"] == edit.subject and entry["relation"] != edit.relation
            assert (edit.subject, entry["relation"]) not in changes
        for entry in details["Logical_Generalization"]:
            assert (entry["subject_id"], entry["relation"]) == (edit.object, relation.inverse)
        for test in tests["Subject_Aliasing"]:
            assert test.queries[0].answers[0][0] == target
            assert subject.label not in test.queries[0].prompt
            assert any(alias in test.queries[0].prompt for alias in subject.aliases)
        for entry in details["Compositionality_I"]:
            assert (entry["subject_id"], entry["relation"]) == (edit.subject, edit.relation)
            assert entry["target_ids"] == [edit.object]
        for test, entry in zip(tests["Compositionality_II"], details["Compositionality_II"]):
            assert (entry["target_ids"], entry["second_relation"]) == (
                [edit.subject],
                edit.relation,
            )
            assert test.queries[0].answers[0][0] == target
        for test in tests["Forgetfulness"]:
            assert relation.many_valued and test.condition == "OR"
            old = {
                tiny.world.label(entity)
                for entity in tiny.world.simple[edit.subject, edit.relation]
            }
            assert {query.answers[0][0] for query in test.queries} == old
            assert all(target in query.prompt for query in test.queries)
        assert bool(tests["Logical_Generalization"]) == bool(relation.inverse)
        assert bool(tests["Forgetfulness"]) == relation.many_valued


def test_a_case_has_the_tests_of_its_record(tiny: TinyWorld) -> None:
    for item in tiny.evaluation:
        tests = {name: tests for name, tests in item.record.tests.items() if tests}
        assert item.case.tests.keys() == tests.keys() == item.case.portability.keys()
        for name, group in tests.items():
            assert item.case.tests[name] == tuple(test.test() for test in group)


def check_bystanders(world: TinyWorld) -> None:
    stated = {line.prompt: line for line in world.lines}
    left = [stated[statement.prompt] for statement in world.bystanders]
    assert [line.answer for line in left] == [item.answer for item in world.bystanders]
    asked = {key for item in world.evaluation for key in item.locality_facts}
    for line in left:
        assert world.split[line.subject] == "bystander" and line.key not in asked
        assert all(line.key not in world.world.changes(item.edit) for item in world.evaluation)


def test_bystanders_are_left_alone(tiny: TinyWorld) -> None:
    assert len(tiny.bystanders) >= 30
    check_bystanders(tiny)


@pytest.fixture(scope="module")
def together() -> TinyWorld:
    """A world whose evaluation edits can be made in one sequence."""
    return make(3, WorldConfig(scale=0.5, edits_per_subject=3))


def test_edits_of_one_sequence_do_not_contradict_each_other(together: TinyWorld) -> None:
    world, owners = together.world, {}
    subjects: dict[str, int] = {}
    for index, item in enumerate(together.evaluation):
        subjects[item.edit.subject] = subjects.get(item.edit.subject, 0) + 1
        changes = together.world.changes(item.edit)
        for key in (*changes.changed, *changes.retracted):
            if key in world.simple or world.relations[key[1]].path is None:
                assert owners.setdefault(key, index) == index
    assert max(subjects.values()) == 3 and len(together.evaluation) >= 60
    check_bystanders(together)


def test_tests_of_one_sequence_hold_after_all_its_edits(together: TinyWorld) -> None:
    """What a test asks for is what the world says after every edit has been made."""
    last, before = together.world, together.world
    for item in together.evaluation:
        last = last.after(item.edit)
    counts = dict.fromkeys(CRITERIA, 0)
    for item in together.evaluation:
        for name, tests in item.record.tests.items():
            counts[name] += len(tests)
            for test in tests:
                for query in test.queries:
                    check_query(query, last)
                for query in test.condition_queries:
                    check_query(query, before)
        for key in item.locality_facts:
            assert last.objects(key) == before.objects(key)
    assert min(counts.values()) >= 5, counts


@pytest.mark.parametrize("number", [0, -1])
def test_edits_per_subject_must_be_positive(number: int) -> None:
    with pytest.raises(ConfigError, match=rf"edits_per_subject is {number}; at least 1"):
        WorldConfig(edits_per_subject=number)


def test_large_worlds_have_names_enough() -> None:
    labels = [entity.label for entity in generate(0, WorldConfig(scale=4)).entities.values()]
    assert len(set(labels)) == len(labels) > 1000


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build(1, tmp_path_factory.mktemp("world"), CONFIG)


def test_the_same_seed_writes_the_same_bytes(built: Path, tmp_path: Path) -> None:
    again = build(1, tmp_path, CONFIG)
    for name in (*FILES, "world.json"):
        assert (again / name).read_bytes() == (built / name).read_bytes(), name


def test_a_complete_directory_is_left_alone_and_a_damaged_one_repaired(tmp_path: Path) -> None:
    build(1, tmp_path, CONFIG)
    text, stamp = tmp_path / "text.jsonl", (tmp_path / "text.jsonl").stat().st_mtime_ns
    whole = text.read_bytes()
    build(1, tmp_path, CONFIG)
    assert text.stat().st_mtime_ns == stamp
    text.write_bytes(whole[:-10])
    with pytest.raises(DataError, match=r"text\.jsonl is not as world\.json says"):
        load(tmp_path)
    build(1, tmp_path, CONFIG)
    assert text.read_bytes() == whole
    (tmp_path / "world.json").write_text("{", encoding="utf-8")
    assert load(build(1, tmp_path, CONFIG)).train


def test_what_is_loaded_is_what_was_made(built: Path, micro: TinyWorld) -> None:
    data = load(built)
    assert data.train == [item.case for item in micro.train]
    assert data.evaluation == [item.case for item in micro.evaluation]
    assert len(data.statements) == sum(line.count for line in micro.lines)
    assert data.bystanders == list(micro.bystanders)
    assert load_tinyworld(built) == data.evaluation
    assert load_tinyworld(built, split="train", size=3) == data.train[:3]
    with pytest.raises(DataError, match="split is 'test'; allowed: 'train', 'eval'"):
        load_tinyworld(built, split="test")
    assert set(data.statements) == set(data.probes) and len(data.probes) == len(set(data.probes))


def facts_of(item: WorldCase) -> tuple[str, str, str | None, str | None]:
    request = item.case.request
    return request.prompt, request.target_new, request.subject, request.ground_truth


def test_published_formats_are_read_back_by_their_loaders(built: Path, micro: TinyWorld) -> None:
    for part, made in (("train", micro.train), ("eval", micro.evaluation)):
        zsre = load_zsre(built / f"zsre-{part}.json")
        counterfact = load_counterfact(built / f"counterfact-{part}.json")
        ripple = load_ripple_records(built / f"ripple-{part}.json")
        assert len(zsre) == len(counterfact) == len(ripple) == len(made)
        for item, *cases, record in zip(made, zsre, counterfact, ripple):
            for request in (*(case.request for case in cases), record.request):
                assert facts_of(item) == (
                    request.prompt,
                    request.target_new,
                    request.subject,
                    request.ground_truth,
                )
            for case in cases:
                assert case.generality[0] in item.case.generality
            assert cases[1].locality == item.case.locality[:1]
            assert record.tests == item.record.tests
            assert record.case("x").portability == item.case.portability


def test_zsre_has_what_easyedit_insists_on(built: Path, micro: TinyWorld) -> None:
    stated = {line.prompt: line for line in micro.lines}
    for part, cases, protected in (
        ("train", micro.train, "train"),
        ("eval", micro.evaluation, "bystander"),
    ):
        records = json.loads((built / f"zsre-{part}.json").read_text(encoding="utf-8"))
        for record, item in zip(records, cases):
            assert record["loc"].startswith("nq question: ")
            line = stated[record["loc"]]
            assert line.answer == record["loc_ans"]
            assert micro.split[line.subject] == protected
            assert line.key not in micro.world.changes(item.edit)


def test_ripple_edits_can_be_split_as_the_published_ones(built: Path) -> None:
    """Without the extra fields, prompt and target come out of the sentences."""
    records = json.loads((built / "ripple-eval.json").read_text(encoding="utf-8"))
    for record in records:
        assert set(CRITERIA) <= record.keys()
        edit = record["edit"]
        assert edit["prompt"] == f"{edit['request_prompt']} {edit['target']}."
        assert edit["original_fact"]["prompt"].startswith(edit["request_prompt"])
