"""ParaRel on a small made-up copy, and on the real files."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from dafnet_plugin.data.pararel import ParaRelWorld, build_pararel, load_pararel
from dafnet_plugin.errors import ConfigError, DataError

PATTERNS = ("[X] was born in [Y].", "[X] is from [Y] .", "[X] hails from [Y].", "[Y] bore [X].")


def make_pararel(directory: Path, relations: int = 3, facts: int = 30) -> Path:
    for folder in ("patterns", "triples"):
        (directory / folder).mkdir(parents=True)
    for number in range(relations):
        patterns = [{"pattern": pattern.replace(" ", f" r{number} ", 1)} for pattern in PATTERNS]
        triples = [
            {"sub_label": f"S{number}x{index}", "obj_label": f"O{index % 5}"}
            for index in range(facts)
        ]
        for folder, records in (("patterns", patterns), ("triples", triples)):
            lines = "\n".join(json.dumps(record) for record in records)
            (directory / folder / f"P{number}.jsonl").write_text(lines, encoding="utf-8")
    return directory


def check_world(world: ParaRelWorld) -> None:
    stated = dict(world.statements())
    assert len(stated) == len(world.statements()), "a prompt with two answers cannot be known"
    of_prompt = {prompt: fact for fact in world.facts for prompt in fact.prompts}
    edited = {
        part: {of_prompt[case.request.prompt].subject for case in cases}
        for part, cases in (("train", world.train), ("eval", world.evaluation))
    }
    asked = {
        part: {of_prompt[probe.prompt].subject for case in cases for probe in case.locality}
        for part, cases in (("train", world.train), ("eval", world.evaluation))
    }
    assert not edited["train"] & edited["eval"]
    assert asked["train"] <= edited["train"]
    assert not asked["eval"] & (edited["eval"] | edited["train"])
    for case in (*world.train, *world.evaluation):
        request = case.request
        fact = of_prompt[request.prompt]
        assert request.ground_truth == stated[request.prompt] != request.target_new
        assert request.subject == fact.subject and fact.subject in request.prompt
        others = {other.answer for other in world.facts if other.relation == fact.relation}
        assert request.target_new in others
        assert len(case.generality) == 2
        assert all(probe.prompt in fact.prompts for probe in case.generality)
        assert all(probe.prompt != request.prompt for probe in case.generality)
        same, different = (of_prompt[probe.prompt] for probe in case.locality)
        assert same.relation == fact.relation != different.relation
        assert all(stated[probe.prompt] == probe.answer for probe in case.locality)


def test_a_made_up_copy(tmp_path: Path) -> None:
    directory = make_pararel(tmp_path)
    world = build_pararel(directory)
    assert len(world.facts) == 90
    check_world(world)
    assert build_pararel(directory) == world
    assert build_pararel(directory, seed=1).train != world.train
    assert load_pararel(directory, size=4, split="train") == list(world.train[:4])


def test_bystanders_are_left_alone(tmp_path: Path) -> None:
    directory = make_pararel(tmp_path)
    world = build_pararel(directory, train_share=0.5, eval_share=0.3, bystander_share=0.1)
    assert len(world.bystanders) == 9 and set(world.bystanders) <= set(world.facts)
    check_world(world)
    prompts = {prompt for fact in world.bystanders for prompt in fact.prompts}
    for case in (*world.train, *world.evaluation):
        probes = (*case.generality, *case.locality)
        assert not prompts & {case.request.prompt, *(probe.prompt for probe in probes)}
    assert not build_pararel(directory).bystanders
    with pytest.raises(ConfigError, match=r"bystander_share 0\.3; .*sum below 1"):
        build_pararel(directory, train_share=0.5, eval_share=0.3, bystander_share=0.3)


def test_what_is_wrong_is_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"no P\*\.jsonl files"):
        build_pararel(tmp_path)
    directory = make_pararel(tmp_path / "a")
    with pytest.raises(DataError, match="no relation with 4 patterns"):
        build_pararel(directory, min_patterns=4)
    with pytest.raises(ConfigError, match="sum below 1"):
        build_pararel(directory, train_share=0.7, eval_share=0.3)
    with pytest.raises(DataError, match="allowed: 'train', 'eval'"):
        load_pararel(directory, split="test")
    (directory / "triples" / "P1.jsonl").write_text('{"sub_label": "x"}', encoding="utf-8")
    with pytest.raises(DataError, match=r"P1\.jsonl: record 0: field 'obj_label' is missing"):
        build_pararel(directory)
    (directory / "triples" / "P1.jsonl").write_text("{}\n{", encoding="utf-8")
    with pytest.raises(DataError, match=r"P1\.jsonl: line 2"):
        build_pararel(directory)


def test_the_real_files(data_dir: Path) -> None:
    world = build_pararel(data_dir / "pararel")
    assert len({fact.relation for fact in world.facts}) == 25
    assert len(world.train) >= 1100 and len(world.evaluation) >= 570
    check_world(world)
