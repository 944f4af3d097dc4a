"""Counter-samples: antonyms first, exclusive values otherwise."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from dafnet_plugin.dafset.robustness import Opposite, Value, opposite
from dafnet_plugin.dafset.robustness.counters import antonyms, load_antonyms

CITIES = [Value(f"Q{n}", name) for n, name in enumerate(["Rome", "Oslo", "Bern", "Riga"])]


def test_an_antonym_is_preferred() -> None:
    values = [Value("Q1", "Soprano"), Value("Q2", "tenor"), Value("Q3", "bass")]
    assert opposite("s", "P412", "soprano", values) == Opposite(Value("Q3", "bass"), "antonym")
    # Not if the subject has it, or the graph does not know it.
    found = opposite("s", "P412", "soprano", values, avoid=["Bass"])
    assert found == Opposite(Value("Q2", "tenor"), "exclusive")


def test_an_axis_with_more_than_two_values() -> None:
    assert antonyms("P30", "Asia")[0] == "Europe" and "Asia" not in antonyms("P30", "asia")
    assert antonyms("P36", "Paris") == [] and antonyms("P30", "Atlantis") == []


@given(st.permutations(CITIES), st.text())
def test_the_order_of_values_plays_no_role(values: list[Value], key: str) -> None:
    found = opposite(key, "P36", "Rome", values, avoid=["Oslo"], seed=1)
    assert found is not None and found.value.label in ("Bern", "Riga")
    assert found == opposite(key, "P36", "Rome", CITIES, avoid=["Oslo"], seed=1)


def test_nothing_is_left() -> None:
    assert opposite("s", "P36", "Rome", CITIES[:1]) is None
    assert opposite("s", "P36", "Rome", []) is None


def test_the_table_is_sound() -> None:
    table = load_antonyms()
    assert all(relation.startswith("P") for relation in table)
    for relation, axes in table.items():
        for axis in axes:
            for name in axis:
                assert set(axis) - {name} <= set(antonyms(relation, name))
