"""What becomes of preferences and continuations over a sequence of edits."""

from __future__ import annotations

from typing import Any

import pytest

from benchmarks.consistency import ConsistencyConfig
from benchmarks.consistency.measure import Consistency, spread
from benchmarks.methods import get_adapter
from dafnet_plugin.cases import EditCase, EditRequest
from dafnet_plugin.data.consistency import ConsistencyPair
from dafnet_plugin.errors import ConfigError, DataError
from tests.helpers import PEOPLE, PLACES, model, tokenizer
from tests.helpers import shuffle_parameters as shuffle

CASES = [
    EditCase(str(n), EditRequest(f"{person} lives in", PLACES[n % 8], person))
    for n, person in enumerate(PEOPLE[:6])
]


def pair(n: int, swap: str, case_id: str | None) -> ConsistencyPair:
    person, place, other = PEOPLE[n], PLACES[n % 8], PLACES[(n + 1) % 8]
    summaries = f"{person} lives in {place}", f"{person} lives in {other}"
    document = f"{summaries[0]}, says {swap}."
    return ConsistencyPair(document, *summaries, case_id is not None, swap, case_id)


PAIRS = [
    *(pair(n, swap, str(n)) for n in range(6) for swap in ("entity", "number")[: 1 + n % 2]),
    *(pair(n, "entity", None) for n in range(6, 10)),
]


@pytest.fixture(autouse=True)
def short_prompts(monkeypatch: pytest.MonkeyPatch) -> None:
    frames = tuple(f"{'no' * n} {{subject}}" for n in range(10))
    monkeypatch.setattr("benchmarks.consistency.generation.OPEN", frames)


def consistency(pairs: list[ConsistencyPair] = PAIRS, **settings: Any) -> Consistency:
    config = ConsistencyConfig.from_dict({"new_tokens": 4, **settings})
    return Consistency(model("gpt2"), tokenizer(), get_adapter("FT"), pairs, CASES, config)


def test_a_model_that_did_not_change_is_as_it_was() -> None:
    base, measure = model("gpt2"), consistency()
    measure.prepare(base, [3, 1, 4])
    found = measure.compare(base, [3, 1, 4])
    for name in (
        *("consistency_edited", "consistency_untouched", "consistency_pmi_edited"),
        *("consistency_pmi_untouched", "agreement_greedy", "agreement_sampled"),
    ):
        before, after = found[f"{name}_before"], found[f"{name}_after"]
        assert before == after and 0 <= before <= 1
    # Two of the three cases have two pairs.
    assert {swap: row["pairs"] for swap, row in found["consistency_swaps"].items()} == {
        "entity": 3,
        "number": 2,
    }


def test_shares_are_of_the_pairs_of_the_sequence_and_of_the_untouched_ones() -> None:
    base, edited, measure = model("gpt2"), model("gpt2"), consistency(generated=2)
    shuffle(edited, scale=0.4)
    measure.prepare(base, [1, 5])
    found = measure.compare(edited, [1, 5])
    for when, asked in (("before", base), ("after", edited)):
        preferred = measure._preferences.of(asked, range(len(PAIRS)))
        for name, wanted in (
            ("edited", [n for n, one in enumerate(PAIRS) if one.case_id in ("1", "5")]),
            ("untouched", [n for n, one in enumerate(PAIRS) if not one.edited]),
        ):
            assert len(wanted) == 4
            likely = sum(preferred[n].likelihood for n in wanted) / 4
            assert found[f"consistency_{name}_{when}"] == likely
            pmi = sum(preferred[n].pmi for n in wanted) / 4
            assert found[f"consistency_pmi_{name}_{when}"] == pmi
        said = measure._continuations.named(asked, [CASES[1], CASES[5]])
        for kind in ("greedy", "sampled"):
            assert found[f"agreement_{kind}_{when}"] == sum(said[kind]) / 20
    swaps = found["consistency_swaps"]
    for key in ("before", "after", "pmi_before", "pmi_after"):
        share = sum(row["pairs"] * row[key] for row in swaps.values()) / 4
        name = f"consistency_{'pmi_' * ('pmi' in key)}edited_{key.removeprefix('pmi_')}"
        assert share == pytest.approx(found[name])


def test_no_more_is_asked_than_the_settings_say() -> None:
    measure = consistency(facts=2, generated=0)
    asked = [PAIRS[index].case_id for index in measure._asked([0, 1, 2, 3, 4, 5])]
    assert asked == ["0", "5", "5", *[None] * 4]
    measure.prepare(model("gpt2"), [0, 1, 2])
    found = measure.compare(model("gpt2"), [0, 1, 2])
    assert found["agreement_greedy_after"] is None and found["agreement_sampled_before"] is None


def test_a_case_without_a_pair_is_named() -> None:
    measure = consistency([one for one in PAIRS if one.case_id != "2"])
    with pytest.raises(DataError, match=r"case 2: there is no consistency pair"):
        measure.prepare(model("gpt2"), [1, 2])


def test_where_no_fact_is_untouched_nothing_is_said_of_it() -> None:
    measure = consistency([one for one in PAIRS if one.edited])
    measure.prepare(model("gpt2"), [0])
    found = measure.compare(model("gpt2"), [0])
    assert found["consistency_untouched_after"] is None
    assert found["consistency_edited_after"] is not None


@pytest.mark.parametrize("most", range(8))
def test_what_is_chosen_reaches_from_the_first_to_the_last(most: int) -> None:
    for length in range(1, 40):
        chosen = spread(range(length), most)
        assert len(chosen) == min(most, length) and sorted({*chosen}) == chosen
        if most > 1:
            assert (chosen[0], chosen[-1]) == (0, length - 1)


def test_every_problem_of_the_settings_is_named() -> None:
    wrong = {"sentences": 1, "facts": 0, "generated": -1, "new_tokens": 0, "temperature": 0.0}
    with pytest.raises(ConfigError) as error:
        ConsistencyConfig.from_dict(wrong)
    assert all(f"{key}: {value}; allowed" in str(error.value) for key, value in wrong.items())
    with pytest.raises(ConfigError, match=r"fact: unknown key \(did you mean 'facts'"):
        ConsistencyConfig.from_dict({"fact": 3})
